use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;
use gantry_events::{Context, NewEvent, Outbox, envelope::MAX_DATA};
use gantry_sql::{
    Database, Settings,
    events::{self, OutboxStore, PUBLISHED},
};
use gantry_sql_testing::Server;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Replicas, append, both, execute, order, outbox, placed, places, unpublished};
use crate::{MIGRATIONS, polls::polled};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_event_reads_back_with_its_place() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let context = Context {
            trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            request_id: Some("request".to_owned()),
        };
        let first = NewEvent { context, ..placed(1) };
        append(db, vec![first.clone(), placed(2), placed(1)]).await.unwrap();
        append(db, vec![placed(1)]).await.unwrap();

        let events = unpublished(&outbox(db).await).await;
        assert_eq!(places(&events), [(1, 1), (1, 2), (2, 1), (1, 3)]);
        let read = &events[0];
        assert_eq!((read.source.as_str(), &read.aggregate), ("order", &first.aggregate));
        assert_eq!((read.kind.as_str(), read.schema.as_str()), (first.kind, first.schema));
        assert_eq!((&read.data, &read.context), (&first.data, &first.context));
        assert_eq!(events[1].context, Context::default());
        let age = OffsetDateTime::now_utc() - read.time;
        assert!(age.abs() < MINUTE, "{age}");
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_published_is_refused() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        for kind in ["user.registered", "order", "orders.placed"] {
            let refused = append(db, vec![NewEvent { kind, ..placed(1) }]).await.unwrap_err();
            assert!(refused.to_string().contains(kind), "{refused}");
        }
        let data = Bytes::from(vec![0; MAX_DATA + 1]);
        let refused = append(db, vec![NewEvent { data, ..placed(1) }]).await.unwrap_err();
        assert!(refused.to_string().contains("262145 bytes"), "{refused}");
        assert!(unpublished(&outbox(db).await).await.is_empty());
    }
}

#[tokio::test]
async fn a_unit_that_fails_leaves_neither_event_nor_gap() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        append(db, vec![placed(1)]).await.unwrap();
        let failed: Result<(), sqlx::Error> = db
            .write((), |conn, ()| {
                Box::pin(async move {
                    events::append(conn, &[placed(1), placed(2)]).await?;
                    Err(sqlx::Error::RowNotFound)
                })
            })
            .await;
        failed.unwrap_err();
        append(db, vec![placed(1), placed(2)]).await.unwrap();
        assert_eq!(places(&unpublished(&outbox(db).await).await), [(1, 1), (1, 2), (2, 1)]);
    }
}

#[tokio::test]
async fn concurrent_appends_leave_no_gap_and_keep_order() {
    const WRITERS: usize = 8;
    const EACH: usize = 10;
    let (_folder, databases) = both().await;
    for Replicas { one, other } in &databases {
        let mut writers = JoinSet::new();
        for number in 0..WRITERS {
            let db = if number % 2 == 0 { one.clone() } else { other.clone() };
            writers.spawn(async move {
                for _ in 0..EACH {
                    // In opposite orders: the units must not lock each other out.
                    let mut events = vec![placed(1), placed(2)];
                    events.rotate_left(number % 2);
                    let written: Result<(), sqlx::Error> = db
                        .write_locked(events, |conn, events| Box::pin(events::append(conn, events)))
                        .await;
                    written.unwrap();
                }
            });
        }
        writers.join_all().await;
        let events = unpublished(&outbox(one).await).await;
        for id in [1, 2] {
            let of_one = places(&events).into_iter().filter(|(of, _)| *of == id);
            let sequences: Vec<_> = of_one.map(|(_, sequence)| sequence).collect();
            let expected: Vec<_> = (1..=i64::try_from(WRITERS * EACH).unwrap()).collect();
            assert_eq!(sequences, expected);
        }
    }
}

#[tokio::test]
async fn only_the_marked_events_are_published() {
    let (_folder, databases) = both().await;
    for Replicas { one, other } in &databases {
        append(one, vec![placed(1), placed(1), placed(2), placed(2)]).await.unwrap();
        let outbox = outbox(one).await;
        let events = unpublished(&outbox).await;
        assert_eq!(places(&outbox.unpublished(3, &[]).await.unwrap()), [(1, 1), (1, 2), (2, 1)]);

        // The sequences and the aggregates of both are those of the other two as well.
        let marked = [events[0].clone(), events[3].clone()];
        outbox.mark_published(&marked).await.unwrap();
        assert_eq!(places(&unpublished(&outbox).await), [(1, 2), (2, 1)]);
        // Another relay that had them in hand.
        let relay = super::outbox(other).await;
        relay.mark_published(&marked).await.unwrap();
        relay.mark_published(&[]).await.unwrap();
        assert_eq!(places(&unpublished(&outbox).await), [(1, 2), (2, 1)]);
    }
}

#[tokio::test]
async fn events_of_blocked_aggregates_are_left_out() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        append(db, vec![placed(1), placed(2), placed(3)]).await.unwrap();
        append(db, vec![placed(1), placed(2)]).await.unwrap();
        let outbox = outbox(db).await;
        let events = outbox.unpublished(2, &[order(1), order(3)]).await.unwrap();
        assert_eq!(places(&events), [(2, 1), (2, 2)]);
    }
}

#[tokio::test]
async fn a_lease_has_one_holder_until_it_ends() {
    let (_folder, databases) = both().await;
    for Replicas { one, other } in &databases {
        let (ann, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (first, second) = (outbox(one).await, outbox(other).await);
        assert!(first.lease(ann, MINUTE).await.unwrap());
        assert!(first.lease(ann, MINUTE).await.unwrap(), "it is extended");
        assert!(!second.lease(bob, MINUTE).await.unwrap());
        second.release(bob).await.unwrap();
        assert!(!second.lease(bob, MINUTE).await.unwrap(), "only the holder gives it back");
        assert_eq!(epoch(one).await, 1);

        // Time passes.
        execute(one, "UPDATE leases SET expire_time = expire_time - 60000000").await;
        assert!(second.lease(bob, MINUTE).await.unwrap());
        assert!(!first.lease(ann, MINUTE).await.unwrap());
        second.release(bob).await.unwrap();
        assert!(first.lease(ann, MINUTE).await.unwrap());
        assert_eq!(epoch(one).await, 3);
    }
}

#[tokio::test]
async fn concurrent_relays_share_no_lease() {
    let (_folder, databases) = both().await;
    for Replicas { one, other } in &databases {
        let mut outboxes = Vec::new();
        for number in 0..8 {
            outboxes.push((number, outbox(if number % 2 == 0 { one } else { other }).await));
        }
        let mut relays = JoinSet::new();
        for (number, outbox) in outboxes {
            relays.spawn(async move { outbox.lease(Uuid::from_u128(number), MINUTE).await });
        }
        let leased = relays.join_all().await;
        assert_eq!(leased.iter().filter(|leased| *leased.as_ref().unwrap()).count(), 1);
    }
}

#[tokio::test]
async fn opening_ends_the_lease_only_where_no_other_process_is() {
    let (_folder, databases) = both().await;
    for Replicas { one, other } in &databases {
        assert!(outbox(one).await.lease(Uuid::from_u128(1), MINUTE).await.unwrap());
        let leased = outbox(other).await.lease(Uuid::from_u128(2), MINUTE).await.unwrap();
        assert_eq!(leased, !one.is_shared());
    }
}

async fn epoch(db: &Database) -> i64 {
    db.reader().await.unwrap().query("SELECT epoch FROM leases").fetch_value().await.unwrap()
}

#[tokio::test]
async fn published_events_are_purged_and_their_sequences_are_not_used_again() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        append(db, vec![placed(1), placed(1), placed(2)]).await.unwrap();
        let outbox = outbox(db).await;
        let events = unpublished(&outbox).await;
        outbox.mark_published(&events[..2]).await.unwrap();

        let now = OffsetDateTime::now_utc();
        let shortly = Duration::from_secs(600);
        assert_eq!(PUBLISHED.run(db, now + PUBLISHED.kept - shortly).await.unwrap(), 0);
        assert_eq!(PUBLISHED.run(db, now + PUBLISHED.kept + shortly).await.unwrap(), 2);
        append(db, vec![placed(1)]).await.unwrap();
        assert_eq!(places(&unpublished(&outbox).await), [(2, 1), (1, 3)]);
        assert_eq!(outbox.republish(&order(1), 1).await.unwrap(), 0, "they are gone");
    }
}

#[tokio::test]
async fn a_republished_aggregate_waits_again_in_order() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        append(db, vec![placed(1), placed(1), placed(1), placed(2)]).await.unwrap();
        let outbox = outbox(db).await;
        let events = unpublished(&outbox).await;
        outbox.mark_published(&events).await.unwrap();
        append(db, vec![placed(1)]).await.unwrap();
        assert_eq!(outbox.republish(&order(1), 2).await.unwrap(), 2);
        let again = unpublished(&outbox).await;
        assert_eq!(places(&again), [(1, 2), (1, 3), (1, 4)]);
        assert_eq!(again[..2], events[1..3], "they are the same events");
        assert_eq!(outbox.republish(&order(9), 1).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn lag_is_the_number_and_the_age_of_what_waits() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let outbox = outbox(db).await;
        assert_eq!(outbox.lag().await.unwrap(), gantry_events::Lag::default());
        append(db, vec![placed(1), placed(2)]).await.unwrap();
        execute(db, "UPDATE outbox SET create_time = create_time - 3600000000").await;
        append(db, vec![placed(3)]).await.unwrap();
        let lag = outbox.lag().await.unwrap();
        assert_eq!((lag.events, lag.age.as_secs() / 60), (3, 60));

        let events = unpublished(&outbox).await;
        outbox.mark_published(&events[..2]).await.unwrap();
        let lag = outbox.lag().await.unwrap();
        assert_eq!((lag.events, lag.age.as_secs() / 60), (1, 0));
    }
}

#[tokio::test]
async fn the_relay_is_woken_by_each_commit_of_its_process() {
    let (_folder, databases) = both().await;
    for Replicas { one: db, .. } in &databases {
        let (first, second) = (outbox(db).await, outbox(db).await);
        let is_woken = async |outbox: &OutboxStore| {
            polled(Box::pin(outbox.changed(MINUTE)), 1).await.is_some()
        };
        assert!(!is_woken(&first).await);

        // It waits, or comes later: neither misses the commit.
        let waiting = first.changed(MINUTE);
        let ((), written) = tokio::join!(waiting, append(db, vec![placed(1), placed(2)]));
        written.unwrap();
        assert!(is_woken(&second).await);
        assert!(!is_woken(&first).await && !is_woken(&second).await, "woken twice");

        let failed: Result<(), sqlx::Error> = db
            .write((), |conn, ()| {
                Box::pin(async move {
                    events::append(conn, &[placed(1)]).await?;
                    Err(sqlx::Error::RowNotFound)
                })
            })
            .await;
        failed.unwrap_err();
        crate::insert(db, "a", "x").await.unwrap();
        assert!(!is_woken(&first).await, "nothing was appended");

        first.mark_published(&unpublished(&first).await).await.unwrap();
        first.republish(&order(1), 1).await.unwrap();
        assert!(is_woken(&first).await);
    }
}

#[tokio::test]
async fn a_wait_for_a_commit_ends_after_its_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let db = crate::open(&folder).await.unwrap();
    let outbox = outbox(&db).await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    outbox.changed(MINUTE).await;
    // The timer counts in milliseconds.
    assert_eq!(began.elapsed().as_secs(), MINUTE.as_secs());
}

/// An append that is dropped at any await writes the event with the rest of its unit, or neither.
#[tokio::test]
async fn a_caller_dropped_at_any_await_leaves_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Settings::sqlite_file(folder.path().join("test.db"));
    let mut postgres = Server::shared().database().await;
    postgres.postgres.writers = NonZeroU32::MIN;
    for settings in [sqlite, postgres] {
        let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
        for polls in 1.. {
            let unit = db.write(polls, |conn, number: &usize| {
                Box::pin(async move {
                    let name = format!("thing {number}");
                    crate::add(conn, &name, &name).await?;
                    events::append(conn, &[placed(1)]).await
                })
            });
            let done: Option<Result<(), sqlx::Error>> = polled(Box::pin(unit), polls).await;
            // The next unit has the connection of the dropped one, so that one has ended.
            append(&db, vec![placed(2)]).await.unwrap();
            let outbox = outbox(&db).await;
            let events = places(&unpublished(&outbox).await);
            let of_one: Vec<_> = events.iter().filter(|(of, _)| *of == 1).collect();
            let expected: Vec<_> = (1..).map(|sequence| (1, sequence)).take(of_one.len()).collect();
            assert!(of_one.into_iter().eq(&expected), "{events:?}");
            assert_eq!(crate::names(&db).await.len(), expected.len(), "in part: {events:?}");
            if let Some(done) = done {
                done.unwrap();
                break;
            }
        }
    }
}
