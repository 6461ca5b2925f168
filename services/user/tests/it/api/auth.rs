//! AuthService: logins, and calls with their tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gantry_proto::shop::user::v1::{
    CreateUserRequest, GetJwksRequest, LoginRequest, auth_service_client::AuthServiceClient,
};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use tonic::Code;

use super::{PASSWORD, Running, new, refused, wrong_fields};

/// Returns the claims of an access token, without checking it.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_login_returns_usable_tokens() {
    let running = Running::start().await;
    let ann = running.admin().await.create(new("Ann@example.org")).await.unwrap();
    let pair = running.login("ann@EXAMPLE.org", PASSWORD).await.unwrap();
    assert_eq!(pair.expires_in, 15 * 60);
    assert_eq!(running.with(pair.access_token.clone()).get(&ann.id).await.unwrap(), ann);

    let claims = claims(&pair.access_token);
    assert_eq!(claims["sub"], *ann.id);
    assert_eq!(claims["email"], "Ann@example.org");
    assert_eq!(claims["roles"], serde_json::json!(["user"]));
    let permissions =
        ["orders:read", "orders:write", "products:read", "users:list", "users:read", "users:write"];
    assert_eq!(claims["permissions"], serde_json::json!(permissions));
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 15 * 60);

    // A refresh token is not an access token, and every token is unique.
    let misused = running.with(pair.refresh_token.clone());
    refused(misused.get(&ann.id), Code::Unauthenticated, "TOKEN_INVALID").await;
    let again = running.login("ann@example.org", PASSWORD).await.unwrap();
    assert_ne!(again.refresh_token, pair.refresh_token);
    assert_ne!(again.access_token, pair.access_token);
}

#[tokio::test]
async fn each_spelling_of_a_password_logs_in() {
    const FORMS: [&str; 3] = ["pässwörd 1", "pa\u{308}sswo\u{308}rd 1", "pässwo\u{308}rd\u{a0}1"];
    let running = Running::start().await;
    let admin = running.admin().await;
    for (number, set) in FORMS.into_iter().enumerate() {
        let email = format!("ann{number}@example.org");
        let request = CreateUserRequest { password: set.to_owned(), ..new(&email) };
        admin.create(request).await.unwrap();
        for typed in FORMS {
            running.login(&email, typed).await.unwrap();
        }
    }
    for wrong in ["Pässwörd 1", "passwörd 1", "pässwörd 1\u{200b}", "pässwörd 1\n"] {
        let login = running.login("ann0@example.org", wrong);
        refused(login, Code::Unauthenticated, "BAD_CREDENTIALS").await;
    }
    // 128 characters, each of three code points.
    let password = "o\u{302}\u{323}".repeat(128);
    let request = CreateUserRequest { password: password.clone(), ..new("long@example.org") };
    admin.create(request).await.unwrap();
    running.login("long@example.org", &password).await.unwrap();
    running.login("long@example.org", &"ộ".repeat(128)).await.unwrap();
    for (password, rule) in [
        ("o\u{302}\u{323}".repeat(7), "must have 8 to 128 characters"),
        ("password\u{202e}".to_owned(), "invisible"),
    ] {
        let request = CreateUserRequest { password, ..new("other@example.org") };
        let status =
            refused(admin.create(request), Code::InvalidArgument, "VALIDATION_FAILED").await;
        assert_eq!(wrong_fields(&status), ["password"]);
        assert!(status.message().contains(rule), "{status:?}");
    }
}

#[tokio::test]
async fn published_keys_rotate_with_overlap() {
    let running = Running::start().await;
    let (ann, _) = running.customer("ann@example.org").await;
    let old = running.login("ann@example.org", PASSWORD).await.unwrap().access_token;
    let published = async |running: &Running| {
        let mut client = AuthServiceClient::new(running.channel.clone());
        client.get_jwks(GetJwksRequest {}).await.unwrap().into_inner().keys
    };
    let before = published(&running).await;
    assert_eq!(before.len(), 1);
    assert_eq!((&*before[0].kty, &*before[0].crv, &*before[0].r#use), ("OKP", "Ed25519", "sig"));

    // Sign with another key, and keep the old one published.
    let folder = &running.it.folder;
    folder.make_key("next");
    let path = folder.path().display();
    let current = format!(r#"tokens.key_file = "{path}/users.pem""#);
    let signing = format!(r#"tokens.key_file = "{path}/next.pem""#);
    let kept = format!(r#"tokens.published_key_files = ["{path}/users.pub.pem"]"#);
    folder.change_settings(&current, &format!("{signing}\n{kept}"));

    let running = running.restart().await;
    let after = published(&running).await;
    assert_eq!(after.len(), 2);
    assert!(after.contains(&before[0]));
    let new = running.login("ann@example.org", PASSWORD).await.unwrap().access_token;
    for token in [old, new] {
        assert_eq!(running.with(token).get(&ann.id).await.unwrap().id, ann.id);
    }
}

#[tokio::test]
async fn an_unknown_address_fails_like_a_wrong_password() {
    let running = Running::start().await;
    running.customer("ann@example.org").await;
    let wrong = running.login("ann@example.org", "wrong horse");
    let wrong = refused(wrong, Code::Unauthenticated, "BAD_CREDENTIALS").await;
    for email in ["bob@example.org", "ann", "ann@example.org."] {
        let unknown = running.login(email, PASSWORD);
        let unknown = refused(unknown, Code::Unauthenticated, "BAD_CREDENTIALS").await;
        assert_eq!(unknown.message(), wrong.message());
        assert_eq!(unknown.details(), wrong.details());
    }
}

#[tokio::test]
async fn a_login_needs_an_address_and_a_password() {
    let running = Running::start().await;
    let status = refused(running.login("", ""), Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["email", "password"]);
}

#[tokio::test]
async fn only_an_active_user_may_log_in() {
    let running = Running::start().await;
    let (ann, _) = running.customer("ann@example.org").await;
    let mut conn = database(&running).await;
    for status in ["PENDING", "DEACTIVATED"] {
        sqlx::query("UPDATE users SET status = ? WHERE email_key = 'ann@example.org'")
            .bind(status)
            .execute(&mut conn)
            .await
            .unwrap();
        let login = running.login("ann@example.org", PASSWORD);
        let refusal = refused(login, Code::FailedPrecondition, "USER_NOT_ACTIVE").await;
        assert!(refusal.message().contains(&ann.id), "{refusal:?}");
        let guess = running.login("ann@example.org", "wrong horse");
        refused(guess, Code::Unauthenticated, "BAD_CREDENTIALS").await;
    }
}

#[tokio::test]
async fn stored_secrets_are_hashes() {
    let running = Running::start().await;
    running.customer("ann@example.org").await;
    let pair = running.login("ann@example.org", PASSWORD).await.unwrap();
    let mut conn = database(&running).await;

    let hashes: Vec<String> =
        sqlx::query_scalar("SELECT hash FROM passwords").fetch_all(&mut conn).await.unwrap();
    assert_eq!(hashes.len(), 2, "the admin and Ann");
    for hash in hashes {
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
    }
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, pair.refresh_token.as_bytes());
    let (seconds, families): (i64, i64) = sqlx::query_as(
        "SELECT (expire_time - create_time) / 1000000,
                (SELECT count(DISTINCT family) FROM refresh_tokens)
         FROM refresh_tokens WHERE hash = ?",
    )
    .bind(digest.as_ref())
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(seconds, 30 * 24 * 60 * 60);
    assert_eq!(families, 3, "one for each login");
}

#[tokio::test]
async fn a_restart_keeps_users_and_their_tokens() {
    let running = Running::start().await;
    let (ann, _) = running.customer("ann@example.org").await;
    let pair = running.login("ann@example.org", PASSWORD).await.unwrap();
    let running = running.restart().await;
    assert_eq!(running.with(pair.access_token).get(&ann.id).await.unwrap(), ann);
    running.login("ann@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_login_ignores_tokens() {
    let running = Running::start().await;
    running.customer("ann@example.org").await;
    let (email, password) = ("ann@example.org".to_owned(), PASSWORD.to_owned());
    let request = running.with("x.y.z".to_owned()).request(LoginRequest { email, password });
    AuthServiceClient::new(running.channel.clone()).login(request).await.unwrap();
}

async fn database(running: &Running) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(running.it.folder.database());
    SqliteConnection::connect_with(&options).await.unwrap()
}
