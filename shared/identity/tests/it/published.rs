//! Users' keys that the user service publishes: rotation, outages, and how often it is asked.

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

/// A user service that says what the test wants, and counts.
#[derive(Debug, Default)]
pub struct Publisher {
    asked: AtomicUsize,
    answers: Mutex<VecDeque<Answer>>,
    late: Duration,
}

pub type Answer = Result<Vec<Jwk>, String>;

impl Publisher {
    /// The last answer is given again and again.
    pub fn says(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        Arc::new(Self { answers, ..Self::default() })
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn now_says(&self, answer: Answer) {
        *self.answers.lock().unwrap() = [answer].into();
    }

    async fn answer(&self) -> Answer {
        self.asked.fetch_add(1, Ordering::SeqCst);
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

/// Which keys are published, the signing one first.
pub fn these<const N: usize>(keys: [&SigningKey; N]) -> Answer {
    Ok(keys.iter().map(|key| Jwk::from(&key.public())).collect())
}

/// What becomes of a verifier that follows its publisher for so long.
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
async fn a_key_that_is_not_known_yet_is_fetched_once_for_all_who_wait() {
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
    assert_eq!((answers, publisher.asked()), ((true, true, true), 1));
    // From then on nobody waits.
    assert!(verifier.verify(&token).is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_rotate_with_overlap_and_no_token_is_refused() {
    let (old, new) = (SigningKey::generate(), SigningKey::generate());
    let publisher = Publisher::says([these([&old])]);
    let verifier = verifier(&publisher);
    let (before, after) = (token(&old), token(&new));
    assert!(is_ann(&verifier, &before).await);
    // The new key is published, and signs only once everybody has heard of it.
    publisher.now_says(these([&old, &new]));
    follow(&verifier, Duration::from_secs(301)).await;
    let asked = publisher.asked();
    assert!(verifier.verify(&before).is_ok() && verifier.verify(&after).is_ok());
    assert_eq!(publisher.asked(), asked);
    // The old one is taken away: tokens that were proven with it are refused as well.
    publisher.now_says(these([&new]));
    advance(Duration::from_secs(10)).await;
    let strange = token(&SigningKey::generate());
    assert_eq!(verifier.verify_or_learn(&strange).await, Err(TokenError::UnknownKey));
    assert_eq!(verifier.verify(&before), Err(TokenError::UnknownKey));
    assert!(verifier.verify(&after).is_ok());
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_make_it_ask_at_most_once_in_ten_seconds() {
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
    assert!((6..=7).contains(&publisher.asked()), "{}", publisher.asked());
}

#[tokio::test(start_paused = true)]
async fn callers_who_give_up_make_it_ask_no_more_often_and_lose_nobody_the_answer() {
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
    assert_eq!(publisher.asked(), 1);
    // Whoever stays hears what they began to ask.
    assert!(is_ann(&verifier, &token).await);
    assert_eq!(publisher.asked(), 1);
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_waited_for_is_old_and_counts_as_none() {
    let (old, new) = (SigningKey::generate(), SigningKey::generate());
    let published = Arc::new(Mutex::new(these([&old])));
    let says = Arc::clone(&published);
    // What is on its way is what was published when it was asked for.
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

    // Nor does it put off whoever follows for longer than a failure does.
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
async fn the_last_good_keys_outlive_the_user_service() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([these([&key]), down()]);
    let verifier = verifier(&publisher);
    assert!(is_ann(&verifier, &token(&key)).await);
    follow(&verifier, Duration::from_secs(24 * 60 * 60)).await;
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
    let publisher = Publisher::says([down(), down(), these([&key])]);
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
        answers: Mutex::new([these([&key])].into()),
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
    let publisher = Publisher::says([these([&key])]);
    let verifier = verifier(&publisher);
    for wrong in ["", "a.b.c", "secret"] {
        assert_eq!(verifier.verify_or_learn(wrong).await, Err(TokenError::Malformed));
    }
    assert_eq!(publisher.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_published_keys_can_be_asked_for() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([down(), these([&key]), down()]);
    let verifier = verifier(&publisher);
    let report = |verifier: &Verifier| verifier.published_keys().remove(0);
    let before = report(&verifier);
    assert_eq!((&*before.issuer, before.keys, before.fetched_at), ("gantry", 0, None));

    follow(&verifier, Duration::from_millis(500)).await;
    assert_eq!(report(&verifier).trouble.as_deref(), Some("connection refused"));
    follow(&verifier, Duration::from_millis(1_500)).await;
    let known = report(&verifier);
    assert_eq!((known.keys, known.trouble), (1, None));
    assert!(known.fetched_at.is_some());
    follow(&verifier, Duration::from_secs(301)).await;
    let away = report(&verifier);
    assert_eq!((away.keys, away.fetched_at), (1, known.fetched_at));
    assert!(away.trouble.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_fails_is_asked_every_ten_seconds_until_it_answers() {
    let key = SigningKey::generate();
    let publisher = Publisher::says([these([&key]), down()]);
    let verifier = verifier(&publisher);
    follow(&verifier, Duration::from_secs(299)).await;
    assert_eq!(publisher.asked(), 1);
    follow(&verifier, Duration::from_secs(100)).await;
    assert!((11..=12).contains(&publisher.asked()), "{}", publisher.asked());
    publisher.now_says(these([&key]));
    follow(&verifier, Duration::from_secs(11)).await;
    assert!(verifier.published_keys()[0].trouble.is_none());
}
