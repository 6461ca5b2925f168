//! Admin server: pages about the servers of its process.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use gantry_probe::probe::v1::ActRequest;
use gantry_server::Admin;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    raw::{request, send},
    world::{TEST_TIMEOUT, World, eventually},
};

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

pub(crate) async fn start(admin: Admin) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, stopped) = oneshot::channel();
    let served = tokio::spawn(admin.serve(listener, async {
        let _ = stopped.await;
    }));
    Running { address, shutdown, served }
}

/// Returns the head and the body of a response.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (String, String) {
    page(address, "GET", path).await
}

async fn page(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    page_on(TcpStream::connect(address).await.unwrap(), method, path).await
}

async fn page_on(stream: TcpStream, method: &str, path: &str) -> (String, String) {
    page_of(stream, method, path, "localhost").await
}

async fn page_of(mut stream: TcpStream, method: &str, path: &str, host: &str) -> (String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(TEST_TIMEOUT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
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
async fn a_process_is_ready_if_all_servers_and_dependencies_are() {
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
async fn a_draining_process_is_live_and_not_ready() {
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

const SECURITY_HEADERS: [&str; 5] = [
    "x-content-type-options: nosniff",
    "x-frame-options: deny",
    "content-security-policy: default-src 'none'",
    "referrer-policy: no-referrer",
    "cache-control: no-store",
];

const PAGES: [&str; 7] =
    ["/", "/livez", "/healthz", "/readyz", "/metrics", "/endpoints", "/config"];

/// Returns an admin server with all pages.
fn whole() -> Admin {
    Admin::new()
        .metrics(|| "# EOF\n".to_owned())
        .endpoints("order", || json!([{ "service": "user" }]))
        .config(json!({ "listen": "127.0.0.1:1" }))
}

#[tokio::test]
async fn every_page_is_read_only_with_security_headers() {
    let admin = start(whole()).await;
    let refusals = ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MADEUP"];
    for path in PAGES {
        for (method, status) in [("GET", "200"), ("HEAD", "200")]
            .into_iter()
            .chain(refusals.map(|method| (method, "405")))
        {
            let (head, body) = page(admin.address, method, path).await;
            assert!(head.starts_with(&format!("http/1.1 {status}")), "{method} {path}: {head}");
            assert_eq!(body.is_empty(), method != "GET", "{method} {path}: {body}");
            assert_eq!(
                head.contains("allow: get,head"),
                status == "405",
                "{method} {path}: {head}"
            );
            for header in SECURITY_HEADERS {
                assert!(head.contains(header), "{method} {path} lacks {header}: {head}");
            }
        }
    }
    for path in ["/absent", "/metrics/", "//metrics", "/config/../readyz", "/debug/pprof"] {
        let (head, _) = get(admin.address, path).await;
        assert!(head.starts_with("http/1.1 404"), "{path}: {head}");
        assert!(SECURITY_HEADERS.iter().all(|header| head.contains(header)), "{path}: {head}");
    }
}

#[tokio::test]
async fn the_index_links_the_pages_that_exist() {
    let admin = start(whole()).await;
    let (_, index) = get(admin.address, "/").await;
    for path in &PAGES[1..] {
        assert!(index.contains(&format!("<a href=\"{path}")), "{path}: {index}");
    }
    let bare = start(Admin::new()).await;
    let (_, index) = get(bare.address, "/").await;
    assert!(index.contains("/readyz") && !index.contains("/config"), "{index}");
}

#[tokio::test]
async fn json_is_indented_on_request() {
    let admin = start(whole()).await;
    let (head, body) = get(admin.address, "/config?pretty").await;
    assert_eq!(body, "{\n  \"listen\": \"127.0.0.1:1\"\n}\n", "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(SECURITY_HEADERS.iter().all(|header| head.contains(header)), "{head}");
    assert_eq!(get(admin.address, "/config").await.1, r#"{"listen":"127.0.0.1:1"}"#);
    assert_eq!(get(admin.address, "/metrics?pretty").await.1, "# EOF\n");
    // The status of the page is kept.
    assert!(get(admin.address, "/absent?pretty").await.0.starts_with("http/1.1 404"));
}

#[tokio::test]
async fn an_invalid_http_request_is_refused_and_closed() {
    let admin = start(whole()).await;
    let long =
        format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: x\r\n".repeat(1000));
    let longest = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(100_000));
    for request in [&long, &many, &longest, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\0\0\0"] {
        let mut stream = TcpStream::connect(admin.address).await.unwrap();
        // The server may close before the whole request is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", &request[..10]);
    }
    // An announced body that never arrives delays nothing.
    let mut stream = TcpStream::connect(admin.address).await.unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(get(admin.address, "/livez").await.0.starts_with("http/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_admin_client_is_disconnected_within_seconds() {
    let page = "x".repeat(50_000_000);
    let admin = start(Admin::new().config(json!(page))).await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(admin.address).await.unwrap();
    silent.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
    assert!((4..=7).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());

    let mut reader = TcpStream::connect(admin.address).await.unwrap();
    reader.write_all(b"GET /config HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    reader.readable().await.unwrap();
    sleep(Duration::from_secs(20)).await;
    let mut answer = Vec::new();
    let _ = reader.read_to_end(&mut answer).await;
    assert!(answer.len() < page.len(), "the response was complete");
}

#[tokio::test]
async fn a_flood_from_one_address_leaves_places_for_the_probes() {
    let admin = start(whole()).await;
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(TcpStream::connect(admin.address).await.unwrap());
    }
    let probe = TcpSocket::new_v4().unwrap();
    probe.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let probe = probe.connect(admin.address).await.unwrap();
    let (head, _) = page_on(probe, "GET", "/livez").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
}

#[tokio::test]
async fn concurrent_readiness_requests_share_one_check() {
    let (asked, at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&asked), Arc::clone(&at_once));
    let world = World::with(|builder| {
        builder.readiness("database", move || {
            let (asked, at_once) = counts.clone();
            async move {
                asked.fetch_add(1, Ordering::SeqCst);
                let others = at_once.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(300)).await;
                at_once.fetch_sub(1, Ordering::SeqCst);
                if others == 0 { Ok(()) } else { Err("two checks at once") }
            }
        })
    })
    .await;
    let admin = start(Admin::new().add(world.status.clone())).await;
    let answers = join_all((0..20).map(|_| readiness(admin.address))).await;
    assert!(answers.iter().all(|(ready, _)| *ready), "{answers:?}");
    assert!(asked.load(Ordering::SeqCst) < 10, "{asked:?}");
}

#[tokio::test]
async fn pages_are_served_only_under_their_host_names() {
    let name = "pages.example.org".to_owned().try_into().unwrap();
    let admin = start(whole().hosts([name])).await;
    for (host, status) in
        [("127.0.0.1", 200), ("pages.example.org:9100", 200), ("evil.example:9100", 421)]
    {
        for path in PAGES {
            let stream = TcpStream::connect(admin.address).await.unwrap();
            let (head, body) = page_of(stream, "GET", path, host).await;
            assert!(head.starts_with(&format!("http/1.1 {status}")), "{host} {path}: {head}");
            assert_eq!(body.contains("setting admin.hosts"), status == 421, "{body}");
            assert!(SECURITY_HEADERS.iter().all(|header| head.contains(header)), "{head}");
        }
    }
    // The response is the same whether the page exists or not.
    let stream = TcpStream::connect(admin.address).await.unwrap();
    let (head, _) = page_of(stream, "GET", "/none", "evil.example").await;
    assert!(head.starts_with("http/1.1 421"), "{head}");
}

#[tokio::test]
async fn the_port_of_the_service_has_no_admin_pages() {
    let world = World::start().await;
    for path in PAGES {
        let answer = send(&world, request(path, Bytes::new())).await;
        assert_eq!(answer.headers["grpc-status"], "12", "{path}");
        let mut plain = request(path, Bytes::new());
        *plain.method_mut() = http::Method::GET;
        plain.headers_mut().remove("content-type");
        let answer = send(&world, plain).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (405, 0), "{path}");
        // That port does not speak HTTP/1.1 at all.
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1"), "{path}");
    }
}

#[tokio::test]
async fn it_serves_only_pages_with_content() {
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

#[tokio::test(start_paused = true)]
async fn the_admin_server_ends_despite_clients_that_do_not_read() {
    let admin = start(Admin::new().config(json!("x".repeat(50_000_000)))).await;
    let silent = TcpStream::connect(admin.address).await.unwrap();
    let mut reader = TcpStream::connect(admin.address).await.unwrap();
    reader.write_all(b"GET /config HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    reader.readable().await.unwrap();
    get(admin.address, "/livez").await;
    let started = Instant::now();
    admin.shutdown.send(()).unwrap();
    admin.served.await.unwrap();
    // In paused time. Without the drain timeout, the connections would end at their age of 15 s.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(TcpStream::connect(admin.address).await.is_err());
    drop((silent, reader));
}

/// Sends a request with a body to `/log-filter`, and returns the head and the body of the response.
async fn put(address: SocketAddr, host: &str, content_type: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "PUT /log-filter HTTP/1.1\r\nhost: {host}\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(TEST_TIMEOUT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn the_log_filter_is_shown_and_changed_by_json_alone() {
    const JSON: &str = "application/json";
    let filter = Arc::new(Mutex::new("info".to_owned()));
    let (shown, changed) = (Arc::clone(&filter), Arc::clone(&filter));
    let change = move |text: String| match text.as_str() {
        "loud" => Err("loud is no level".to_owned()),
        _ => {
            *changed.lock().unwrap() = text;
            Ok(())
        }
    };
    let admin = Admin::new().log_filter(move || shown.lock().unwrap().clone(), change);
    let admin = start(admin).await;
    let (head, body) = get(admin.address, "/log-filter").await;
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, r#"{"filter":"info"}"#);

    let long = format!(r#"{{"filter":"{}"}}"#, "x".repeat(5000));
    for (host, content_type, body, status, why) in [
        ("localhost", JSON, r#"{"filter":"loud"}"#, 400, "loud is no level"),
        ("localhost", JSON, r#"{"filter":1}"#, 422, "filter"),
        ("localhost", JSON, r#"{"filter":"debug","for":"1m"}"#, 422, "for"),
        ("localhost", JSON, "{}", 422, "filter"),
        ("localhost", JSON, "debug", 400, "JSON"),
        ("localhost", JSON, "", 400, "JSON"),
        ("localhost", JSON, &long, 413, "limit"),
        // A web page could send these without asking first.
        ("localhost", "text/plain", r#"{"filter":"debug"}"#, 415, "Content-Type"),
        ("evil.example", JSON, r#"{"filter":"debug"}"#, 421, "admin.hosts"),
    ] {
        let (head, told) = put(admin.address, host, content_type, body).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{body}: {head}");
        assert!(told.contains(why), "{body}: {told}");
        assert!(SECURITY_HEADERS.iter().all(|header| head.contains(header)), "{head}");
        assert_eq!(*filter.lock().unwrap(), "info", "{body}");
    }
    for method in ["POST", "DELETE", "PATCH", "OPTIONS"] {
        let (head, _) = page(admin.address, method, "/log-filter").await;
        assert!(head.starts_with("http/1.1 405"), "{method}: {head}");
        assert!(!head.contains("access-control"), "{method}: {head}");
    }

    let (head, body) = put(admin.address, "127.0.0.1", JSON, r#"{"filter":"debug"}"#).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, r#"{"filter":"debug"}"#);
    assert_eq!(get(admin.address, "/log-filter").await.1, body);
    assert!(get(admin.address, "/").await.1.contains("<a href=\"/log-filter"));
    let bare = start(whole()).await;
    assert!(get(bare.address, "/log-filter").await.0.starts_with("http/1.1 404"));
}
