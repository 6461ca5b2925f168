//! The queue of mails, on both engines.

use std::time::Duration;

use gantry_common_testing::repository::{self, assert_prepared, assert_reversible};
use gantry_notification::{
    application::{Cause, Claims, Ended, Jobs, NewMail, StaleClaim},
    domain::{Notice, RejectReason},
    outbound::sql::{MIGRATIONS, SqlJobs},
};
use gantry_sql::Database;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{euros, state, welcome, write};

const LEASE: Duration = Duration::from_secs(60);

async fn sqlite() -> (TempDir, (Database, SqlJobs)) {
    let (folder, database) = repository::database(&MIGRATIONS).await;
    (folder, (database.clone(), SqlJobs::open(database).await.unwrap()))
}

async fn postgres() -> ((), (Database, SqlJobs)) {
    let database = repository::postgres(&MIGRATIONS).await;
    ((), (database.clone(), SqlJobs::open(database).await.unwrap()))
}

mod suite {
    use super::*;

    type Fixture = (Database, SqlJobs);

    pub(super) async fn every_kind_reads_back((database, jobs): &Fixture) {
        let order = Uuid::from_u128(9);
        let mut mails = vec![
            welcome(1),
            NewMail { notice: Notice::OrderConfirmed { order, total: euros(5) }, ..welcome(2) },
        ];
        mails.extend(RejectReason::ALL.into_iter().zip(3..).map(|(reason, event)| NewMail {
            notice: Notice::OrderRejected { order, reason },
            cause: Cause { trace: Some("00-a".to_owned()), request_id: Some("r".to_owned()) },
            ..welcome(event)
        }));
        for mail in &mails {
            write(database, jobs, mail.clone()).await;
        }
        let mut claimed = jobs.claim(100, LEASE).await.unwrap();
        claimed.mails.sort_by_key(|claimed| claimed.mail.id);
        assert!(claimed.mails.iter().all(|claimed| claimed.epoch == 1 && claimed.failures == 0));
        let found: Vec<_> = claimed.mails.into_iter().map(|claimed| claimed.mail).collect();
        assert_eq!(found, mails);
    }

    pub(super) async fn an_event_makes_one_mail((database, jobs): &Fixture) {
        write(database, jobs, welcome(1)).await;
        write(database, jobs, welcome(1)).await;
        assert_eq!(jobs.claim(100, LEASE).await.unwrap().mails.len(), 1);
    }

    pub(super) async fn a_lease_keeps_others_away((database, jobs): &Fixture) {
        write(database, jobs, welcome(1)).await;
        let mine = jobs.claim(1, LEASE).await.unwrap().mails.remove(0);
        assert_eq!(jobs.claim(1, LEASE).await.unwrap(), Claims::default());
        // An ended lease is another's.
        jobs.postpone(mine.mail.id, 1, Duration::ZERO, false).await.unwrap();
        let theirs = jobs.claim(1, LEASE).await.unwrap().mails.remove(0);
        assert_eq!((theirs.epoch, theirs.failures), (2, 1));
        for stale in [
            jobs.end(mine.mail.id, mine.epoch, Ended::Sent).await,
            jobs.begin_delivery(mine.mail.id, mine.epoch, LEASE).await,
            jobs.postpone(mine.mail.id, mine.epoch, LEASE, false).await,
        ] {
            assert!(matches!(stale, Err(StaleClaim::Stale)), "{stale:?}");
        }
        jobs.end(theirs.mail.id, theirs.epoch, Ended::Sent).await.unwrap();
        assert_eq!(state(database, 1).await, ("sent".to_owned(), 1, None));
    }

    pub(super) async fn a_postponed_mail_is_not_due((database, jobs): &Fixture) {
        write(database, jobs, welcome(1)).await;
        let mine = jobs.claim(1, LEASE).await.unwrap().mails.remove(0);
        jobs.postpone(mine.mail.id, mine.epoch, LEASE, false).await.unwrap();
        assert_eq!(jobs.claim(1, LEASE).await.unwrap(), Claims::default());
    }

    pub(super) async fn only_deliveries_that_may_have_happened_count((db, jobs): &Fixture) {
        write(db, jobs, welcome(1)).await;
        for (undelivered, counted) in [(true, 0), (false, 0), (true, 1), (false, 1)] {
            let mine = jobs.claim(1, LEASE).await.unwrap().mails.remove(0);
            assert_eq!(mine.deliveries, counted);
            jobs.begin_delivery(mine.mail.id, mine.epoch, LEASE).await.unwrap();
            let postponed =
                jobs.postpone(mine.mail.id, mine.epoch, Duration::ZERO, undelivered).await;
            postponed.unwrap();
        }
        assert_eq!(jobs.claim(1, LEASE).await.unwrap().mails[0].deliveries, 2);
    }

    pub(super) async fn an_ended_mail_is_never_claimed((database, jobs): &Fixture) {
        for (event, ended, status) in [
            (1, Ended::Sent, "sent"),
            (2, Ended::Skipped, "skipped"),
            (3, Ended::Failed("because"), "failed"),
        ] {
            write(database, jobs, welcome(event)).await;
            let mine = jobs.claim(1, LEASE).await.unwrap().mails.remove(0);
            jobs.end(mine.mail.id, mine.epoch, ended).await.unwrap();
            let cause = (status == "failed").then(|| "because".to_owned());
            assert_eq!(state(database, event).await, (status.to_owned(), 0, cause));
        }
        assert_eq!(jobs.claim(100, LEASE).await.unwrap(), Claims::default());
    }
}

macro_rules! contract {
    ($open:path) => {
        gantry_common_testing::repository_contract! { super::suite, $open:
            every_kind_reads_back
            an_event_makes_one_mail
            a_lease_keeps_others_away
            a_postponed_mail_is_not_due
            only_deliveries_that_may_have_happened_count
            an_ended_mail_is_never_claimed
        }
    };
}

mod on_sqlite {
    contract!(super::sqlite);
}

mod on_postgres {
    contract!(super::postgres);
}

#[tokio::test]
async fn a_start_on_sqlite_ends_all_leases() {
    let (_folder, (database, jobs)) = sqlite().await;
    write(&database, &jobs, welcome(1)).await;
    assert_eq!(jobs.claim(1, LEASE).await.unwrap().mails.len(), 1);
    let again = SqlJobs::open(database).await.unwrap();
    assert_eq!(again.claim(1, LEASE).await.unwrap().mails[0].epoch, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_claims_take_different_mails() {
    let databases = repository::replicas::<2>(&MIGRATIONS).await;
    let jobs = SqlJobs::open(databases[0].clone()).await.unwrap();
    let other = SqlJobs::open(databases[1].clone()).await.unwrap();
    for event in 0..40 {
        write(&databases[0], &jobs, welcome(event)).await;
    }
    let mut claims = tokio::task::JoinSet::new();
    for number in 0..16 {
        let jobs = if number % 2 == 0 { jobs.clone() } else { other.clone() };
        claims.spawn(async move { jobs.claim(5, LEASE).await.unwrap().mails });
    }
    let mut ids: Vec<_> =
        claims.join_all().await.into_iter().flatten().map(|claimed| claimed.mail.id).collect();
    ids.sort_unstable();
    let taken = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), taken, "a mail was claimed twice");
    assert!(taken >= 5, "{taken}");
}

#[tokio::test]
async fn every_statement_is_prepared_on_both_engines() {
    assert_prepared(concat!(env!("CARGO_MANIFEST_DIR"), "/src"), &MIGRATIONS).await;
}

#[tokio::test]
async fn the_migrations_are_reversible() {
    assert_reversible(&MIGRATIONS).await;
}
