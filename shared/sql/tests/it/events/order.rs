//! Deliveries in any order, with duplicates.

use std::sync::Mutex;

use async_trait::async_trait;
use gantry_events::{Event, Handler};
use gantry_sql::{
    Connection,
    events::{Effect, EffectError, Inbox},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use super::{Replicas, both, inbox::event};

/// Number of aggregates, and of the events of each.
const AGGREGATES: u128 = 3;
const EVENTS: i64 = 5;

/// Effect that fails at random before the event takes effect or after.
#[derive(Debug, Default)]
struct Recorded {
    failures: Mutex<Vec<bool>>,
}

#[async_trait]
impl Effect for Recorded {
    async fn apply(&self, conn: &mut Connection, event: &Event) -> Result<(), EffectError> {
        // The name is unique: a second effect fails. The note has the order.
        let name = format!("{} {}", event.aggregate, event.sequence);
        let code = format!("{} {}", event.source, name);
        crate::add(conn, &name, &code).await?;
        let place = "SELECT count(*) FROM things WHERE code LIKE $1";
        let pattern = format!("{} {} %", event.source, event.aggregate);
        let applied: i64 = conn.query(place).bind(pattern).fetch_value().await?;
        if applied != event.sequence {
            return Err(EffectError::failed(format_args!("{name} came as number {applied}")));
        }
        let fails = self.failures.lock().ok().and_then(|mut failures| failures.pop());
        if fails == Some(true) { Err(EffectError::failed("by chance")) } else { Ok(()) }
    }
}

/// All events of an order of deliveries: each at least once, shuffled, some twice or three times.
fn deliveries() -> impl Strategy<Value = (Vec<(u128, i64)>, Vec<bool>)> {
    let all = (0..AGGREGATES).flat_map(|id| (1..=EVENTS).map(move |sequence| (id, sequence)));
    let all: Vec<_> = all.collect();
    let copies = vec(1..=3_usize, all.len());
    let deliveries = copies.prop_flat_map(move |copies| {
        let copied = all.iter().zip(copies).flat_map(|(place, n)| std::iter::repeat_n(*place, n));
        Just(copied.collect::<Vec<_>>()).prop_shuffle()
    });
    (deliveries, vec(any::<bool>(), 0..20))
}

/// Events of a run are told from those of others by the aggregate's number.
fn of_run(run: u128, id: u128) -> u128 {
    run * AGGREGATES + id
}

#[tokio::test]
async fn any_order_of_deliveries_takes_effect_once_and_in_order() {
    let (_folder, databases) = both().await;
    let mut runner = TestRunner::new(Config::default());
    for run in 0..6 {
        let (order, failures) = deliveries().new_tree(&mut runner).unwrap().current();
        for Replicas { one: db, .. } in &databases {
            let effect = Recorded { failures: Mutex::new(failures.clone()) };
            let inbox = Inbox::new(db.clone(), format!("run {run}"), effect);
            for (id, sequence) in &order {
                let event = event(of_run(run, *id), *sequence);
                // As a consumer does: again after a failure, then parked.
                let mut attempts = 0;
                while let Err(error) = inbox.handle(&event).await {
                    attempts += 1;
                    if attempts == 3 {
                        inbox.park(&event, &error.to_string()).await.unwrap();
                        break;
                    }
                }
            }
            for id in 0..AGGREGATES {
                let aggregate = event(of_run(run, id), 1).aggregate;
                // One more than the effect fails.
                for _ in 0..=failures.len() {
                    if inbox.replay(&aggregate).await.is_ok() {
                        break;
                    }
                }
            }
            let kept = inbox.kept().await.unwrap();
            assert_eq!(kept, gantry_sql::events::Kept::default(), "{order:?} {failures:?}");
            let names = crate::names(db).await;
            for id in 0..AGGREGATES {
                let of_one = format!("{} ", event(of_run(run, id), 1).aggregate);
                let applied = names.iter().filter(|name| name.starts_with(&of_one)).count();
                assert_eq!(applied, usize::try_from(EVENTS).unwrap(), "{order:?} {failures:?}");
            }
        }
    }
}
