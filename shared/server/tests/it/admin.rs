//! The admin server: what it says of the servers of its process.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gantry_probe::probe::v1::ActRequest;
use gantry_server::Admin;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::world::{PATIENCE, World, eventually};

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

pub(crate) async fn start(admin: Admin) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, told) = oneshot::channel();
    let served = tokio::spawn(admin.serve(listener, async {
        let _ = told.await;
    }));
    Running { address, shutdown, served }
}

/// The head and the body of an answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

async fn readiness(address: SocketAddr) -> (bool, Value) {
    let (head, body) = get(address, "/readyz").await;
    let ready = head.starts_with("http/1.1 200");
    assert!(ready || head.starts_with("http/1.1 503"), "{head}");
    (ready, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn a_process_is_ready_when_all_its_servers_and_their_dependencies_are() {
    let works = Arc::new(AtomicBool::new(true));
    let first = World::start().await;
    let check = Arc::clone(&works);
    let second = World::with(|builder| {
        builder.readiness("database", move || {
            let works = check.load(Ordering::SeqCst);
            async move { if works { Ok(()) } else { Err("the disk is full") } }
        })
    })
    .await;
    let admin = start(Admin::new().add(first.status.clone()).add(second.status.clone())).await;
    let (ready, report) = readiness(admin.address).await;
    assert!(ready, "{report}");
    assert_eq!(report["status"], "ready");
    assert_eq!(report["servers"][1]["checks"][0]["name"], "database");

    works.store(false, Ordering::SeqCst);
    let (ready, report) = readiness(admin.address).await;
    assert!(!ready);
    assert_eq!(report["servers"][0]["ready"], true);
    assert_eq!(report["servers"][1]["checks"][0]["error"], "the disk is full");
}

#[tokio::test]
async fn a_draining_process_lives_and_is_not_ready() {
    let mut world = World::start().await;
    let admin = start(Admin::new().add(world.status.clone())).await;
    assert!(readiness(admin.address).await.0);
    let mut client = world.client().await;
    let nap = tokio::spawn(async move {
        client.act(ActRequest { nap_ms: 500, ..ActRequest::default() }).await
    });
    eventually("the call runs", || world.seen.started() == 1).await;
    world.shut_down();
    eventually("it drains", || world.status.state() != gantry_server::State::Serving).await;
    let (ready, report) = readiness(admin.address).await;
    assert!(!ready);
    assert_eq!(report["servers"][0]["state"], "draining");
    for path in ["/livez", "/healthz"] {
        assert!(get(admin.address, path).await.0.starts_with("http/1.1 200"), "{path}");
    }
    nap.await.unwrap().unwrap();
    world.ended().await.unwrap();
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let admin = start(Admin::new()).await;
    for (path, status) in [("/livez", "200"), ("/readyz", "200"), ("/absent", "404")] {
        let (head, _) = get(admin.address, path).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "content-security-policy: default-src 'none'",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path} lacks {header}: {head}");
        }
    }
}

#[tokio::test]
async fn it_shows_what_it_was_given_and_has_no_other_pages() {
    let admin = Admin::new()
        .endpoints("order", || json!([{ "service": "user" }]))
        .config(json!({ "listen": "127.0.0.1:1" }));
    let admin = start(admin).await;
    for (path, expected) in [
        ("/endpoints", json!({ "order": [{ "service": "user" }] })),
        ("/config", json!({ "listen": "127.0.0.1:1" })),
    ] {
        let (head, body) = get(admin.address, path).await;
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    }
    assert!(get(admin.address, "/metrics").await.0.starts_with("http/1.1 404"));
    let bare = start(Admin::new()).await;
    for path in ["/endpoints", "/config"] {
        assert!(get(bare.address, path).await.0.starts_with("http/1.1 404"), "{path}");
    }
}

#[tokio::test]
async fn it_ends_when_told_although_a_client_stays() {
    let admin = start(Admin::new()).await;
    let silent = TcpStream::connect(admin.address).await.unwrap();
    get(admin.address, "/livez").await;
    admin.shutdown.send(()).unwrap();
    timeout(PATIENCE, admin.served).await.unwrap().unwrap();
    assert!(TcpStream::connect(admin.address).await.is_err());
    drop(silent);
}
