//! Tests of the conversion to and from Consul's JSON.

use proptest::prelude::*;

use super::*;

fn entry(service: &str) -> Entry {
    let text = format!(r#"{{"Node":{{"Address":"10.0.0.1"}},"Service":{service}}}"#);
    serde_json::from_str(&text).unwrap()
}

fn endpoint(service: &str) -> Endpoint {
    let registered = entry(service).registered().unwrap();
    assert_eq!(registered.host, Host::Ip);
    registered.endpoint()
}

#[test]
fn a_registration_round_trips_with_its_checks() {
    let instance = Instance {
        weight: 3,
        zone: Some("west".to_owned()),
        version: "1.2.3".to_owned(),
        tags: vec!["canary".to_owned()],
        checks: vec!["shop.user.v1.UserService".to_owned()],
        ..Instance::new("user", "[::1]:50051".parse().unwrap())
    };
    let id = ServiceId::new(&instance, 0xbeef, 7);
    let body = Registering::new(&instance, &id, &Settings::default());
    let body = serde_json::to_value(body).unwrap();
    let expected = serde_json::json!({
        "ID": "user-::1-50051-0000beef.7",
        "Name": "user",
        "Address": "::1",
        "Port": 50051,
        "Tags": ["canary"],
        "Meta": {
            "gantry": env!("CARGO_PKG_VERSION"),
            "protocol": "grpc",
            "server": "gantry",
            "version": "1.2.3",
            "zone": "west",
        },
        "Weights": {"Passing": 3, "Warning": 3},
        "Checks": [{
            "Name": "gRPC shop.user.v1.UserService",
            "GRPC": "[::1]:50051/shop.user.v1.UserService",
            "GRPCUseTLS": false,
            "Interval": "5000ms",
            "Timeout": "2000ms",
            "Status": "critical",
            "DeregisterCriticalServiceAfter": "60000ms",
        }],
    });
    assert_eq!(body, expected);
    assert_eq!(endpoint(&body.to_string()), instance.endpoint());
}

#[test]
fn an_instance_with_ttl_has_one_check() {
    let checks = vec!["a".to_owned(), "b".to_owned()];
    let instance = Instance { checks, ..Instance::new("user", "10.0.0.1:80".parse().unwrap()) };
    let id = ServiceId::new(&instance, 0xbeef, 7);
    let settings = Settings { check: settings::Check::Ttl, ..Settings::default() };
    let body = serde_json::to_value(Registering::new(&instance, &id, &settings)).unwrap();
    let expected = serde_json::json!([{
        "Name": "heartbeat",
        "CheckID": "user-10.0.0.1-80-0000beef.7:heartbeat",
        "TTL": "15000ms",
        "Status": "critical",
        "DeregisterCriticalServiceAfter": "60000ms",
    }]);
    assert_eq!(body["Checks"], expected);
}

#[test]
fn foreign_registrations_are_read() {
    let bare = r#"{"ID":"a","Address":"","Port":80,"Tags":null,"Meta":null,"Weights":null}"#;
    assert_eq!(endpoint(bare), Endpoint::at("10.0.0.1:80".parse().unwrap()));
    let meta = r#"{"ID":"a","Address":"10.0.0.2","Port":80,"Meta":{"protocol":"h2c"}}"#;
    assert_eq!(endpoint(meta).meta["protocol"], "h2c");
}

#[test]
fn a_host_is_an_address_or_a_name() {
    for (host, address) in [
        ("10.0.0.2", "10.0.0.2:80"),
        (" 10.0.0.2 ", "10.0.0.2:80"),
        ("::1", "[::1]:80"),
        ("[::1]", "[::1]:80"),
        ("0:0:0:0:0:0:0:1", "[::1]:80"),
    ] {
        let service = format!(r#"{{"ID":"a","Address":{host:?},"Port":80}}"#);
        assert_eq!(endpoint(&service), Endpoint::at(address.parse().unwrap()), "{host:?}");
    }
    for host in ["users.internal", "Users.Internal", "users-1", "users.internal.", "localhost"] {
        let service = format!(r#"{{"ID":"a","Address":{host:?},"Port":80,"Tags":["x"]}}"#);
        let registered = entry(&service).registered().unwrap();
        assert_eq!(registered.host, Host::Name((host.to_ascii_lowercase(), 80)));
        let at = registered.at("10.0.0.9:80".parse().unwrap());
        assert_eq!(
            (at.address.to_string(), at.tags),
            ("10.0.0.9:80".to_owned(), vec!["x".to_owned()])
        );
    }
    // Without an address, the service has the address of its node.
    let node =
        r#"{"Node":{"Address":"node-1.internal"},"Service":{"ID":"a","Address":"","Port":80}}"#;
    let registered = serde_json::from_str::<Entry>(node).unwrap().registered().unwrap();
    assert_eq!(registered.host, Host::Name(("node-1.internal".to_owned(), 80)));
}

#[test]
fn an_unusable_registration_is_reported_with_the_reason() {
    for (host, port, why) in [
        ("10.0.0.2", 0, "0 is not a port"),
        ("10.0.0.2", -1, "-1 is not a port"),
        ("10.0.0.2", 70_000, "70000 is not a port"),
        ("0.0.0.0", 80, "0.0.0.0 is not an address to connect to"),
        ("::", 80, ":: is not an address to connect to"),
        ("10.0.0", 80, r#""10.0.0" is neither an address nor a host name"#),
        ("http://users", 80, r#""http://users" is neither an address nor a host name"#),
        ("fe80::1%eth0", 80, r#""fe80::1%eth0" is neither an address nor a host name"#),
        ("/run/users.sock", 80, r#""/run/users.sock" is neither an address nor a host name"#),
    ] {
        let service = format!(r#"{{"ID":"a","Address":{host:?},"Port":{port}}}"#);
        let said = entry(&service).registered().unwrap_err();
        assert_eq!(said, format!(r#""a": {why}"#));
    }
    let long = format!(r#"{{"ID":"a","Address":"{}","Port":80}}"#, "x".repeat(1_000));
    assert!(entry(&long).registered().unwrap_err().len() < 200);
}

#[test]
fn only_earlier_starts_at_this_address_are_replaced() {
    let instance = Instance::new("user", "10.0.0.1:80".parse().unwrap());
    let id = ServiceId::new(&instance, 1, 0);
    assert!(id.replaces("user-10.0.0.1-80-00000002.0"));
    assert!(!id.replaces("user-10.0.0.1-80-00000001.1"), "of this start");
    assert!(!id.replaces("user-10.0.0.1-8-00000002.0"), "another port");
    assert!(!id.replaces("user"), "another registration");
    assert!(!id.replaces(&id.to_string()));
}

proptest! {
    /// Ids stay distinct even if names contain the separators of an id.
    #[test]
    fn two_registrations_never_share_an_id(
        services in ["[a-b0-1.-]{1,12}", "[a-b0-1.-]{1,12}"],
        addresses in any::<[Ipv4Addr; 2]>(),
        ports in any::<[u16; 2]>(),
        starts in any::<[u32; 2]>(),
        numbers in any::<[u32; 2]>(),
    ) {
        let id = |n: usize| {
            let address = SocketAddr::from((addresses[n], ports[n]));
            ServiceId::new(&Instance::new(&services[n], address), starts[n], numbers[n]).to_string()
        };
        let of = |n: usize| (&services[n], addresses[n], ports[n], starts[n], numbers[n]);
        prop_assert_eq!(id(0) == id(1), of(0) == of(1));
    }
}
