//! Published keys that are cached for a restart while their publisher is down.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gantry_identity::{Jwk, SigningKey, TokenError, Verifier};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::published::{Publisher, down, follow, is_ann, keys, these, token};

/// Starts a service that caches published keys in `file`.
fn start(publisher: &Arc<Publisher>, file: &Path) -> Verifier {
    Verifier::new("order", Vec::new()).published(keys(publisher).kept_in(file.to_owned()))
}

/// Returns the content of a cache file with this key, fetched `age` ago.
fn content(key: &SigningKey, age: Duration) -> Value {
    let Jwk { kty, crv, x, kid, alg } = Jwk::from(&key.public());
    let fetched_at = (OffsetDateTime::now_utc() - age).unix_timestamp();
    let key = json!({"kty": kty, "crv": crv, "x": x, "kid": kid, "alg": alg});
    json!({"fetched_at": fetched_at, "keys": [key]})
}

/// Returns a temporary folder and the path of a file in it.
fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept/order.user.jwks");
    (folder, file)
}

#[tokio::test(start_paused = true)]
async fn cached_keys_survive_a_restart_during_an_outage() {
    let (_folder, file) = file();
    let (old, new) = (SigningKey::generate(), SigningKey::generate());
    let publisher = Publisher::says([these([&old])]);
    assert!(is_ann(&start(&publisher, &file), &token(&old)).await);
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "its writer could forge users' tokens");
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);

    let away = Publisher::says([down()]);
    let restarted = start(&away, &file);
    assert!(restarted.verify(&token(&old)).is_ok());
    assert_eq!(away.fetches(), 0);
    // The publisher is back, with another key.
    follow(&restarted, Duration::from_secs(5)).await;
    away.now_says(these([&new]));
    follow(&restarted, Duration::from_secs(11)).await;
    assert_eq!(restarted.verify(&token(&old)), Err(TokenError::UnknownKey));
    assert!(restarted.verify(&token(&new)).is_ok());
    let again = start(&Publisher::says([down()]), &file);
    assert!(again.verify(&token(&new)).is_ok());
    assert_eq!(again.verify(&token(&old)), Err(TokenError::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn a_cache_file_must_be_recent_intact_and_protected() {
    let (_folder, file) = file();
    fs::create_dir(file.parent().unwrap()).unwrap();
    let key = SigningKey::generate();
    let believes = |text: &str, mode| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        start(&Publisher::says([down()]), &file).verify(&token(&key)).is_ok()
    };
    let hour = Duration::from_secs(60 * 60);
    let good = content(&key, Duration::ZERO);
    assert!(believes(&good.to_string(), 0o600));
    assert!(believes(&content(&key, 23 * hour).to_string(), 0o600));
    assert!(!believes(&content(&key, 25 * hour).to_string(), 0o600), "too old");
    let mut ahead = good.clone();
    ahead["fetched_at"] = json!(OffsetDateTime::now_utc().unix_timestamp() + 3_600);
    assert!(!believes(&ahead.to_string(), 0o600), "from the future");
    for mode in [0o620, 0o602, 0o666] {
        assert!(!believes(&good.to_string(), mode), "{mode:o}");
    }
    let mut private = good.clone();
    private["keys"][0]["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    assert!(!believes(&private.to_string(), 0o600), "a private key must not be published");
    let mut none = good.clone();
    none["keys"] = json!([]);
    let long = format!("{good}{}", " ".repeat(100_000));
    let half = good.to_string();
    for damaged in ["", "{}", "null", &half[..half.len() / 2], &none.to_string(), &long] {
        assert!(!believes(damaged, 0o600), "{damaged}");
    }
    assert!(believes(&good.to_string(), 0o600));
}

#[tokio::test(start_paused = true)]
async fn an_unwritable_cache_file_does_not_block_fetching() {
    let (folder, _) = file();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    let key = SigningKey::generate();
    let verifier = start(&Publisher::says([these([&key])]), &blocked.join("order.user.jwks"));
    assert!(is_ann(&verifier, &token(&key)).await);
}
