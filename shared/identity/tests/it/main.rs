//! Tokens that a verifier accepts, and tokens that it rejects.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its items are used only in its binary"
)]

mod hostile;
mod kept;
mod published;

use std::time::Duration as StdDuration;

use gantry_contract::access::{Actor, Caller};
use gantry_identity::{
    Acting, Issues, ServiceSigner, Settings, SigningKey, TokenError, TrustedKey, UserClaims,
    UserSigner, Verifier,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

/// Type (`typ`) of a service token.
const SERVICE: &str = "gantry-service+jwt";
/// Type (`typ`) of a user token.
const USER: &str = "at+jwt";

/// Key with its file, so that tests can sign any content.
struct Key {
    folder: TempDir,
    key: SigningKey,
    typ: &'static str,
}

impl Key {
    /// Creates a key that signs with the type of a service token.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::load_or_create(&folder.path().join("key.pem")).unwrap();
        Self { folder, key, typ: SERVICE }
    }

    /// Creates a key that signs with the type of a user token.
    fn of_users() -> Self {
        Self { typ: USER, ..Self::new() }
    }

    fn trusted(&self, issuer: &str, issues: Issues) -> TrustedKey {
        TrustedKey { issuer: issuer.into(), issues, key: self.key.public() }
    }

    fn encoding(&self) -> EncodingKey {
        let pem = std::fs::read(self.folder.path().join("key.pem")).unwrap();
        EncodingKey::from_ed_pem(&pem).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_text(&claims.to_string())
    }

    /// Signs any text as claims.
    fn sign_text(&self, claims: &str) -> String {
        let kid = self.key.public().key_id().to_owned();
        let header = json!({"alg": "EdDSA", "typ": self.typ, "kid": kid});
        self.sign_parts(&header.to_string(), claims)
    }

    /// Signs any texts as header and claims.
    fn sign_parts(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode_text(header), encode_text(claims));
        let key = self.encoding();
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }
}

/// The user service's key for user tokens, the order service's key, and the verifier of the
/// inventory service, which trusts both.
struct World {
    users: Key,
    order: Key,
    inventory: Verifier,
}

fn world() -> World {
    let (users, order) = (Key::of_users(), Key::new());
    let trusted =
        vec![users.trusted("gantry", Issues::Users), order.trusted("order", Issues::Service)];
    World { users, order, inventory: Verifier::new("inventory", trusted) }
}

fn ann() -> Actor {
    Actor { subject: "ann".into(), roles: vec!["user".into()] }
}

fn ann_claims() -> UserClaims {
    UserClaims {
        sub: "ann".into(),
        email: "ann@example.org".into(),
        roles: vec!["user".into()],
        permissions: vec!["products:read".into()],
    }
}

fn claims(iss: &str, aud: &str) -> Value {
    let now = NOW.unix_timestamp();
    json!({
        "iss": iss, "aud": aud, "iat": now, "nbf": now, "exp": now + 60,
        "sub": "eve", "roles": ["admin"],
    })
}

fn user_token(world: &World) -> String {
    let signer = UserSigner::new(world.users.key.clone(), StdDuration::from_secs(900));
    signer.token(&ann_claims(), NOW).token
}

fn order_token(world: &World, acting: Acting) -> String {
    ServiceSigner::new("order", world.order.key.clone())
        .token_at("inventory", acting, NOW)
        .to_string()
}

#[test]
fn a_users_token_names_the_user() {
    let world = world();
    let caller = world.inventory.verify_at(&user_token(&world), NOW);
    assert_eq!(caller, Ok(Caller::User(ann())));
}

#[test]
fn a_services_token_names_the_service_and_its_user() {
    let world = world();
    let service = || "order".to_owned();
    for (acting, expected) in [
        (Acting::For(ann()), Caller::Delegate { service: service(), actor: ann() }),
        (Acting::Itself { cause: None }, Caller::Service { service: service(), cause: None }),
        (
            Acting::Itself { cause: Some(ann()) },
            Caller::Service { service: service(), cause: Some(ann()) },
        ),
    ] {
        let token = order_token(&world, acting);
        assert_eq!(world.inventory.verify_at(&token, NOW), Ok(expected));
    }
}

#[test]
fn validity_has_a_tolerance_of_five_seconds() {
    let world = world();
    let at = |token: &str, seconds| {
        world.inventory.verify_at(token, NOW + Duration::seconds(seconds)).map(|_| ())
    };
    let service = order_token(&world, Acting::Itself { cause: None });
    assert_eq!(at(&service, -6), Err(TokenError::NotYetValid));
    assert_eq!(at(&service, -5), Ok(()));
    assert_eq!(at(&service, 64), Ok(()));
    assert_eq!(at(&service, 65), Err(TokenError::Expired));
    let user = user_token(&world);
    assert_eq!(at(&user, 904), Ok(()));
    assert_eq!(at(&user, 905), Err(TokenError::Expired));
}

#[test]
fn a_replayed_token_works_at_its_audience_until_expiry() {
    let world = world();
    let token = order_token(&world, Acting::For(ann()));
    let expected = Caller::Delegate { service: "order".into(), actor: ann() };
    for seconds in [0, 1, 59] {
        let caller = world.inventory.verify_at(&token, NOW + Duration::seconds(seconds));
        assert_eq!(caller, Ok(expected.clone()));
    }
    let later = NOW + Duration::seconds(65);
    assert_eq!(world.inventory.verify_at(&token, later), Err(TokenError::Expired));
    let key = world.order.trusted("order", Issues::Service);
    for service in ["user", "gateway", "gantry"] {
        let other = Verifier::new(service, vec![key.clone()]);
        assert_eq!(other.verify_at(&token, NOW), Err(TokenError::WrongAudience));
    }
}

#[test]
fn a_changed_token_is_refused() {
    let world = world();
    let token = order_token(&world, Acting::For(ann()));
    let parts: Vec<&str> = token.split('.').collect();
    let other = order_token(&world, Acting::Itself { cause: None });
    let other: Vec<&str> = other.split('.').collect();
    let swapped = format!("{}.{}.{}", parts[0], other[1], parts[2]);
    assert_eq!(world.inventory.verify_at(&swapped, NOW), Err(TokenError::BadSignature));
}

#[test]
fn a_foreign_signature_under_a_trusted_key_id_is_rejected() {
    let world = world();
    let stranger = Key::new();
    let pem = std::fs::read(stranger.folder.path().join("key.pem")).unwrap();
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(world.order.key.public().key_id().into());
    let key = EncodingKey::from_ed_pem(&pem).unwrap();
    let token = jsonwebtoken::encode(&header, &claims("order", "inventory"), &key).unwrap();
    assert_eq!(world.inventory.verify_at(&token, NOW), Err(TokenError::BadSignature));
}

#[test]
fn unknown_and_missing_key_ids_are_rejected() {
    let world = world();
    let stranger = Key::new();
    let token = stranger.sign(&claims("order", "inventory"));
    assert_eq!(world.inventory.verify_at(&token, NOW), Err(TokenError::UnknownKey));
    let pem = std::fs::read(world.order.folder.path().join("key.pem")).unwrap();
    let key = EncodingKey::from_ed_pem(&pem).unwrap();
    let header = Header::new(Algorithm::EdDSA);
    let token = jsonwebtoken::encode(&header, &claims("order", "inventory"), &key).unwrap();
    assert_eq!(world.inventory.verify_at(&token, NOW), Err(TokenError::UnknownKey));
}

#[test]
fn a_token_for_another_service_is_refused() {
    let world = world();
    for audience in ["user", "gantry", ""] {
        let token = world.order.sign(&claims("order", audience));
        assert_eq!(world.inventory.verify_at(&token, NOW), Err(TokenError::WrongAudience));
    }
}

#[test]
fn a_key_signs_for_its_own_issuer_only() {
    let world = world();
    // The order service signs for another issuer: a service, and the issuer of user tokens.
    for issuer in ["user", "gantry", ""] {
        let token = world.order.sign(&claims(issuer, "inventory"));
        assert_eq!(world.inventory.verify_at(&token, NOW), Err(TokenError::WrongIssuer));
    }
}

#[test]
fn user_keys_and_service_keys_are_not_interchangeable() {
    let world = world();
    let as_service = world.users.sign(&claims("order", "inventory"));
    assert_eq!(world.inventory.verify_at(&as_service, NOW), Err(TokenError::WrongIssuer));
    let as_service = world.users.sign(&claims("gantry", "inventory"));
    assert_eq!(world.inventory.verify_at(&as_service, NOW), Err(TokenError::WrongAudience));

    let as_user = world.order.sign(&claims("gantry", "gantry"));
    assert_eq!(world.inventory.verify_at(&as_user, NOW), Err(TokenError::WrongIssuer));
    // A subject and roles in a service token do not make its caller a user.
    let with_roles = world.order.sign(&claims("order", "inventory"));
    let expected = Caller::Service { service: "order".into(), cause: None };
    assert_eq!(world.inventory.verify_at(&with_roles, NOW), Ok(expected));
}

#[test]
fn a_token_with_both_actor_and_cause_is_rejected() {
    let world = world();
    let mut both = claims("order", "inventory");
    both["actor"] = json!({"sub": "ann"});
    both["cause"] = json!({"sub": "ann"});
    let token = world.order.sign(&both);
    assert_eq!(world.inventory.verify_at(&token, NOW), Err(TokenError::Malformed));
}

#[test]
fn every_registered_claim_is_required_and_of_its_type() {
    let world = world();
    for claim in ["iss", "aud", "iat", "nbf", "exp"] {
        for damaged in [None, Some(json!(null)), Some(json!(["inventory", 1])), Some(json!({}))] {
            let mut claims = claims("order", "inventory");
            match damaged {
                None => drop(claims.as_object_mut().unwrap().remove(claim)),
                Some(value) => claims[claim] = value,
            }
            let token = world.order.sign(&claims);
            assert_eq!(world.inventory.verify_at(&token, NOW), Err(TokenError::Malformed));
        }
    }
}

#[test]
fn an_error_does_not_quote_the_malformed_token() {
    let world = world();
    for text in ["", ".", "..", "...", "a.b.c", "secret", "é.é.é", &"a".repeat(100_000)] {
        let error = world.inventory.verify_at(text, NOW).unwrap_err();
        assert_eq!(error, TokenError::Malformed);
    }
    let error = world.inventory.verify_at("secret.secret.secret", NOW).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn settings_build_the_signer_and_the_verifier() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    SigningKey::load_or_create(path("order.pem").as_ref()).unwrap();
    let text = format!(
        r#"
        key_file = "{}"
        trusted = [{{ issuer = "order", issues = "service", key_file = "{}" }}]
        grants = {{ order = ["products:read"] }}
        "#,
        path("order.pem"),
        path("order.pub.pem"),
    );
    let settings: Settings = toml::from_str(&text).unwrap();
    let token = settings.signer("order").unwrap().token("inventory", Acting::For(ann()));
    let caller = settings.verifier("inventory", |_| None).unwrap().verify(&token);
    assert_eq!(caller, Ok(Caller::Delegate { service: "order".into(), actor: ann() }));

    std::fs::remove_file(path("order.pub.pem")).unwrap();
    let error = settings.verifier("inventory", |_| None).unwrap_err();
    assert!(error.to_string().contains("order.pub.pem"), "{error}");
    assert!(toml::from_str::<Settings>("key_file = 'a'\nkeyfile = 'b'").is_err());

    let trusted = |entry: &str| {
        let text =
            format!("key_file = 'a'\ntrusted = [{{ issuer = 'x', issues = 'users', {entry} }}]");
        toml::from_str::<Settings>(&text).unwrap().verifier("inventory", |_| None).unwrap_err()
    };
    assert!(trusted("jwks = 'user'").to_string().contains("published keys of user"));
    assert!(trusted("").to_string().contains("neither key_file nor jwks"));
}

fn encode_part(value: &Value) -> String {
    encode_text(&value.to_string())
}

fn encode_text(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(text)
}
