//! The suite on PostgreSQL, and tests with two pools, as two replicas have them.

use gantry_common_testing::repository::{postgres, replicas};
use gantry_order::{
    application::{CommitError, DraftQuota, OrderRepository, UnitOfWork},
    outbound::sql::{MIGRATIONS, SqlRepository},
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{ANN, NOW, draft, fresh, request, unit};

async fn orders() -> ((), SqlRepository) {
    ((), SqlRepository::new(postgres(&MIGRATIONS).await))
}

contract!(orders);

async fn two() -> [SqlRepository; 2] {
    replicas::<2>(&MIGRATIONS).await.map(SqlRepository::new)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_replicas_changes_one_of_a_version_is_taken() {
    let replicas = two().await;
    let made = draft(ANN, &[("mug", 1)]);
    let order = made.order.clone();
    replicas[0].commit(unit(made)).await.unwrap();
    let mut changes = JoinSet::new();
    for replica in replicas.iter().cycle().take(32) {
        let saga = Uuid::from_u128(fresh());
        let change = unit(order.place(order.price(), saga, None, NOW).unwrap());
        let replica = replica.clone();
        changes.spawn(async move { replica.commit(change).await });
    }
    let mut taken = 0;
    for outcome in changes.join_all().await {
        match outcome {
            Ok(()) => taken += 1,
            Err(CommitError::Stale) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(taken, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_together_keep_to_the_quota_of_drafts() {
    const MAX: u32 = 5;
    let replicas = two().await;
    let mut drafts = JoinSet::new();
    for replica in replicas.iter().cycle().take(24) {
        let (replica, unit) = (replica.clone(), unit(draft(ANN, &[("mug", 1)])));
        let quota = DraftQuota { max: MAX, changed_since: NOW };
        drafts.spawn(async move { replica.create(unit, quota).await });
    }
    let mut made = 0;
    for outcome in drafts.join_all().await {
        match outcome {
            Ok(()) => made += 1,
            Err(CommitError::TooManyDrafts) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(made, MAX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_through_two_replicas_makes_one_order() {
    let replicas = two().await;
    for number in 0..20 {
        let mut calls = JoinSet::new();
        for replica in replicas.clone() {
            let request = Some(request(number, 1));
            let unit = UnitOfWork { request, ..unit(draft(ANN, &[("mug", 1)])) };
            let id = unit.change.order.id();
            calls.spawn(async move { (id, replica.commit(unit).await) });
        }
        let outcomes = calls.join_all().await;
        let (made, repeated): (Vec<_>, Vec<_>) =
            outcomes.iter().partition(|(_, outcome)| outcome.is_ok());
        let ([(made, _)], [(_, Err(CommitError::Repeated(known)))]) = (&made[..], &repeated[..])
        else {
            panic!("{outcomes:?}")
        };
        assert_eq!(known, made);
    }
}
