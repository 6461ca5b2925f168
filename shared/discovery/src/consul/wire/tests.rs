//! What goes to Consul and what comes back.

use proptest::prelude::*;

use super::*;

fn entry(service: &str) -> Entry {
    let text = format!(r#"{{"Node":{{"Address":"10.0.0.1"}},"Service":{service}}}"#);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_instance_is_registered_with_a_check_for_each_name_and_read_back_unchanged() {
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
    assert_eq!(entry(&body.to_string()).endpoint().unwrap(), instance.endpoint());
}

#[test]
fn an_instance_that_no_agent_reaches_has_one_check_that_it_passes_itself() {
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
fn a_foreign_registration_is_read_as_consul_means_it() {
    let bare = r#"{"ID":"a","Address":"","Port":80,"Tags":null,"Meta":null,"Weights":null}"#;
    let endpoint = entry(bare).endpoint().unwrap();
    assert_eq!(endpoint, Endpoint::at("10.0.0.1:80".parse().unwrap()));
    let meta = r#"{"ID":"a","Address":"10.0.0.2","Port":80,"Meta":{"protocol":"h2c"}}"#;
    assert_eq!(entry(meta).endpoint().unwrap().meta["protocol"], "h2c");
}

#[test]
fn a_registration_that_names_no_endpoint_is_named() {
    let ports = [0, -1, 65_536, 70_000].map(|port| format!(r#""10.0.0.2","Port":{port}"#));
    for nowhere in [r#""users.internal","Port":80"#.to_owned()].into_iter().chain(ports) {
        let service = format!(r#"{{"ID":"a","Address":{nowhere}}}"#);
        assert_eq!(entry(&service).endpoint().unwrap_err(), "a");
    }
}

#[test]
fn only_an_earlier_start_at_the_same_address_is_replaced() {
    let instance = Instance::new("user", "10.0.0.1:80".parse().unwrap());
    let id = ServiceId::new(&instance, 1, 0);
    assert!(id.replaces("user-10.0.0.1-80-00000002.0"));
    assert!(!id.replaces("user-10.0.0.1-80-00000001.1"), "of this start");
    assert!(!id.replaces("user-10.0.0.1-8-00000002.0"), "another port");
    assert!(!id.replaces("user"), "not ours");
    assert!(!id.replaces(&id.to_string()));
}

proptest! {
    /// Not even where names are made of what stands between the parts of an id.
    #[test]
    fn two_registrations_never_share_an_id(
        services in ["[a-b0-1.-]{1,12}", "[a-b0-1.-]{1,12}"],
        addresses in any::<[std::net::Ipv4Addr; 2]>(),
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
