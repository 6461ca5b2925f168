use gantry_config::ConfigError;
use gantry_process::ProcessSettings;

use super::*;
use crate::Service;

fn load(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let variables = KEYS.iter().chain(variables).copied();
    let sources = ProcessSettings::<Service>::sources().variables(variables);
    gantry_config::load::<ProcessSettings<Service>>(sources).map(|loaded| loaded.service.own)
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
fn by_default_discounts_depend_on_tier_without_tax() {
    let pricing = Pricing::from(load(&[]).unwrap().pricing);
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
    let pricing = Pricing::from(load(&rules).unwrap().pricing);
    assert_eq!(pricing.discounts[0].minimum, Some("100.00 EUR".parse().unwrap()));
    assert_eq!(pricing.discounts[0].rate, rate(250));
    assert_eq!(pricing.discounts[1].tier, Some(Tier::Vip));
    assert_eq!(pricing.taxes[1].rate, rate(725));
    assert_eq!(pricing.taxes[1].region, "US-CA".parse().unwrap());
}

#[test]
fn invalid_rules_are_rejected() {
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
        let error = load(&rules).expect_err(rule);
        assert!(keys(&error)[0].starts_with("order.pricing.discounts"), "{rule}: {error}");
    }
    let error = load(&[("GANTRY_ORDER__PRICING__TAXES", r#"[{region = "de", percent = 1}]"#)]);
    assert_eq!(keys(&error.unwrap_err()), ["order.pricing.taxes.0.region"]);
}
