//! Outcomes of the messages of a batch.

use std::collections::HashMap;

use gantry_events::{BusError, Event, PublishError, PublishFailure};

/// Results of the events of a batch, in their order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    settled: Vec<Result<(), PublishFailure>>,
    /// Reasons of the broker to return messages, by the event's id.
    returned: HashMap<String, String>,
    has_failed: bool,
}

impl Batch {
    /// Records the result of the next event. A message that the broker returns is confirmed all the same.
    pub(crate) fn settle(&mut self, result: Result<(), PublishFailure>) {
        self.has_failed |= result.is_err();
        self.settled.push(result);
    }

    /// Records that the broker returned a message, with its id. The library tells of it with whichever
    /// confirm comes next.
    pub(crate) fn note_returned(&mut self, id: String, why: String) {
        self.has_failed = true;
        self.returned.insert(id, why);
    }

    /// Returns true if the events that are not sent yet must not be.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Returns the result of the batch: the first event that is not stored decides.
    pub(crate) fn outcome(self, events: &[Event]) -> Result<(), PublishError> {
        let Self { settled, returned, .. } = self;
        let mut settled = settled.into_iter();
        for (confirmed, event) in events.iter().enumerate() {
            let returned = returned.get(&event.id().to_string());
            let cause = match (returned, settled.next()) {
                (Some(why), _) => PublishFailure::Refused(describe(event, why)),
                (None, Some(Ok(()))) => continue,
                (None, Some(Err(cause))) => cause,
                (None, None) => unavailable("the batch ended before this event"),
            };
            return Err(PublishError { confirmed, cause });
        }
        if returned.is_empty() {
            return Ok(());
        }
        let cause = unavailable("the broker returned a message that is not of this batch");
        Err(PublishError { confirmed: 0, cause })
    }
}

/// Returns the text of a refusal.
pub(crate) fn describe(event: &Event, why: &str) -> String {
    let Event { kind, aggregate, sequence, .. } = event;
    format!("{kind} of {aggregate}, sequence {sequence}: {why}")
}

fn unavailable(why: &str) -> PublishFailure {
    BusError::Unavailable(why.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use gantry_events::{Aggregate, Context};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn events(count: i64) -> Vec<Event> {
        let event = |sequence| Event {
            source: "order".to_owned(),
            aggregate: Aggregate::new("order", Uuid::nil()).unwrap(),
            sequence,
            kind: "order.placed".to_owned(),
            schema: "shop.events.v1.OrderPlaced".to_owned(),
            time: OffsetDateTime::UNIX_EPOCH,
            context: Context::default(),
            data: Vec::new().into(),
        };
        (1..=count).map(event).collect()
    }

    /// Returns the outcome as the number of confirmed events and the cause.
    fn outcome(batch: Batch, events: &[Event]) -> (usize, String) {
        match batch.outcome(events) {
            Ok(()) => (events.len(), String::new()),
            Err(PublishError { confirmed, cause }) => {
                let kind = match cause {
                    PublishFailure::Bus(_) => "bus: ",
                    PublishFailure::Refused(_) => "refused: ",
                };
                (confirmed, format!("{kind}{cause}"))
            }
        }
    }

    #[test]
    fn a_batch_with_all_confirms_succeeds() {
        let mut batch = Batch::default();
        (0..3).for_each(|_| batch.settle(Ok(())));
        assert!(!batch.has_failed());
        assert_eq!(outcome(batch, &events(3)), (3, String::new()));
    }

    #[test]
    fn the_first_lost_event_ends_the_confirmed_front() {
        let mut batch = Batch::default();
        batch.settle(Ok(()));
        batch.settle(Err(unavailable("gone")));
        batch.settle(Ok(()));
        assert!(batch.has_failed());
        assert_eq!(outcome(batch, &events(4)), (1, "bus: gone".to_owned()));
    }

    #[test]
    fn a_return_counts_for_the_event_with_its_id() {
        let events = events(4);
        let mut batch = Batch::default();
        batch.settle(Ok(()));
        // Told with the confirm of the second event, but of the third.
        batch.note_returned(events[2].id().to_string(), "312 NO_ROUTE".to_owned());
        (1..4).for_each(|_| batch.settle(Ok(())));
        let aggregate = &events[0].aggregate;
        let cause = format!("refused: order.placed of {aggregate}, sequence 3: 312 NO_ROUTE");
        assert_eq!(outcome(batch, &events), (2, cause));
    }

    #[test]
    fn a_return_of_another_batch_confirms_nothing() {
        let mut batch = Batch::default();
        batch.note_returned(String::new(), "312 NO_ROUTE".to_owned());
        batch.settle(Ok(()));
        let (confirmed, cause) = outcome(batch, &events(1));
        assert_eq!(confirmed, 0);
        assert!(cause.starts_with("bus: "), "{cause}");
    }

    #[test]
    fn an_event_that_was_not_sent_is_not_confirmed() {
        let mut batch = Batch::default();
        batch.settle(Ok(()));
        assert_eq!(outcome(batch, &events(2)).0, 1);
    }
}
