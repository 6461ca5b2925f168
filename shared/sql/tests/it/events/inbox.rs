use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use gantry_events::{Context, Event, Handled, Handler, HandlerError};
use gantry_sql::{
    Connection, Database,
    events::{Effect, EffectError, Gap, Inbox, Kept},
};
use time::OffsetDateTime;
use tokio::{sync::Barrier, task::JoinSet};

use super::{Replicas, both, execute, order};
use crate::polls::polled;

/// Effect that writes a thing of the event's place, which can be written once. Fails on events with these
/// data while it is broken.
#[derive(Clone, Debug, Default)]
struct Write {
    broken: Arc<AtomicBool>,
}

const POISON: &[u8] = b"poison";
const APPLIED: Handled = Handled::Applied { released: 0 };

#[async_trait]
impl Effect for Write {
    async fn apply(&self, conn: &mut Connection, event: &Event) -> Result<(), EffectError> {
        let name = format!("{}/{:03}", event.aggregate.id().as_u128(), event.sequence);
        let code = format!("{name} of {}", event.source);
        crate::add(conn, &name, &code).await?;
        if event.data == POISON && self.broken.load(SeqCst) {
            return Err(EffectError::failed(format_args!("{name} is\0poison")));
        }
        Ok(())
    }
}

/// Inbox whose effect is broken.
fn inbox(db: &Database) -> (Inbox<Write>, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(true));
    (Inbox::new(db.clone(), "mailer", Write { broken: broken.clone() }), broken)
}

pub(super) fn event(id: u128, sequence: i64) -> Event {
    Event {
        source: "order".to_owned(),
        aggregate: order(id),
        sequence,
        kind: "order.placed".to_owned(),
        schema: "shop.events.v1.OrderPlaced".to_owned(),
        time: OffsetDateTime::UNIX_EPOCH,
        context: Context { trace: None, request_id: Some("request".to_owned()) },
        data: Bytes::from_static(b"\x00data\xff"),
    }
}

fn poison(id: u128, sequence: i64) -> Event {
    Event { data: Bytes::from_static(POISON), ..event(id, sequence) }
}

/// Returns the places of the events of an order that took effect.
async fn effects(db: &Database, id: u128) -> Vec<i64> {
    let prefix = format!("{id}/");
    let names = crate::names(db).await;
    names.iter().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect()
}

#[tokio::test]
async fn an_event_takes_effect_once_and_in_order() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let (inbox, _) = inbox(db);
        for (sequence, handled) in [
            (1, APPLIED),
            (1, Handled::Duplicate),
            (2, APPLIED),
            (4, Handled::Held),
            (4, Handled::Held),
            (5, Handled::Held),
            (3, Handled::Applied { released: 2 }),
            (5, Handled::Duplicate),
            (6, APPLIED),
            (-1, Handled::Duplicate),
        ] {
            assert_eq!(inbox.handle(&event(1, sequence)).await.unwrap(), handled, "{sequence}");
        }
        assert_eq!(effects(db, 1).await, [1, 2, 3, 4, 5, 6]);
        assert_eq!(inbox.kept().await.unwrap(), Kept::default());

        // Each aggregate and each consumer has its own sequence.
        assert_eq!(inbox.handle(&event(2, 2)).await.unwrap(), Handled::Held);
        let other = Inbox::new(db.clone(), "other", Write::default());
        let theirs = Event { source: "theirs".to_owned(), ..event(3, 1) };
        assert_eq!(other.handle(&theirs).await.unwrap(), APPLIED);
        assert_eq!(other.handle(&event(1, 7)).await.unwrap(), Handled::Held);
    }
}

#[tokio::test]
async fn a_held_event_takes_effect_as_it_was_delivered() {
    #[derive(Debug)]
    struct Compare(Event);
    #[async_trait]
    impl Effect for Compare {
        async fn apply(&self, _: &mut Connection, event: &Event) -> Result<(), EffectError> {
            if event.sequence == 2 && *event != self.0 {
                return Err(EffectError::failed(format_args!("{event:?}")));
            }
            Ok(())
        }
    }
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).unwrap();
        let context = Context { trace: Some("00-1-2-01".to_owned()), request_id: None };
        let held = Event { time, context, ..event(1, 2) };
        let inbox = Inbox::new(db.clone(), "mailer", Compare(held.clone()));
        assert_eq!(inbox.handle(&held).await.unwrap(), Handled::Held);
        let handled = inbox.handle(&event(1, 1)).await.unwrap();
        assert_eq!(handled, Handled::Applied { released: 1 });
    }
}

#[tokio::test]
async fn a_failed_event_has_no_effect_until_it_is_replayed() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let (inbox, broken) = inbox(db);
        inbox.handle(&event(1, 1)).await.unwrap();
        assert_eq!(inbox.handle(&event(1, 4)).await.unwrap(), Handled::Held);
        for _ in 0..2 {
            let failed = inbox.handle(&poison(1, 2)).await;
            assert!(matches!(&failed, Err(HandlerError::Failed(_))), "{failed:?}");
        }
        assert_eq!(effects(db, 1).await, [1]);

        inbox.park(&poison(1, 2), "it is\0poison").await.unwrap();
        inbox.park(&poison(1, 2), "another cause").await.unwrap();
        // Successors wait behind it, whether they were held or come later. Others go on.
        assert_eq!(inbox.handle(&event(1, 3)).await.unwrap(), Handled::Parked);
        assert_eq!(inbox.handle(&poison(1, 2)).await.unwrap(), Handled::Parked);
        assert_eq!(inbox.handle(&event(1, 1)).await.unwrap(), Handled::Duplicate);
        assert_eq!(inbox.handle(&event(2, 1)).await.unwrap(), APPLIED);
        assert_eq!((effects(db, 1).await, effects(db, 2).await), (vec![1], vec![1]));

        let parked = inbox.parked(None, 9).await.unwrap();
        assert_eq!(parked.len(), 1);
        assert_eq!((&parked[0].event, parked[0].waiting), (&poison(1, 2), 2));
        assert_eq!(parked[0].cause, "it is\u{fffd}poison");
        assert!(inbox.parked(Some(&order(1)), 9).await.unwrap().is_empty());
        assert_eq!(inbox.kept().await.unwrap(), Kept { parked_aggregates: 1, ..Kept::default() });

        let failed = inbox.replay(&order(1)).await;
        assert!(matches!(&failed, Err(HandlerError::Failed(_))), "{failed:?}");
        assert_eq!(inbox.parked(None, 9).await.unwrap().len(), 1, "it stays parked");
        broken.store(false, SeqCst);
        assert_eq!(inbox.replay(&order(1)).await.unwrap(), 3);
        assert_eq!(effects(db, 1).await, [1, 2, 3, 4]);
        assert_eq!(inbox.kept().await.unwrap(), Kept::default());
        assert_eq!(inbox.handle(&event(1, 5)).await.unwrap(), APPLIED);
        assert_eq!(inbox.replay(&order(1)).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_held_event_that_fails_is_parked_in_place_of_the_delivered_one() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let (inbox, broken) = inbox(db);
        inbox.handle(&poison(1, 2)).await.unwrap();
        inbox.handle(&event(1, 3)).await.unwrap();
        for _ in 0..2 {
            let failed = inbox.handle(&event(1, 1)).await;
            assert!(matches!(&failed, Err(HandlerError::Failed(_))), "{failed:?}");
        }
        assert_eq!(effects(db, 1).await, [1], "the delivered one took effect");
        inbox.park(&event(1, 1), "cause").await.unwrap();
        let parked = inbox.parked(None, 9).await.unwrap();
        assert_eq!((parked[0].event.sequence, parked[0].waiting), (2, 1));
        broken.store(false, SeqCst);
        assert_eq!(inbox.replay(&order(1)).await.unwrap(), 2);
        assert_eq!(effects(db, 1).await, [1, 2, 3]);
        // Nothing is left to be parked.
        inbox.park(&event(1, 1), "late").await.unwrap();
        assert_eq!(inbox.kept().await.unwrap(), Kept::default());
    }
}

#[tokio::test]
async fn a_replay_stops_at_a_gap_and_holds_what_follows() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let (inbox, broken) = inbox(db);
        inbox.handle(&poison(1, 1)).await.unwrap_err();
        inbox.park(&poison(1, 1), "cause").await.unwrap();
        inbox.handle(&event(1, 3)).await.unwrap();
        broken.store(false, SeqCst);
        assert_eq!(inbox.replay(&order(1)).await.unwrap(), 1);
        assert_eq!(effects(db, 1).await, [1]);
        let handled = inbox.handle(&event(1, 2)).await.unwrap();
        assert_eq!(handled, Handled::Applied { released: 1 });
    }
}

#[tokio::test]
async fn a_statement_that_fails_is_a_failure_of_the_event() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let (inbox, _) = inbox(db);
        crate::insert(db, "1/001", "taken").await.unwrap();
        let failed = inbox.handle(&event(1, 1)).await;
        assert!(matches!(&failed, Err(HandlerError::Failed(_))), "{failed:?}");
        db.close().await;
        let failed = inbox.handle(&event(1, 1)).await;
        assert!(matches!(&failed, Err(HandlerError::Store(_))), "{failed:?}");
    }
}

#[tokio::test]
async fn gaps_are_listed_the_oldest_first() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let (inbox, _) = inbox(db);
        inbox.handle(&event(2, 1)).await.unwrap();
        inbox.handle(&event(2, 4)).await.unwrap();
        inbox.handle(&event(2, 6)).await.unwrap();
        execute(db, "UPDATE held_events SET create_time = create_time - 60000000").await;
        inbox.handle(&event(1, 2)).await.unwrap();
        let gaps = inbox.gaps(9).await.unwrap();
        let without_age = |gap: &Gap| (gap.aggregate.clone(), gap.first, gap.last);
        let listed: Vec<_> = gaps.iter().map(without_age).collect();
        assert_eq!(listed, [(order(2), 2, 3), (order(1), 1, 1)]);
        assert_eq!((gaps[0].age.as_secs() / 60, gaps[1].age.as_secs() / 60), (1, 0));
        assert_eq!(inbox.gaps(1).await.unwrap().len(), 1);
        let kept = inbox.kept().await.unwrap();
        assert_eq!((kept.held, kept.gap_age.as_secs() / 60), (3, 1));
    }
}

#[tokio::test]
async fn a_joining_consumer_begins_anywhere_until_it_has_joined() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let (inbox, _) = inbox(db);
        for (id, sequence) in [(1, 5), (1, 6), (1, 8), (2, 7)] {
            assert_eq!(inbox.handle(&event(id, sequence)).await.unwrap(), Handled::Held);
        }
        inbox.handle(&event(3, 1)).await.unwrap();
        assert_eq!(inbox.handle(&event(3, 3)).await.unwrap(), Handled::Held);
        assert_eq!(inbox.handle(&poison(5, 2)).await.unwrap(), Handled::Held);
        assert_eq!(inbox.join().await.unwrap(), 3);
        assert_eq!(inbox.join().await.unwrap(), 0);
        assert_eq!((effects(db, 1).await, effects(db, 2).await), (vec![5, 6], vec![7]));
        assert_eq!(inbox.parked(None, 9).await.unwrap()[0].event, poison(5, 2));

        // A known aggregate goes on without a gap; an unknown one begins.
        assert_eq!(inbox.handle(&event(3, 4)).await.unwrap(), Handled::Held);
        assert_eq!(inbox.handle(&event(4, 9)).await.unwrap(), APPLIED);
        assert_eq!(inbox.handle(&event(4, 8)).await.unwrap(), Handled::Duplicate);
        assert_eq!(inbox.handle(&event(4, 11)).await.unwrap(), Handled::Held);
        inbox.close_join().await.unwrap();
        assert_eq!(inbox.handle(&event(6, 2)).await.unwrap(), Handled::Held);
    }
}

#[tokio::test]
async fn two_consumers_of_one_aggregate_apply_each_event_once() {
    const EVENTS: i64 = 20;
    let (_folder, databases) = both().await;
    for Replicas { one, other } in &databases {
        let mut consumers = JoinSet::new();
        let start = Arc::new(Barrier::new(4));
        for number in 0..4 {
            let (inbox, _) = inbox(if number % 2 == 0 { one } else { other });
            let start = start.clone();
            consumers.spawn(async move {
                start.wait().await;
                for sequence in 1..=EVENTS {
                    // Each swaps other neighbours.
                    let sequence = if number < 2 { sequence } else { ((sequence - 1) ^ 1) + 1 };
                    inbox.handle(&event(1, sequence)).await.unwrap();
                }
            });
        }
        consumers.join_all().await;
        // A second effect of an event would have failed.
        assert_eq!(effects(one, 1).await, (1..=EVENTS).collect::<Vec<_>>());
        assert_eq!(inbox(one).0.kept().await.unwrap(), Kept::default());
    }
}

/// A consumer that is dropped at any await gets its delivery again, as after a crash.
#[tokio::test]
async fn an_event_dropped_at_any_await_takes_effect_once() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let (inbox, _) = inbox(db);
        for polls in 1.. {
            let id = u128::try_from(polls).unwrap();
            inbox.handle(&event(id, 3)).await.unwrap();
            inbox.handle(&event(id, 2)).await.unwrap();
            let first = event(id, 1);
            let done = polled(Box::pin(inbox.handle(&first)), polls).await;
            let again = inbox.handle(&first).await.unwrap();
            assert_eq!(effects(db, id).await, [1, 2, 3], "{polls} polls, then {again:?}");
            if let Some(done) = done {
                assert_eq!(done.unwrap(), Handled::Applied { released: 2 });
                assert_eq!(again, Handled::Duplicate);
                break;
            }
        }
        assert_eq!(inbox.kept().await.unwrap().gap_age, Duration::ZERO);
    }
}

/// The effect is there with the record of its event, or neither is.
#[tokio::test]
async fn an_effect_dropped_at_any_await_is_undone_with_its_record() {
    #[derive(Debug)]
    struct Dropped(usize);
    #[async_trait]
    impl Effect for Dropped {
        async fn apply(&self, conn: &mut Connection, event: &Event) -> Result<(), EffectError> {
            // The effect goes on as if nothing had happened.
            match polled(Box::pin(Write::default().apply(conn, event)), self.0).await {
                Some(done) => done,
                None => Ok(()),
            }
        }
    }
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        for polls in 1.. {
            let id = u128::try_from(polls).unwrap();
            let inbox = Inbox::new(db.clone(), "mailer", Dropped(polls));
            let handled = inbox.handle(&event(id, 1)).await;
            if handled.is_ok() {
                assert_eq!(effects(db, id).await, [1]);
                break;
            }
            assert!(effects(db, id).await.is_empty());
            let whole = Inbox::new(db.clone(), "mailer", Write::default());
            assert_eq!(whole.handle(&event(id, 1)).await.unwrap(), APPLIED);
        }
    }
}
