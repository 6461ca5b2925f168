//! The suite on PostgreSQL, and a test with two pools, as two replicas have them.

use gantry_common_testing::repository::{postgres, replicas};
use gantry_contract::page::PageRequest;
use gantry_user::{
    application::{Created, UserError, UserRepository},
    outbound::sql::{MIGRATIONS, SqlRepository},
};
use tokio::task::JoinSet;

use super::{id, request, requested};

async fn users() -> ((), SqlRepository) {
    ((), SqlRepository::new(postgres(&MIGRATIONS).await))
}

contract!(users);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_calls_one_gets_an_address() {
    let replicas = replicas::<2>(&MIGRATIONS).await.map(SqlRepository::new);
    let mut crowd = JoinSet::new();
    // Every request comes through both replicas.
    for number in 1..=32 {
        for users in replicas.clone() {
            let new = requested(number, "ann@example.org", request(number, 1));
            crowd.spawn(async move { (number, users.create(new).await) });
        }
    }
    let answers = crowd.join_all().await;
    let created = answers.iter().filter(|(_, answer)| matches!(answer, Ok(Created::Now)));
    let winners: Vec<_> = created.map(|(number, _)| *number).collect();
    let [winner] = winners[..] else { panic!("{answers:?}") };
    for (number, answer) in &answers {
        match answer {
            Ok(Created::Now) => {}
            Ok(Created::Before(user)) => assert_eq!((*number, *user), (winner, id(winner))),
            Err(UserError::EmailTaken) => assert_ne!(*number, winner),
            Err(error) => panic!("{error}"),
        }
    }
    let all = PageRequest::new("users", 9, "", true).unwrap();
    assert_eq!(replicas[0].list(None, &all).await.unwrap().total, Some(1));
}
