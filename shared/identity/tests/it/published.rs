//! Users' keys that the user service publishes: rotation, outages, and how often it is asked.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gantry_contract::access::Caller;
use gantry_identity::{
    Issues, KeySource, PublicKey, PublishedKeys, SigningKey, TokenError, USERS, UserSigner,
    Verifier,
};
use time::OffsetDateTime;
use tokio::time::{Instant, advance, sleep};

use crate::ann_claims;

/// A user service that says what the test wants, and counts.
#[derive(Debug, Default)]
struct Publisher {
    asked: AtomicUsize,
    answers: Mutex<VecDeque<Answer>>,
    late: Duration,
}

type Answer = Result<Vec<PublicKey>, String>;

impl Publisher {
    /// The last answer is given again and again.
    fn says(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        Arc::new(Self { answers, ..Self::default() })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn now_says(&self, answer: Answer) {
        *self.answers.lock().unwrap() = [answer].into();
    }
}

#[async_trait]
impl KeySource for Publisher {
    async fn keys(&self) -> Answer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        sleep(self.late).await;
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
    }
}

fn verifier(publisher: &Arc<Publisher>) -> Verifier {
    let keys = PublishedKeys::new(USERS, Issues::Users, Arc::clone(publisher) as _);
    Verifier::new("order", Vec::new()).published(keys)
}

fn token(key: &SigningKey) -> String {
    let signer = UserSigner::new(key.clone(), Duration::from_secs(900));
    signer.token(&ann_claims(), OffsetDateTime::now_utc()).token
}

fn down() -> Answer {
    Err("connection refused".to_owned())
}

async fn is_ann(verifier: &Verifier, token: &str) -> bool {
    matches!(verifier.verify_or_learn(token).await, Ok(Caller::User(actor)) if actor.subject == "ann")
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_known_yet_is_fetched_once_for_all_who_wait() {
    let key = SigningKey::generate();
    let publisher = Arc::new(Publisher {
        answers: Mutex::new([Ok(vec![key.public()])].into()),
        late: Duration::from_millis(100),
        ..Publisher::default()
    });
    let (verifier, token) = (verifier(&publisher), token(&key));
    assert_eq!(verifier.verify(&token), Err(TokenError::UnknownKey));
    let answers = tokio::join!(
        is_ann(&verifier, &token),
        is_ann(&verifier, &token),
        is_ann(&verifier, &token)
    );
    assert_eq!((answers, publisher.asked()), ((true, true, true), 1));
    // From then on nobody waits.
    assert!(verifier.verify(&token).is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_rotate_with_overlap_and_no_token_is_refused() {
    let (old, new) = (SigningKey::generate(), SigningKey::generate());
    let publisher = Publisher::says([Ok(vec![old.public()])]);
    let verifier = verifier(&publisher);
    let (before, after) = (token(&old), token(&new));
    assert!(is_ann(&verifier, &before).await);
    // The new key is published, and signs only once everybody has heard of it.
    publisher.now_says(Ok(vec![old.public(), new.public()]));
    tokio::select! {
        never = verifier.follow() => match never {},
        () = sleep(Duration::from_secs(301)) => {}
    }
    let asked = publisher.asked();
    assert!(verifier.verify(&before).is_ok() && verifier.verify(&after).is_ok());
    assert_eq!(publisher.asked(), asked);
    // The old one is taken away: tokens that were proven with it are refused as well.
    publisher.now_says(Ok(vec![new.public()]));
    advance(Duration::from_secs(10)).await;
    let strange = token(&SigningKey::generate());
    assert_eq!(verifier.verify_or_learn(&strange).await, Err(TokenError::UnknownKey));
    assert_eq!(verifier.verify(&before), Err(TokenError::UnknownKey));
    assert!(verifier.verify(&after).is_ok());
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_make_it_ask_at_most_once_in_ten_seconds() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([Ok(vec![key.public()])]);
    let verifier = verifier(&publisher);
    assert!(is_ann(&verifier, &token(&key)).await);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        let forged = token(&SigningKey::generate());
        assert_eq!(verifier.verify_or_learn(&forged).await, Err(TokenError::UnknownKey));
        advance(Duration::from_millis(500)).await;
    }
    assert!((6..=7).contains(&publisher.asked()), "{}", publisher.asked());
}

#[tokio::test(start_paused = true)]
async fn the_last_good_keys_outlive_the_user_service() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([Ok(vec![key.public()]), down()]);
    let verifier = verifier(&publisher);
    assert!(is_ann(&verifier, &token(&key)).await);
    tokio::select! {
        never = verifier.follow() => match never {},
        () = sleep(Duration::from_secs(24 * 60 * 60)) => {}
    }
    assert!(publisher.asked() > 100);
    assert!(verifier.verify(&token(&key)).is_ok());
    // Neither is an empty answer believed.
    publisher.now_says(Ok(Vec::new()));
    advance(Duration::from_secs(10)).await;
    let strange = token(&SigningKey::generate());
    assert_eq!(verifier.verify_or_learn(&strange).await, Err(TokenError::UnknownKey));
    assert!(verifier.verify(&token(&key)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_user_service_that_comes_late_or_hangs_is_asked_again_soon() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([down(), down(), Ok(vec![key.public()])]);
    let verifier = verifier(&publisher);
    let token = token(&key);
    assert!(!is_ann(&verifier, &token).await);
    assert!(!is_ann(&verifier, &token).await, "not within the same second");
    assert_eq!(publisher.asked(), 1);
    advance(Duration::from_secs(1)).await;
    assert!(!is_ann(&verifier, &token).await);
    advance(Duration::from_secs(1)).await;
    assert!(is_ann(&verifier, &token).await);

    let stuck = Arc::new(Publisher {
        answers: Mutex::new([Ok(vec![key.public()])].into()),
        late: Duration::from_secs(3600),
        ..Publisher::default()
    });
    let started = Instant::now();
    assert!(!is_ann(&self::verifier(&stuck), &token).await);
    assert!(started.elapsed() <= Duration::from_secs(4), "a call does not wait for long");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_wrong_in_another_way_asks_nobody() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([Ok(vec![key.public()])]);
    let verifier = verifier(&publisher);
    for wrong in ["", "a.b.c", "secret"] {
        assert_eq!(verifier.verify_or_learn(wrong).await, Err(TokenError::Malformed));
    }
    assert_eq!(publisher.asked(), 0);
}
