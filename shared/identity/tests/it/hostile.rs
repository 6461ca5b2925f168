//! Forged tokens. Keys and algorithms that their headers name are not trusted.

use base64::{Engine, engine::general_purpose::STANDARD};
use gantry_contract::access::Caller;
use gantry_identity::{Acting, Issues, TokenError};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{Key, NOW, SERVICE, USER, World, ann, claims, encode_part, order_token, world};

/// Returns a valid token of the order service, with `change` applied to its header.
fn with_header(world: &World, change: impl FnOnce(&mut Header)) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(SERVICE.into());
    header.kid = Some(world.order.key.public().key_id().into());
    change(&mut header);
    jsonwebtoken::encode(&header, &claims("order", "inventory"), &world.order.encoding()).unwrap()
}

fn refused(world: &World, token: &str) -> TokenError {
    world.inventory.verify_at(token, NOW).unwrap_err()
}

#[test]
fn the_algorithm_none_is_refused() {
    let world = world();
    let token = order_token(&world, Acting::For(ann()));
    let payload = token.split('.').nth(1).unwrap();
    for alg in ["none", "None", "NONE"] {
        let header = json!({"alg": alg, "typ": "JWT", "kid": world.order.key.public().key_id()});
        let header = encode_part(&header);
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{payload}.{signature}");
            assert!(world.inventory.verify_at(&token, NOW).is_err(), "{alg}");
        }
    }
}

#[test]
fn a_public_key_used_as_a_shared_secret_is_refused() {
    let world = world();
    let public = world.order.key.public();
    let pem = public.to_pem();
    let base64 = pem.lines().nth(1).unwrap();
    let der = STANDARD.decode(base64).unwrap();
    let secrets = [pem.as_bytes(), base64.as_bytes(), &der, &der[12..]];
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for secret in secrets {
            let mut header = Header::new(algorithm);
            header.kid = Some(public.key_id().into());
            let secret = EncodingKey::from_secret(secret);
            let token = jsonwebtoken::encode(&header, &claims("order", "inventory"), &secret);
            assert_eq!(refused(&world, &token.unwrap()), TokenError::WrongAlgorithm);
        }
    }
}

#[test]
fn another_algorithm_in_the_header_is_rejected() {
    let world = world();
    let token = order_token(&world, Acting::For(ann()));
    let (_, rest) = token.split_once('.').unwrap();
    for alg in ["RS256", "ES256", "PS512", "HS256", "EdDSA2", "eddsa", ""] {
        let header = encode_part(&json!({"alg": alg, "kid": world.order.key.public().key_id()}));
        refused(&world, &format!("{header}.{rest}"));
    }
}

#[test]
fn a_key_id_only_selects_a_trusted_key() {
    let world = world();
    let long = "a".repeat(1_000_000);
    let pem = world.order.folder.path().join("key.pem").display().to_string();
    let of_users = world.users.key.public().key_id().to_owned();
    for id in ["", " ", "../../../../etc/passwd", &pem, "\0", "' OR 1=1 --", "*", &long] {
        let token = with_header(&world, |header| header.kid = Some(id.to_owned()));
        assert_eq!(refused(&world, &token), TokenError::UnknownKey);
    }
    // A token that names another trusted key must be signed by that key.
    let token = with_header(&world, |header| header.kid = Some(of_users));
    assert_eq!(refused(&world, &token), TokenError::BadSignature);
    let token = with_header(&world, |header| header.kid = None);
    assert_eq!(refused(&world, &token), TokenError::UnknownKey);
}

#[test]
fn a_key_inside_a_token_is_not_used() {
    let world = world();
    let stranger = Key::new();
    let header = |kid: &str| {
        let x = gantry_identity::Jwk::from(&stranger.key.public()).x;
        json!({
            "alg": "EdDSA", "kid": kid, "jku": "https://example.org/keys", "x5u": "file:///etc",
            "jwk": {"kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA"},
        })
    };
    let sign = |header: Value| {
        let signed = stranger.sign(&claims("order", "inventory"));
        let payload = signed.split('.').nth(1).unwrap();
        let message = format!("{}.{payload}", encode_part(&header));
        let key = stranger.encoding();
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    };
    let own = sign(header(stranger.key.public().key_id()));
    assert_eq!(refused(&world, &own), TokenError::UnknownKey);
    let borrowed = sign(header(world.order.key.public().key_id()));
    assert_eq!(refused(&world, &borrowed), TokenError::BadSignature);
}

#[test]
fn a_critical_extension_is_rejected() {
    let world = world();
    let token = with_header(&world, |header| header.crit = Some(vec!["b64".into()]));
    assert_eq!(refused(&world, &token), TokenError::Malformed);
}

#[test]
fn long_claims_are_read_and_unknown_ones_ignored() {
    let world = world();
    let mut long = claims("gantry", "gantry");
    long["roles"] = json!(vec!["user"; 100_000]);
    long["further"] = json!({"deep": "x".repeat(1_000_000)});
    let caller = world.inventory.verify_at(&world.users.sign(&long), NOW).unwrap();
    assert!(matches!(caller, Caller::User(actor) if actor.roles.len() == 100_000));
    // A token of an unknown key is rejected before its signature is verified.
    assert_eq!(refused(&world, &Key::new().sign(&long)), TokenError::UnknownKey);
    let mut deep = json!([]);
    for _ in 0..120 {
        deep = json!([deep]);
    }
    long["further"] = deep;
    world.inventory.verify_at(&world.users.sign(&long), NOW).unwrap();
    let bottomless = "[".repeat(100_000);
    let text = claims("gantry", "gantry").to_string().replace("\"eve\"", &bottomless);
    let token = world.users.sign_text(&text);
    assert_eq!(refused(&world, &token), TokenError::Malformed);
}

#[test]
fn extreme_times_are_handled() {
    let world = world();
    let now = NOW.unix_timestamp();
    let at = |exp: Value, nbf: Value, iat: Value| {
        let mut claims = claims("order", "inventory");
        (claims["exp"], claims["nbf"], claims["iat"]) = (exp, nbf, iat);
        world.inventory.verify_at(&world.order.sign(&claims), NOW).map(|_| ())
    };
    assert_eq!(at(json!(now + 60), json!(i64::MIN), json!(now)), Ok(()));
    assert_eq!(at(json!(0), json!(0), json!(0)), Err(TokenError::Expired));
    for iat in [i64::MIN, -1, 0, now, i64::MAX - 66] {
        let forever = at(json!(i64::MAX), json!(0), json!(iat));
        assert_eq!(forever, Err(TokenError::TooLong), "{iat}");
    }
    let far = json!(i64::MAX);
    assert_eq!(at(far.clone(), json!(0), far.clone()), Err(TokenError::NotYetValid));
    assert_eq!(at(json!(now + 60), far, json!(now)), Err(TokenError::NotYetValid));
    assert_eq!(at(json!(-1), json!(0), json!(0)), Err(TokenError::Malformed));
    for odd in [json!(1e300), json!(u64::MAX), json!("1767268860"), json!(1.5), json!(true)] {
        let end = json!(now + 60);
        assert_eq!(at(odd.clone(), json!(0), json!(now)), Err(TokenError::Malformed), "{odd}");
        assert_eq!(at(end.clone(), odd.clone(), json!(now)), Err(TokenError::Malformed), "{odd}");
        assert_eq!(at(end, json!(0), odd.clone()), Err(TokenError::Malformed), "{odd}");
    }
}

#[test]
fn lifetimes_are_limited_and_future_tokens_rejected() {
    const DAY: i64 = 24 * 60 * 60;
    let world = world();
    let now = NOW.unix_timestamp();
    let at = |key: &Key, iss: &str, aud: &str, iat: i64, ttl: i64| {
        let mut claims = claims(iss, aud);
        (claims["iat"], claims["exp"]) = (json!(iat), json!(iat + ttl));
        world.inventory.verify_at(&key.sign(&claims), NOW).map(|_| ())
    };
    let service = |iat, ttl| at(&world.order, "order", "inventory", iat, ttl);
    let user = |iat, ttl| at(&world.users, "gantry", "gantry", iat, ttl);
    for (ahead, ttl, expected) in [
        (0, 60, Ok(())),
        (0, 65, Ok(())),
        (0, 66, Err(TokenError::TooLong)),
        (0, 10 * 365 * DAY, Err(TokenError::TooLong)),
        (-30, 65, Ok(())),
        (-DAY, DAY + 60, Err(TokenError::TooLong)),
        (5, 60, Ok(())),
        (6, 60, Err(TokenError::NotYetValid)),
        (10 * 365 * DAY, 60, Err(TokenError::NotYetValid)),
    ] {
        assert_eq!(service(now + ahead, ttl), expected, "service {ahead} {ttl}");
    }
    for (ahead, ttl, expected) in [
        (0, 900, Ok(())),
        (0, DAY, Ok(())),
        (0, DAY + 1, Err(TokenError::TooLong)),
        (-DAY, 2 * DAY, Err(TokenError::TooLong)),
        (6, 900, Err(TokenError::NotYetValid)),
    ] {
        assert_eq!(user(now + ahead, ttl), expected, "user {ahead} {ttl}");
    }
}

#[test]
fn the_type_must_be_that_of_the_keys_tokens() {
    let world = world();
    for (kid, types) in [
        (&world.order, [SERVICE, "Gantry-Service+JWT", USER]),
        (&world.users, [USER, "AT+JWT", SERVICE]),
    ] {
        let (iss, aud) =
            if kid.typ == USER { ("gantry", "gantry") } else { ("order", "inventory") };
        let payload = claims(iss, aud).to_string();
        let verify = |typ: Value| {
            let id = kid.key.public().key_id().to_owned();
            let header = json!({"alg": "EdDSA", "kid": id, "typ": typ}).to_string();
            world.inventory.verify_at(&kid.sign_parts(&header, &payload), NOW).map(|_| ())
        };
        let [own, in_capitals, other] = types;
        assert_eq!((verify(json!(own)), verify(json!(in_capitals))), (Ok(()), Ok(())));
        for wrong in [json!(other), json!("JWT"), json!(""), json!(null), json!("at+jwt ")] {
            assert_eq!(verify(wrong.clone()), Err(TokenError::WrongType), "{own} {wrong}");
        }
        for odd in [json!(1), json!([own]), json!({})] {
            assert_eq!(verify(odd.clone()), Err(TokenError::Malformed), "{own} {odd}");
        }
        // A valid token without a type.
        let id = kid.key.public().key_id().to_owned();
        let header = json!({"alg": "EdDSA", "kid": id}).to_string();
        let token = kid.sign_parts(&header, &payload);
        assert_eq!(refused(&world, &token), TokenError::WrongType);
    }
}

#[test]
fn a_repeated_header_or_claim_is_malformed() {
    let world = world();
    let id = world.order.key.public().key_id().to_owned();
    let header = json!({"alg": "EdDSA", "typ": SERVICE, "kid": id}).to_string();
    let payload = claims("order", "inventory").to_string();
    let doubled = |text: &str, member: &str| format!("{{{member},{}", &text[1..]);
    for member in [r#""alg":"none""#, r#""kid":"x""#, r#""typ":"JWT""#, r#""alg":"EdDSA""#] {
        let token = world.order.sign_parts(&doubled(&header, member), &payload);
        assert_eq!(refused(&world, &token), TokenError::Malformed, "{member}");
    }
    let members = [
        r#""iss":"user""#,
        r#""aud":"user""#,
        r#""exp":9999999999"#,
        r#""iat":0"#,
        r#""nbf":0"#,
        r#""actor":{"sub":"a"},"actor":{"sub":"b"}"#,
        r#""actor":{"sub":"a","sub":"b"}"#,
    ];
    for member in members {
        let token = world.order.sign_parts(&header, &doubled(&payload, member));
        assert_eq!(refused(&world, &token), TokenError::Malformed, "{member}");
    }
    let user = claims("gantry", "gantry").to_string();
    for member in [r#""sub":"ann""#, r#""roles":["user"]"#] {
        let token = world.users.sign_text(&doubled(&user, member));
        assert_eq!(refused(&world, &token), TokenError::Malformed, "{member}");
    }
}

#[test]
fn a_header_of_another_type_is_malformed() {
    let world = world();
    let id = world.order.key.public().key_id().to_owned();
    let payload = claims("order", "inventory").to_string();
    for (member, value) in [
        ("kid", json!([id])),
        ("kid", json!(1)),
        ("kid", json!({"kid": id})),
        ("alg", json!(["EdDSA"])),
        ("alg", json!(null)),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("crit", json!("b64")),
    ] {
        let mut header = json!({"alg": "EdDSA", "typ": SERVICE, "kid": id});
        header[member] = value.clone();
        let token = world.order.sign_parts(&header.to_string(), &payload);
        assert_eq!(refused(&world, &token), TokenError::Malformed, "{member} {value}");
    }
    for header in ["", "{}", "[]", "null", "\"x\"", "{", "\u{feff}{}"] {
        let token = world.order.sign_parts(header, &payload);
        assert_eq!(refused(&world, &token), TokenError::Malformed, "{header}");
    }
}

#[test]
fn audience_and_issuer_are_compared_exactly() {
    let world = world();
    for aud in [json!(["inventory"]), json!(["inventory", "user"]), json!([]), json!(null)] {
        let mut claims = claims("order", "inventory");
        claims["aud"] = aud.clone();
        assert_eq!(refused(&world, &world.order.sign(&claims)), TokenError::Malformed, "{aud}");
    }
    for aud in ["Inventory", "inventory ", "inventory\u{0}", "inventory.", "*", ""] {
        let token = world.order.sign(&claims("order", aud));
        assert_eq!(refused(&world, &token), TokenError::WrongAudience, "{aud:?}");
    }
    for iss in ["Order", "order ", "order\u{0}", "\u{43e}rder"] {
        let token = world.order.sign(&claims(iss, "inventory"));
        assert_eq!(refused(&world, &token), TokenError::WrongIssuer, "{iss:?}");
    }
}

#[test]
fn other_encodings_of_a_token_are_rejected() {
    let world = world();
    let token = order_token(&world, Acting::For(ann()));
    world.inventory.verify_at(&token, NOW).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let json = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    for other in [
        format!("{token}="),
        format!("{token}."),
        format!("{token}.x.y"),
        format!(" {token}"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        json.to_string(),
    ] {
        assert_eq!(refused(&world, &other), TokenError::Malformed, "{other}");
    }
}

#[test]
fn a_key_signs_only_for_the_issuer_it_is_listed_with() {
    let world = world();
    // The key is listed with another issuer, so it signs for that issuer only.
    let trusted = world.order.trusted("payment", Issues::Service);
    let verifier = gantry_identity::Verifier::new("inventory", vec![trusted]);
    let token = order_token(&world, Acting::Itself { cause: None });
    assert_eq!(verifier.verify_at(&token, NOW), Err(TokenError::WrongIssuer));
}
