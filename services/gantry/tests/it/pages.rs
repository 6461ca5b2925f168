//! Admin pages of a suite: calls, endpoints and settings, without secrets.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::{process::Suite, shop::Shop};

/// Returns the body of a page.
pub fn page(suite: &Suite, path: &str) -> String {
    let (head, body) = get(suite.ready()["admin"].as_str().unwrap(), path);
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    body
}

/// Returns the status line and the body of a page at an admin address.
pub fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_pages_have_calls_endpoints_settings_and_no_secret() {
    let password = "correct horse battery staple";
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[user.bootstrap]\nadmin_email = 'root@example.org'\nadmin_password = '{password}'\n"
    );
    std::fs::write(file.path(), text).unwrap();
    let suite =
        Suite::start(&["--replicas", "inventory=2", "--config", file.path().to_str().unwrap()]);
    let shop = Shop::open(&suite).await;
    shop.one_confirmed_order().await;

    let metrics = page(&suite, "/metrics");
    for series in [
        "grpc_server_call_duration_seconds_count{grpc_method=\"shop.order.v1.OrderService/PlaceOrder\"",
        "grpc_client_call_duration_seconds_count{gantry_service=\"order\",grpc_method=\"shop.user.v1.UserService/GetUser\"",
        "grpc_client_attempt_duration_seconds_bucket{",
        "gantry_client_circuit_breaker_state{gantry_service=\"order\",gantry_state=\"closed\",grpc_target=\"inventory\"} 1",
        "gantry_client_endpoints{gantry_service=\"order\",gantry_state=\"connected\",grpc_target=\"inventory\"} 2",
        "gantry_build_info{",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(series)), "{series}:\n{metrics}");
    }

    let endpoints: Value = serde_json::from_str(&page(&suite, "/endpoints")).unwrap();
    let inventory = endpoints["order"].as_array().unwrap();
    let inventory = inventory.iter().find(|channel| channel["service"] == "inventory").unwrap();
    assert_eq!(inventory["breaker"]["state"], "closed");
    let mut addresses: Vec<_> = inventory["endpoints"].as_array().unwrap().iter().collect();
    addresses.retain(|endpoint| endpoint["connections"].as_u64() > Some(0));
    assert_eq!(addresses.len(), 2, "{inventory:#}");

    let config = page(&suite, "/config");
    let shown: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(shown["user"]["bootstrap"]["admin_email"], "root@example.org");
    assert_eq!(shown["user"]["bootstrap"]["admin_password"], "[redacted]");
    assert_eq!(shown["discovery"]["kind"], "memory");
    // The settings in force, not those of the file.
    let clients = &shown["order"]["clients"];
    assert_eq!(clients["inventory"]["max_connections"], clients["user"]["max_connections"]);
    let key = shown["order"]["idempotency"]["key_file"].as_str().unwrap();
    assert!(key.ends_with("keys/order-requests.secret"), "{key}");
    assert!(shown["sources"]["user.bootstrap.admin_email"].as_str().unwrap().starts_with("file "));
    let source = &shown["sources"]["order.clients.inventory.max_connections"];
    assert_eq!(source, "built-in defaults");
    assert!(page(&suite, "/").contains("/config?pretty"));
    for page in [&config, &metrics, &endpoints.to_string()] {
        assert!(!page.contains(password) && !page.contains(suite.admin_password().trim()));
    }
}
