//! Loading and reloading certificates and keys.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod pem;

use std::{fs, sync::Arc, time::Duration};

use gantry_test_authority::{Authority, put};
use gantry_tls::{ClientTls, Live, ServerTls};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection,
    client::Resumption, server::ServerSessionMemoryCache,
};
use tokio::time::sleep;

fn server(authority: &Authority, client_ca_file: Option<std::path::PathBuf>) -> ServerTls {
    let issued = authority.issue("server", &["user"]);
    let mut tls =
        ServerTls::new(issued.cert_file, issued.key_file).reload_interval(Duration::from_secs(1));
    tls.client_ca_file = client_ca_file;
    tls
}

/// Returns true if the configuration changes within this number of intervals.
async fn changes_within(intervals: u32, live: &Live<ServerConfig>) -> bool {
    let before = live.current();
    tokio::select! {
        never = live.follow() => match never {},
        () = sleep(Duration::from_millis(1_000 * u64::from(intervals) + 500)) => {}
    }
    !Arc::ptr_eq(&before, &live.current())
}

#[test]
fn both_sides_load_and_offer_only_http2() {
    let authority = Authority::new();
    let live = server(&authority, Some(authority.ca_file())).load().unwrap();
    assert_eq!(live.current().alpn_protocols, [b"h2"]);
    let issued = authority.issue("client", &["order"]);
    let client = ClientTls::trusting(authority.ca_file())
        .cert_file(issued.cert_file)
        .key_file(issued.key_file);
    assert_eq!(client.load().unwrap().current().alpn_protocols, [b"h2"]);
}

/// Performs a handshake in memory and reads every session ticket that the server sends.
fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> HandshakeKind {
    let name = "user".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() || client.wants_write() || server.wants_write() {
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        take(&mut wire, |rest| server.read_tls(rest).unwrap());
        server.process_new_packets().unwrap();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        take(&mut wire, |rest| client.read_tls(rest).unwrap());
        client.process_new_packets().unwrap();
    }
    client.handshake_kind().unwrap()
}

fn take(wire: &mut Vec<u8>, mut read: impl FnMut(&mut &[u8]) -> usize) {
    let mut rest = &wire[..];
    while !rest.is_empty() && read(&mut rest) > 0 {}
    wire.clear();
}

#[test]
fn sessions_are_not_resumed() {
    let authority = Authority::new();
    let server = server(&authority, None).load().unwrap().current();
    let client = ClientTls::trusting(authority.ca_file()).load().unwrap().current();
    let mut resuming_client = ClientConfig::clone(&client);
    resuming_client.resumption = Resumption::default();
    let mut resuming_server = ServerConfig::clone(&server);
    resuming_server.session_storage = ServerSessionMemoryCache::new(16);
    resuming_server.send_tls13_tickets = 2;
    let (resuming_client, resuming_server) = (Arc::new(resuming_client), Arc::new(resuming_server));
    for (client, server) in [(&client, &resuming_server), (&resuming_client, &server)] {
        for _ in 0..3 {
            assert_eq!(shake(client, server), HandshakeKind::Full);
        }
    }
    assert_eq!(shake(&resuming_client, &resuming_server), HandshakeKind::Full);
    assert_eq!(shake(&resuming_client, &resuming_server), HandshakeKind::Resumed);
}

#[test]
fn an_unusable_file_is_an_error_that_names_its_setting() {
    let authority = Authority::new();
    let good = server(&authority, None);
    let other = authority.issue("other", &["user"]);
    let refused = |change: fn(&mut ServerTls, &std::path::Path)| {
        let mut wrong = good.clone();
        change(&mut wrong, &other.key_file);
        let error = wrong.load().unwrap_err();
        assert!(!error.to_string().contains("BEGIN"), "{error}");
        error
    };
    assert_eq!(refused(|tls, _| tls.cert_file = "/absent".into()).key, "cert_file");
    assert_eq!(refused(|tls, _| tls.key_file = tls.cert_file.clone()).key, "key_file");
    assert_eq!(refused(|tls, _| tls.cert_file = tls.key_file.clone()).key, "cert_file");
    assert_eq!(refused(|tls, other| tls.key_file = other.to_owned()).key, "cert_file");
    assert_eq!(
        refused(|tls, _| tls.client_ca_file = Some("/dev/null".into())).key,
        "client_ca_file"
    );
    let never = refused(|tls, _| tls.reload_interval = Duration::ZERO);
    assert_eq!(never.key, "reload_interval");

    let client = ClientTls::trusting(authority.ca_file());
    let half = client.clone().cert_file(other.cert_file.clone());
    assert_eq!(half.load().unwrap_err().to_string(), "key_file: is required with cert_file");
    assert!(client.certificate_name("user").is_ok());
    assert_eq!(client.certificate_name("no name").unwrap_err().key, "server_name");
}

#[test]
fn settings_take_units_and_reject_unknown_keys() {
    let read = |text| serde_json::from_str::<ServerTls>(text);
    let tls = read(r#"{"cert_file": "a", "key_file": "b"}"#).unwrap();
    assert_eq!(tls.reload_interval, Duration::from_secs(10));
    let text = r#"{"cert_file": "a", "key_file": "b", "reload_interval": "1m"}"#;
    assert_eq!(read(text).unwrap().reload_interval, Duration::from_secs(60));
    assert!(read(r#"{"cert_file": "a", "key_file": "b", "ca_file": "c"}"#).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_changed_pair_is_loaded_within_one_interval() {
    let authority = Authority::new();
    let live = server(&authority, None).load().unwrap();
    assert!(!changes_within(3, &live).await);
    authority.issue("server", &["user"]);
    assert!(changes_within(1, &live).await);
    // A change from before `follow` was polled is found too, and only once.
    assert!(!changes_within(2, &live).await);
}

#[tokio::test(start_paused = true)]
async fn invalid_files_leave_the_previous_ones_in_use() {
    let authority = Authority::new();
    let tls = server(&authority, Some(authority.ca_file()));
    let live = tls.load().unwrap();
    let key = fs::read_to_string(&tls.key_file).unwrap();
    let elsewhere = Authority::new();
    let strange = fs::read_to_string(elsewhere.issue("x", &["user"]).key_file).unwrap();
    for bad in ["", "nonsense", &strange] {
        put(&tls.key_file, bad);
        assert!(!changes_within(3, &live).await, "{bad}");
    }
    fs::remove_file(&tls.key_file).unwrap();
    assert!(!changes_within(3, &live).await);
    put(&tls.key_file, &key);
    assert!(!changes_within(3, &live).await);
    authority.issue("server", &["user"]);
    assert!(changes_within(1, &live).await);
}

#[tokio::test(start_paused = true)]
async fn changed_authorities_are_loaded_too() {
    let authority = Authority::new();
    let live = server(&authority, Some(authority.ca_file())).load().unwrap();
    let new = fs::read_to_string(Authority::new().ca_file()).unwrap();
    put(&authority.ca_file(), &new);
    assert!(changes_within(1, &live).await);
}

#[tokio::test(start_paused = true)]
async fn expiry_reloads_and_failures_are_reported() {
    let authority = Authority::new();
    let tls = server(&authority, None);
    let live = tls.load().unwrap();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let day = 24 * 60 * 60;
    let left = live.followed().expires_at.unwrap() - now;
    assert!((day - 60..=day).contains(&left), "{left}");

    let good = fs::read_to_string(&tls.cert_file).unwrap();
    put(&tls.cert_file, "no certificate");
    assert!(!changes_within(5, &live).await);
    let followed = live.followed();
    assert_eq!((followed.reloads, followed.failures, followed.is_refused), (0, 1, true));
    put(&tls.cert_file, &good);
    assert!(!changes_within(2, &live).await);
    assert!(!live.followed().is_refused);

    authority.issue_until("server", &["user"], time::Duration::days(30));
    assert!(changes_within(2, &live).await);
    let followed = live.followed();
    assert_eq!((followed.reloads, followed.failures, followed.is_refused), (1, 1, false));
    let left = followed.expires_at.unwrap() - now;
    assert!((29 * day..=31 * day).contains(&left), "{left}");
}
