//! The password hasher.

use std::sync::Arc;

use gantry_user::{
    application::{PasswordHasher, UserError},
    domain::{Password, PasswordAttempt, PasswordHash},
    outbound::argon2id::{Argon2id, HashSettings},
};
use tokio::task::JoinSet;

/// Settings of a hash that costs next to nothing.
const CHEAP: HashSettings =
    HashSettings { memory_kib: 8, iterations: 1, lanes: 1, parallel: 1, waiting: 8 };

/// Settings of a hash that is still running when the next call arrives.
const EXPENSIVE: HashSettings = HashSettings { memory_kib: 32 * 1024, iterations: 4, ..CHEAP };

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
    let verify = |text: &str| hasher.verify(PasswordAttempt::new(text), Some(hash.clone()));
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
    assert_ne!(first, second, "each hash has its own salt");
}

#[tokio::test]
async fn a_hash_made_under_other_parameters_stays_valid() {
    let hash = hasher(CHEAP).await.hash(password("correct horse")).await.unwrap();
    let later = hasher(HashSettings { memory_kib: 64, iterations: 2, ..CHEAP }).await;
    // One at a time, so that all hashes use the same memory.
    let own = later.hash(password("battery staple")).await.unwrap();
    for _ in 0..2 {
        assert!(
            later.verify(PasswordAttempt::new("correct horse"), Some(hash.clone())).await.unwrap()
        );
        assert!(
            !later.verify(PasswordAttempt::new("correct horse"), Some(own.clone())).await.unwrap()
        );
        assert!(
            later.verify(PasswordAttempt::new("battery staple"), Some(own.clone())).await.unwrap()
        );
    }
}

#[tokio::test]
async fn a_damaged_hash_is_an_error_not_a_wrong_password() {
    let hasher = hasher(CHEAP).await;
    for damaged in ["", "correct horse", "$argon2id$v=19$m=8,t=1,p=1$x"] {
        let hash = Some(PasswordHash::new(damaged));
        let answer = hasher.verify(PasswordAttempt::new("correct horse"), hash).await;
        let Err(UserError::Failed(error)) = answer else { panic!("{answer:?}") };
        assert!(!error.to_string().contains("horse"));
    }
}

#[tokio::test]
async fn no_password_matches_a_missing_hash() {
    let hasher = hasher(CHEAP).await;
    // A missing hash is replaced by the hash of the empty password.
    for attempt in ["", "correct horse"] {
        assert!(!hasher.verify(PasswordAttempt::new(attempt), None).await.unwrap());
    }
}

#[tokio::test]
async fn a_missing_hash_takes_a_turn_of_the_same_queue() {
    let hasher = hasher(HashSettings { waiting: 0, ..EXPENSIVE }).await;
    // The first call takes the only turn. The second would have to wait, and the queue has no room.
    let (first, second) = tokio::join!(
        hasher.verify(PasswordAttempt::new("correct horse"), None),
        hasher.verify(PasswordAttempt::new("correct horse"), None),
    );
    assert!(!first.unwrap());
    assert!(matches!(second, Err(UserError::Overloaded)), "{second:?}");
    // The turn is free again.
    assert!(!hasher.verify(PasswordAttempt::new("correct horse"), None).await.unwrap());
}

#[tokio::test]
async fn waiting_callers_get_a_turn_up_to_the_limit() {
    let hasher = Arc::new(hasher(HashSettings { parallel: 2, waiting: 3, ..EXPENSIVE }).await);
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let hasher = Arc::clone(&hasher);
        callers.spawn(async move { hasher.hash(password("correct horse")).await.is_ok() });
    }
    let hashed = callers.join_all().await.into_iter().filter(|hashed| *hashed).count();
    assert_eq!(hashed, 5);
}

#[tokio::test]
async fn a_caller_that_gives_up_makes_room() {
    let hasher = hasher(HashSettings { waiting: 1, ..EXPENSIVE }).await;
    // Polled in this order: the first call has the turn, the second waits and gives up.
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
