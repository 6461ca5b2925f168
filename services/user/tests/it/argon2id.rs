//! The password hasher.

use std::sync::Arc;

use gantry_user::{
    application::{PasswordHasher, UserError},
    domain::{Attempt, Password, PasswordHash},
    outbound::argon2id::{Argon2id, HashSettings},
};
use tokio::task::JoinSet;

/// Costs next to nothing.
const CHEAP: HashSettings =
    HashSettings { memory_kib: 8, iterations: 1, lanes: 1, parallel: 1, waiting: 8 };

/// Takes so long that what comes next finds it running.
const DEAR: HashSettings = HashSettings { memory_kib: 32 * 1024, iterations: 4, ..CHEAP };

async fn hasher(settings: HashSettings) -> Argon2id {
    Argon2id::new(&settings).await.unwrap()
}

fn password(text: &str) -> Password {
    Password::try_new(text).unwrap()
}

#[tokio::test]
async fn only_the_password_that_was_hashed_is_right() {
    let hasher = hasher(CHEAP).await;
    let hash = hasher.hash(password("correct horse")).await.unwrap();
    let verify = |text: &str| hasher.verify(Attempt::new(text), Some(hash.clone()));
    assert!(verify("correct horse").await.unwrap());
    for wrong in ["", "correct hors", "Correct horse", "correct horse ", "correct horse\0"] {
        assert!(!verify(wrong).await.unwrap(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_hash_names_its_parameters_and_never_comes_twice() {
    let hasher = hasher(HashSettings { memory_kib: 64, iterations: 3, lanes: 2, ..CHEAP }).await;
    let first = hasher.hash(password("correct horse")).await.unwrap();
    assert!(first.as_str().starts_with("$argon2id$v=19$m=64,t=3,p=2$"), "{}", first.as_str());
    let second = hasher.hash(password("correct horse")).await.unwrap();
    assert_ne!(first, second, "each has a salt of its own");
}

#[tokio::test]
async fn a_hash_made_under_other_parameters_stays_valid() {
    let hash = hasher(CHEAP).await.hash(password("correct horse")).await.unwrap();
    let later = hasher(HashSettings { memory_kib: 64, iterations: 2, ..CHEAP }).await;
    // One at a time, so that all of them take turns with the same memory.
    let own = later.hash(password("battery staple")).await.unwrap();
    for _ in 0..2 {
        assert!(later.verify(Attempt::new("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!later.verify(Attempt::new("correct horse"), Some(own.clone())).await.unwrap());
        assert!(later.verify(Attempt::new("battery staple"), Some(own.clone())).await.unwrap());
    }
}

#[tokio::test]
async fn a_damaged_hash_is_a_failure_and_not_a_wrong_password() {
    let hasher = hasher(CHEAP).await;
    for damaged in ["", "correct horse", "$argon2id$v=19$m=8,t=1,p=1$x"] {
        let hash = Some(PasswordHash::new(damaged));
        let answer = hasher.verify(Attempt::new("correct horse"), hash).await;
        let Err(UserError::Failed(error)) = answer else { panic!("{answer:?}") };
        assert!(!error.to_string().contains("horse"));
    }
}

#[tokio::test]
async fn nobody_has_no_password() {
    let hasher = hasher(CHEAP).await;
    // The empty one is that of the made-up hash.
    for attempt in ["", "correct horse"] {
        assert!(!hasher.verify(Attempt::new(attempt), None).await.unwrap());
    }
}

#[tokio::test]
async fn asking_for_nobody_costs_a_hash_in_the_same_queue() {
    let hasher = hasher(HashSettings { waiting: 0, ..DEAR }).await;
    // The first takes the only turn; the second would have to wait, and may not.
    let (first, second) = tokio::join!(
        hasher.verify(Attempt::new("correct horse"), None),
        hasher.verify(Attempt::new("correct horse"), None),
    );
    assert!(!first.unwrap());
    assert!(matches!(second, Err(UserError::Overloaded)), "{second:?}");
    // Its turn is over with it.
    assert!(!hasher.verify(Attempt::new("correct horse"), None).await.unwrap());
}

#[tokio::test]
async fn whoever_waits_gets_a_turn_and_no_more_wait_than_may() {
    let hasher = Arc::new(hasher(HashSettings { parallel: 2, waiting: 3, ..DEAR }).await);
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let hasher = Arc::clone(&hasher);
        callers.spawn(async move { hasher.hash(password("correct horse")).await.is_ok() });
    }
    let hashed = callers.join_all().await.into_iter().filter(|hashed| *hashed).count();
    assert_eq!(hashed, 5);
}

#[tokio::test]
async fn whoever_gives_up_waiting_makes_room() {
    let hasher = hasher(HashSettings { waiting: 1, ..DEAR }).await;
    // Polled in this order: the first has the turn, the second waits and gives up.
    let (running, (), late) = tokio::join!(
        hasher.hash(password("correct horse")),
        async {
            tokio::select! {
                biased;
                hash = hasher.hash(password("correct horse")) => panic!("{hash:?}"),
                () = std::future::ready(()) => {}
            }
        },
        hasher.hash(password("correct horse")),
    );
    running.unwrap();
    late.unwrap();
}
