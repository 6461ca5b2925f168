//! Calls at the same time, through two replicas of the repository.

use gantry_inventory::{
    application::{InventoryError, InventoryRepository},
    domain::{Command, Status},
    outbound::sql::SqlRepository,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{fresh, product};
use crate::support::{Counts, NOW, counts, items, sku};

pub(super) async fn counted(repository: &SqlRepository, text: &str) -> Counts {
    counts(repository.products(&[sku(text)]).await.unwrap()[&sku(text)].stock)
}

pub(super) async fn concurrent_reservations_never_oversell(replicas: [SqlRepository; 2]) {
    const STOCK: u32 = 20;
    for text in ["a", "b"] {
        replicas[0].create_product(product(text, STOCK), fresh()).await.unwrap();
    }
    // Each call reserves one of both products. Half of the calls name one first, half the other.
    let mut tasks = JoinSet::new();
    for (id, replica) in (0..64).zip(replicas.iter().cycle()) {
        let replica = replica.clone();
        tasks.spawn(async move {
            let wanted = if id / 2 % 2 == 0 { [("a", 1), ("b", 1)] } else { [("b", 1), ("a", 1)] };
            let command = Command::Reserve(items(&wanted));
            replica.change_reservation(Uuid::from_u128(id), command, fresh(), NOW).await
        });
    }
    let answers = tasks.join_all().await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(won, STOCK as usize);
    let refused = |answer: &Result<_, _>| matches!(answer, Ok(_) | Err(InventoryError::Refused(_)));
    assert!(answers.iter().all(refused), "{answers:?}");
    for text in ["a", "b"] {
        assert_eq!(counted(&replicas[1], text).await, (0, STOCK, 0));
    }
}

pub(super) async fn concurrent_commit_and_release_have_one_winner(replicas: [SqlRepository; 2]) {
    let [one, other] = replicas;
    one.create_product(product("a", 100), fresh()).await.unwrap();
    let (mut sold, mut back) = (0, 0);
    for id in (0..25).map(Uuid::from_u128) {
        let reserve = Command::Reserve(items(&[("a", 4)]));
        one.change_reservation(id, reserve, fresh(), NOW).await.unwrap();
        let race = |replica: &SqlRepository, command| {
            let replica = replica.clone();
            tokio::spawn(async move { replica.change_reservation(id, command, fresh(), NOW).await })
        };
        let (commit, release) = (race(&one, Command::Commit), race(&other, Command::Release));
        match (commit.await.unwrap(), release.await.unwrap()) {
            (Ok(won), Err(InventoryError::Refused(_))) => {
                assert_eq!(won.status(), Status::Committed);
                sold += 4;
            }
            (Err(InventoryError::Refused(_)), Ok(won)) => {
                assert_eq!(won.status(), Status::Released);
                back += 4;
            }
            other => panic!("not one winner: {other:?}"),
        }
    }
    assert_eq!(sold + back, 100);
    assert_eq!(counted(&other, "a").await, (back, 0, sold));
}

/// Each reservation takes all that is left, so a repetition that was not recognised would be refused.
pub(super) async fn concurrent_repetitions_make_one_reservation(replicas: [SqlRepository; 2]) {
    for id in 0..25 {
        let text = format!("p{id}");
        replicas[0].create_product(product(&text, 4), fresh()).await.unwrap();
        let request = fresh();
        let mut calls = JoinSet::new();
        for replica in replicas.clone() {
            let (request, command) = (request.clone(), Command::Reserve(items(&[(&text, 4)])));
            let id = Uuid::from_u128(id);
            calls.spawn(async move { replica.change_reservation(id, command, request, NOW).await });
        }
        for answer in calls.join_all().await {
            assert_eq!(answer.unwrap().status(), Status::Reserved);
        }
        assert_eq!(counted(&replicas[0], &text).await, (0, 4, 0));
    }
}
