//! Users' keys published by the user service: rotation, outages, and the rate of fetches.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gantry_contract::access::Caller;
use gantry_identity::{
    Issues, Jwk, KeySource, PublishedKeys, SigningKey, TokenError, USERS, UserSigner, Verifier,
};
use time::OffsetDateTime;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::ann_claims;

/// User service with scripted answers. Counts the fetches.
#[derive(Debug, Default)]
pub struct Publisher {
    fetches: AtomicUsize,
    answers: Mutex<VecDeque<Answer>>,
    late: Duration,
}

pub type Answer = Result<Vec<Jwk>, String>;

impl Publisher {
    /// Creates a publisher that gives these answers in turn, and repeats the last one.
    pub fn says(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        Arc::new(Self { answers, ..Self::default() })
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub fn now_says(&self, answer: Answer) {
        *self.answers.lock().unwrap() = [answer].into();
    }

    async fn answer(&self) -> Answer {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        sleep(self.late).await;
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
    }
}

pub fn keys(publisher: &Arc<Publisher>) -> PublishedKeys {
    let publisher = Arc::clone(publisher);
    let source = KeySource::new(move || {
        let publisher = Arc::clone(&publisher);
        async move { publisher.answer().await }
    });
    PublishedKeys::new(USERS, Issues::Users, source)
}

fn verifier(publisher: &Arc<Publisher>) -> Verifier {
    Verifier::new("order", Vec::new()).published(keys(publisher))
}

/// Returns an answer with these keys.
pub fn these<const N: usize>(keys: [&SigningKey; N]) -> Answer {
    Ok(keys.iter().map(|key| Jwk::from(&key.public())).collect())
}

/// Runs the background refresh of the verifier's keys for `time`.
pub async fn follow(verifier: &Verifier, time: Duration) {
    tokio::select! {
        never = verifier.follow() => match never {},
        () = sleep(time) => {}
    }
}

pub fn token(key: &SigningKey) -> String {
    let signer = UserSigner::new(key.clone(), Duration::from_secs(900));
    signer.token(&ann_claims(), OffsetDateTime::now_utc()).token
}

pub fn down() -> Answer {
    Err("connection refused".to_owned())
}

pub async fn is_ann(verifier: &Verifier, token: &str) -> bool {
    matches!(verifier.verify_or_learn(token).await, Ok(Caller::User(actor)) if actor.subject == "ann")
}

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_fetch() {
    let key = SigningKey::generate();
    let publisher = Arc::new(Publisher {
        answers: Mutex::new([these([&key])].into()),
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
    assert_eq!((answers, publisher.fetches()), ((true, true, true), 1));
    // The key is now known, so no call waits.
    assert!(verifier.verify(&token).is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_rotate_with_overlap_and_no_token_is_refused() {
    let (old, new) = (SigningKey::generate(), SigningKey::generate());
    let publisher = Publisher::says([these([&old])]);
    let verifier = verifier(&publisher);
    let (before, after) = (token(&old), token(&new));
    assert!(is_ann(&verifier, &before).await);
    // A new key is published before it signs, for longer than the refresh interval.
    publisher.now_says(these([&old, &new]));
    follow(&verifier, Duration::from_secs(301)).await;
    let fetches = publisher.fetches();
    assert!(verifier.verify(&before).is_ok() && verifier.verify(&after).is_ok());
    assert_eq!(publisher.fetches(), fetches);
    // The old key is withdrawn. Tokens that were verified with it are rejected too.
    publisher.now_says(these([&new]));
    advance(Duration::from_secs(10)).await;
    let strange = token(&SigningKey::generate());
    assert_eq!(verifier.verify_or_learn(&strange).await, Err(TokenError::UnknownKey));
    assert_eq!(verifier.verify(&before), Err(TokenError::UnknownKey));
    assert!(verifier.verify(&after).is_ok());
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_cause_one_fetch_per_ten_seconds() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([these([&key])]);
    let verifier = verifier(&publisher);
    assert!(is_ann(&verifier, &token(&key)).await);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        let forged = token(&SigningKey::generate());
        assert_eq!(verifier.verify_or_learn(&forged).await, Err(TokenError::UnknownKey));
        advance(Duration::from_millis(500)).await;
    }
    assert!((6..=7).contains(&publisher.fetches()), "{}", publisher.fetches());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_outlives_cancelled_callers() {
    let key = SigningKey::generate();
    let publisher = Arc::new(Publisher {
        answers: Mutex::new([these([&key])].into()),
        late: Duration::from_secs(1),
        ..Publisher::default()
    });
    let (verifier, token) = (verifier(&publisher), token(&key));
    let started = Instant::now();
    for _ in 0..50 {
        let forged = self::token(&SigningKey::generate());
        let given_up = timeout(Duration::from_millis(10), verifier.verify_or_learn(&forged)).await;
        assert!(given_up.is_err());
    }
    assert_eq!(publisher.fetches(), 1);
    // The next caller gets the result of the fetch that the cancelled callers started.
    assert!(is_ann(&verifier, &token).await);
    assert_eq!(publisher.fetches(), 1);
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_fetch_is_discarded() {
    let (old, new) = (SigningKey::generate(), SigningKey::generate());
    let published = Arc::new(Mutex::new(these([&old])));
    let says = Arc::clone(&published);
    // The answer of a running fetch has the keys from its start.
    let source = KeySource::new(move || {
        let answer = says.lock().unwrap().clone();
        async move {
            sleep(Duration::from_millis(100)).await;
            answer
        }
    });
    let keys = PublishedKeys::new(USERS, Issues::Users, source);
    let verifier = Verifier::new("order", Vec::new()).published(keys);
    follow(&verifier, Duration::from_millis(10)).await;
    *published.lock().unwrap() = these([&new]);
    advance(Duration::from_secs(3600)).await;
    assert!(is_ann(&verifier, &token(&new)).await);
    assert!(!is_ann(&verifier, &token(&old)).await);

    // An abandoned fetch delays the background refresh no longer than a failed one.
    *published.lock().unwrap() = these([&old]);
    advance(Duration::from_secs(10)).await;
    let strange = token(&SigningKey::generate());
    let given_up = timeout(Duration::from_millis(10), verifier.verify_or_learn(&strange)).await;
    assert!(given_up.is_err());
    advance(Duration::from_secs(5)).await;
    follow(&verifier, Duration::from_secs(11)).await;
    assert!(verifier.verify(&token(&old)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn known_keys_survive_an_outage_of_the_publisher() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([these([&key]), down()]);
    let verifier = verifier(&publisher);
    assert!(is_ann(&verifier, &token(&key)).await);
    follow(&verifier, Duration::from_secs(24 * 60 * 60)).await;
    assert!(publisher.fetches() > 100);
    assert!(verifier.verify(&token(&key)).is_ok());
    // An empty answer does not replace the keys.
    publisher.now_says(Ok(Vec::new()));
    advance(Duration::from_secs(10)).await;
    let strange = token(&SigningKey::generate());
    assert_eq!(verifier.verify_or_learn(&strange).await, Err(TokenError::UnknownKey));
    assert!(verifier.verify(&token(&key)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_late_or_hanging_publisher_is_retried_early() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([down(), down(), these([&key])]);
    let verifier = verifier(&publisher);
    let token = token(&key);
    assert!(!is_ann(&verifier, &token).await);
    assert!(!is_ann(&verifier, &token).await, "no second fetch within a second");
    assert_eq!(publisher.fetches(), 1);
    advance(Duration::from_secs(1)).await;
    assert!(!is_ann(&verifier, &token).await);
    advance(Duration::from_secs(1)).await;
    assert!(is_ann(&verifier, &token).await);

    let stuck = Arc::new(Publisher {
        answers: Mutex::new([these([&key])].into()),
        late: Duration::from_secs(3600),
        ..Publisher::default()
    });
    let started = Instant::now();
    assert!(!is_ann(&self::verifier(&stuck), &token).await);
    assert!(
        started.elapsed() <= Duration::from_secs(4),
        "a call waits for at most one fetch timeout"
    );
}

#[tokio::test(start_paused = true)]
async fn a_malformed_token_causes_no_fetch() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([these([&key])]);
    let verifier = verifier(&publisher);
    for wrong in ["", "a.b.c", "secret"] {
        assert_eq!(verifier.verify_or_learn(wrong).await, Err(TokenError::Malformed));
    }
    assert_eq!(publisher.fetches(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_report_shows_keys_time_and_failure() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([down(), these([&key]), down()]);
    let verifier = verifier(&publisher);
    let report = |verifier: &Verifier| verifier.published_keys().remove(0);
    let before = report(&verifier);
    assert_eq!((&*before.issuer, before.keys, before.fetched_at), ("gantry", 0, None));

    follow(&verifier, Duration::from_millis(500)).await;
    assert_eq!(report(&verifier).last_error.as_deref(), Some("connection refused"));
    follow(&verifier, Duration::from_millis(1_500)).await;
    let known = report(&verifier);
    assert_eq!((known.keys, known.last_error), (1, None));
    assert!(known.fetched_at.is_some());
    follow(&verifier, Duration::from_secs(301)).await;
    let away = report(&verifier);
    assert_eq!((away.keys, away.fetched_at), (1, known.fetched_at));
    assert!(away.last_error.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failing_publisher_is_retried_every_ten_seconds() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([these([&key]), down()]);
    let verifier = verifier(&publisher);
    follow(&verifier, Duration::from_secs(299)).await;
    assert_eq!(publisher.fetches(), 1);
    follow(&verifier, Duration::from_secs(100)).await;
    assert!((11..=12).contains(&publisher.fetches()), "{}", publisher.fetches());
    publisher.now_says(these([&key]));
    follow(&verifier, Duration::from_secs(11)).await;
    assert!(verifier.published_keys()[0].last_error.is_none());
}
