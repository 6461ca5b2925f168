use gantry_client::ClientSettings;
use gantry_config::{ConfigError, Sources};
use gantry_money::{Currency, Money};
use gantry_process::{ProcessSettings, Service as _};

use crate::{
    Service,
    domain::{Pricing, Rate, Region, Tier},
};

type Own = ProcessSettings<Service>;

fn load(variables: &[(&str, &str)]) -> Result<Own, ConfigError> {
    let sources = Own::sources().variables(variables.iter().copied());
    gantry_config::load(sources)
}

const KEYS: [(&str, &str); 3] = [
    ("GANTRY_ORDER__IDENTITY__KEY_FILE", "order.pem"),
    (
        "GANTRY_ORDER__IDENTITY__TRUSTED",
        r#"[{issuer = "gantry", issues = "users", key_file = "users.pub.pem"}]"#,
    ),
    ("GANTRY_ORDER__IDEMPOTENCY__KEY_FILE", "requests.key"),
];

fn keys(error: &ConfigError) -> Vec<&str> {
    let mut keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    keys
}

fn rate(basis_points: u32) -> Rate {
    Rate::from_basis_points(basis_points).unwrap()
}

#[test]
fn with_its_keys_named_the_defaults_are_enough() {
    let own = load(&KEYS).unwrap();
    assert_eq!(own.listen.port(), 50052);
    assert_eq!(own.service.own.saga, gantry_saga::Policy::default());
    assert_eq!(own.service.common.clients["user"], ClientSettings::default());
    assert_eq!(own.service.common.clients["inventory"], ClientSettings::default());
    assert_eq!(own.discovery.consul, gantry_discovery::Settings::default().consul);
}

#[test]
fn by_default_the_discount_goes_by_tier_and_there_is_no_tax() {
    let pricing = Pricing::from(&load(&KEYS).unwrap().service.own.pricing);
    let rates: Vec<_> = pricing.discounts.iter().map(|rule| (rule.tier, rule.rate)).collect();
    assert_eq!(
        rates,
        [
            (Some(Tier::Regular), rate(1_000)),
            (Some(Tier::Premium), rate(2_000)),
            (Some(Tier::Vip), rate(3_000)),
        ]
    );
    assert!(pricing.taxes.is_empty());
}

#[test]
fn rules_are_read_from_the_settings() {
    let rules = [
        (
            "GANTRY_ORDER__PRICING__DISCOUNTS",
            r#"[{percent = 2.5, minimum = "100 EUR"}, {tier = "vip", percent = 30}]"#,
        ),
        (
            "GANTRY_ORDER__PRICING__TAXES",
            r#"[{region = "DE", percent = 19}, {region = "US-CA", percent = 7.25}]"#,
        ),
    ];
    let own = load(&[&KEYS[..], &rules].concat()).unwrap();
    let pricing = Pricing::from(&own.service.own.pricing);
    let euros = Money::new(10_000, Currency::parse("EUR").unwrap()).unwrap();
    assert_eq!(pricing.discounts[0].minimum, Some(euros));
    assert_eq!(pricing.discounts[0].rate, rate(250));
    assert_eq!(pricing.discounts[1].tier, Some(Tier::Vip));
    assert_eq!(pricing.taxes[1].rate, rate(725));
    let california = Region { country: "US".to_owned(), area: "CA".to_owned() };
    assert_eq!(pricing.taxes[1].region, california);
}

#[test]
fn rules_that_cannot_be_are_refused() {
    for rule in [
        r#"{percent = 101}"#,
        r#"{percent = -1}"#,
        r#"{percent = 1.234}"#,
        r#"{percent = 1, minimum = "100"}"#,
        r#"{percent = 1, minimum = "1.001 EUR"}"#,
        r#"{percent = 1, minimum = "-1 EUR"}"#,
        r#"{percent = 1, minimum = "1 EURO"}"#,
        r#"{percent = 1, tier = "gold"}"#,
        r#"{percent = 1, tire = "vip"}"#,
    ] {
        let rules = [("GANTRY_ORDER__PRICING__DISCOUNTS", &*format!("[{rule}]"))];
        let error = load(&[&KEYS[..], &rules].concat()).expect_err(rule);
        assert!(keys(&error)[0].starts_with("order.pricing.discounts"), "{rule}: {error}");
    }
    for region in ["Germany", "de", "DE-", ""] {
        let rule = format!(r#"[{{region = "{region}", percent = 1}}]"#);
        let rules = [("GANTRY_ORDER__PRICING__TAXES", &*rule)];
        assert!(load(&[&KEYS[..], &rules].concat()).is_err(), "{region}");
    }
}

#[test]
fn without_keys_it_does_not_start() {
    assert_eq!(
        keys(&load(&[]).unwrap_err()),
        ["order.idempotency.key_file", "order.identity.key_file", "order.identity.trusted"]
    );
}

#[test]
fn everything_wrong_is_said_at_once() {
    let wrong = [
        ("GANTRY_LISTEN", "here"),
        ("GANTRY_ORDER__SERVER__WEIGHT", "0"),
        ("GANTRY_ORDER__SAGA__POLL", "0s"),
        ("GANTRY_ORDER__DATABSE__PATH", "x"),
    ];
    let error = load(&[&KEYS[..], &wrong].concat()).unwrap_err();
    assert_eq!(keys(&error), ["listen", "order.databse", "order.saga.poll", "order.server.weight"]);
}

#[test]
fn each_service_is_called_by_settings_of_its_own() {
    let patient = ("GANTRY_ORDER__CLIENTS__USER__BREAKER__OPEN", "10s");
    let clients = load(&[&KEYS[..], &[patient]].concat()).unwrap().service.common.clients;
    assert_eq!(clients["user"].breaker.open.as_secs(), 10);
    assert_eq!(clients["inventory"], ClientSettings::default());
}

#[test]
fn a_wrong_setting_of_a_client_is_named_by_its_key() {
    let wrong = [
        ("GANTRY_ORDER__CLIENTS__USER__BREAKER__OPEN_MAX", "1s"),
        ("GANTRY_ORDER__CLIENTS__USER__RETRY__BUDGET_TOKENS", "0"),
        ("GANTRY_ORDER__CLIENTS__INVENTORY__EJECTION__BASE_TIME", "0s"),
        ("GANTRY_ORDER__CLIENTS__PAYMENT__MAX_CONNECTIONS", "1"),
        (
            "GANTRY_ORDER__CLIENTS__INVENTORY__METHODS",
            r#"{"shop.inventory.v1.InventoryService/Reserve" = {timeout = "1s"}}"#,
        ),
    ];
    assert_eq!(
        keys(&load(&[&KEYS[..], &wrong].concat()).unwrap_err()),
        [
            "order.clients.inventory.ejection.base_time",
            "order.clients.inventory.methods.\"shop.inventory.v1.InventoryService/Reserve\"",
            "order.clients.payment",
            "order.clients.user.breaker.open_max",
            "order.clients.user.retry.budget_tokens",
        ]
    );
}

#[test]
fn the_examples_in_the_file_are_settings() {
    let is_example = |text: &&str| {
        text.starts_with("[[")
            || text.starts_with("[order")
            || text.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', ',']))
    };
    let text: String = Service::DEFAULTS
        .lines()
        .filter(|line| !["trusted = []", "taxes = []"].contains(line))
        .map(|line| line.strip_prefix("# ").filter(is_example).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let sources = Sources::new().defaults(&text).variables([KEYS[0], KEYS[2]]);
    let own: Own = gantry_config::load(sources).unwrap();
    assert_eq!(own.service.common.identity.trusted.len(), 2);
    assert_eq!(own.service.own.pricing.taxes.len(), 2);
    assert_eq!(own.service.common.clients["user"].methods.len(), 2);
    assert_eq!(own.discovery.consul.datacenter.as_deref(), Some("dc1"));
}
