//! Authentication and authorization of callers, and the caller that the handler sees.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gantry_identity::{
    Issues, Jwk, KeySource, PublicKey, PublishedKeys, SigningKey, UserClaims, UserSigner, Verifier,
};
use gantry_probe::probe::v1::ActRequest;
use gantry_telemetry::Metrics;
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    metrics::{read, sum},
    world::{Keys, World, reason, with_token},
};

fn act() -> ActRequest {
    ActRequest::default()
}

#[tokio::test]
async fn a_guarded_method_needs_a_valid_token() {
    let world = World::start().await;
    let mut client = world.client().await;
    let status = client.guarded(act()).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Unauthenticated, "TOKEN_MISSING"));

    let strangers = Keys::new().user("admin", 0);
    let good = world.keys.user("admin", 0);
    let basic = good.replace("Bearer", "Basic");
    for (token, expected) in [
        ("Bearer nonsense", "TOKEN_INVALID"),
        ("Bearer ", "TOKEN_INVALID"),
        (&*strangers, "TOKEN_INVALID"),
        (&*basic, "TOKEN_INVALID"),
        (&*world.keys.user("admin", 120), "TOKEN_EXPIRED"),
    ] {
        let status = client.guarded(with_token(act(), token)).await.unwrap_err();
        assert_eq!((status.code(), &*reason(&status)), (Code::Unauthenticated, expected));
        let said = format!("{status:?}");
        assert!(!said.contains("eyJ"), "the message quotes the token: {said}");
    }
    assert_eq!(world.seen.started(), 0);
}

#[tokio::test]
async fn exactly_one_authorization_with_any_case_of_bearer_counts() {
    let world = World::start().await;
    let mut client = world.client().await;
    let good = world.keys.user("admin", 0);
    let (_, token) = good.split_once(' ').unwrap();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = with_token(act(), &format!("{scheme} {token}"));
        client.guarded(request).await.unwrap();
    }
    let mut binary = tonic::Request::new(act());
    let value = tonic::metadata::MetadataValue::from_bytes(good.as_bytes());
    binary.metadata_mut().insert_bin("authorization-bin", value);
    let status = client.guarded(binary).await.unwrap_err();
    assert_eq!(reason(&status), "TOKEN_MISSING");

    let strangers = Keys::new().user("admin", 0);
    let lists = [
        [&*good, &*good],
        [&*good, &*strangers],
        [&*strangers, &*good],
        [&*good, "Basic YTpi"],
        ["", &*good],
    ];
    for list in lists {
        let mut twice = tonic::Request::new(act());
        for value in list {
            twice.metadata_mut().append("authorization", value.parse().unwrap());
        }
        let status = client.guarded(twice).await.unwrap_err();
        assert_eq!(reason(&status), "TOKEN_INVALID", "{list:?}");
    }
    let joined = with_token(act(), &format!("{good}, {good}"));
    assert_eq!(reason(&client.guarded(joined).await.unwrap_err()), "TOKEN_INVALID");
    let long = with_token(act(), &format!("Bearer {}", "a".repeat(12_000)));
    assert_eq!(reason(&client.guarded(long).await.unwrap_err()), "TOKEN_INVALID");
}

#[tokio::test]
async fn a_refusal_names_the_missing_permission() {
    let world = World::with(|builder| builder.grants([].into())).await;
    let mut client = world.client().await;
    for token in [
        world.keys.user("nobody", 0),
        world.keys.user("unheard-of", 0),
        // A service without a grant has no permission, even on behalf of a user.
        world.keys.service(None),
        world.keys.service(Some("admin")),
    ] {
        let status = client.guarded(with_token(act(), &token)).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(reason(&status), "PERMISSION_MISSING");
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["permission"], "probes:read");
    }
    assert_eq!(world.seen.started(), 0);
}

#[tokio::test]
async fn the_handler_gets_the_caller_and_its_scope() {
    let world = World::start().await;
    let mut client = world.client().await;
    for (token, subject, scope) in [
        (world.keys.user("admin", 0), "ann", "all"),
        (world.keys.user("owner", 0), "ann", "ann"),
        (world.keys.service(None), "service:order", "all"),
        (world.keys.service(Some("owner")), "ann", "ann"),
        (world.keys.service(Some("admin")), "ann", "all"),
    ] {
        let found = client.guarded(with_token(act(), &token)).await.unwrap().into_inner();
        assert_eq!((&*found.subject, &*found.scope), (subject, scope));
    }
    // A granted service has no more permissions than the user it acts for.
    let denied = with_token(act(), &world.keys.service(Some("nobody")));
    assert_eq!(client.guarded(denied).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_public_method_ignores_invalid_credentials() {
    let world = World::start().await;
    let mut client = world.client().await;
    assert_eq!(client.act(act()).await.unwrap().into_inner().subject, "anonymous");
    for (token, subject) in [
        (world.keys.user("nobody", 0), "ann"),
        (world.keys.user("nobody", 120), "anonymous"),
        ("Bearer nonsense".into(), "anonymous"),
    ] {
        let found = client.act(with_token(act(), &token)).await.unwrap().into_inner();
        assert_eq!(found.subject, subject);
    }
}

/// Publishes keys, and counts the fetches.
#[derive(Debug, Default)]
struct Publisher {
    keys: Mutex<Vec<PublicKey>>,
    asked: AtomicUsize,
}

impl Publisher {
    fn keys(&self) -> Result<Vec<Jwk>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let keys = self.keys.lock().unwrap();
        if keys.is_empty() {
            return Err("out of reach".to_owned());
        }
        Ok(keys.iter().map(Jwk::from).collect())
    }
}

#[tokio::test]
async fn a_call_with_an_unknown_key_waits_for_the_publisher() {
    let key = SigningKey::generate();
    let token = |key: &SigningKey| {
        let claims = UserClaims {
            sub: "ann".into(),
            email: String::new(),
            roles: vec!["admin".into()],
            permissions: vec![],
        };
        let signer = UserSigner::new(key.clone(), Duration::from_secs(60));
        format!("Bearer {}", signer.token(&claims, std::time::SystemTime::now().into()).token)
    };
    let publisher = Arc::new(Publisher::default());
    let asked = Arc::clone(&publisher);
    let source = KeySource::new(move || std::future::ready(asked.keys()));
    let published = PublishedKeys::new("gantry", Issues::Users, source);
    let verifier = Arc::new(Verifier::new("probe", Vec::new()).published(published));
    let metrics = Metrics::new("probe").unwrap();
    let meter = metrics.meter();
    let world = World::with(|builder| builder.verifier(verifier).meter(meter)).await;
    let mut client = world.client().await;
    // The server is ready without keys, and degraded.
    let lacks = async || {
        let report = world.status.report().await;
        let [keys] = &report.checks[..] else { panic!("{report:?}") };
        assert_eq!((&*keys.name, keys.required, report.ready), ("keys of gantry", false, true));
        assert_eq!(keys.ready, !report.degraded);
        let samples = read(&metrics.text());
        let known = sum(&samples, "gantry_identity_published_keys", &[("gantry_issuer", "gantry")]);
        assert_eq!(known as u64, u64::from(keys.ready));
        keys.error.clone()
    };
    let why = |why: &str| Some(format!("no key of gantry is known: {why}"));
    assert_eq!(lacks().await, why("not fetched yet"));

    // A public method fetches no keys, even for a token.
    client.act(with_token(ActRequest::default(), &token(&key))).await.unwrap();
    assert_eq!(publisher.asked.load(Ordering::SeqCst), 0);
    let refused = client.guarded(with_token(ActRequest::default(), &token(&key))).await;
    assert_eq!(reason(&refused.unwrap_err()), "TOKEN_INVALID");
    assert_eq!(publisher.asked.load(Ordering::SeqCst), 1);
    assert_eq!(lacks().await, why("out of reach"));

    publisher.keys.lock().unwrap().push(key.public());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    client.guarded(with_token(ActRequest::default(), &token(&key))).await.unwrap();
    assert_eq!(lacks().await, None);
    // Tokens of unknown keys do not cause another fetch.
    for _ in 0..5 {
        let forged = token(&SigningKey::generate());
        let refused = client.guarded(with_token(ActRequest::default(), &forged)).await;
        assert_eq!(reason(&refused.unwrap_err()), "TOKEN_INVALID");
    }
    assert_eq!(publisher.asked.load(Ordering::SeqCst), 2);
}
