//! Lists that add up over all sources.

use std::str::FromStr;

use gantry_config::{Check, Problems, Sources, Text};
use serde::Deserialize;

use crate::file;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    user: Table,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    trusted: Vec<Trusted>,
    grants: std::collections::BTreeMap<String, Vec<String>>,
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trusted {
    issuer: String,
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        for (number, trusted) in self.user.trusted.iter().enumerate() {
            if trusted.issuer.is_empty() {
                problems.expected(&format!("user.trusted.{number}.issuer"), "a name");
            }
        }
    }
}

fn sources() -> Sources {
    let defaults = "
        [user]
        trusted = [{issuer = 'gantry'}]
        grants = {order = ['users:read']}
        tags = ['a']
    ";
    Sources::new().adding(&["*.trusted", "*.grants.*"]).defaults(defaults)
}

#[test]
fn lists_of_all_sources_add_up_without_repeats() {
    let file = file(
        "[[user.trusted]]\nissuer = 'loyalty'\n[user]\ntags = ['b']\n\
         [user.grants]\nloyalty = ['users:read']\norder = ['users:write', 'users:read']",
    );
    let settings: Settings = gantry_config::load(sources().file(Some(file.path())).variables([
        ("GANTRY_USER__TRUSTED", "[{issuer = 'gateway'}, {issuer = 'gantry'}]"),
        ("GANTRY_USER__GRANTS", "{gateway = ['users:read']}"),
        ("GANTRY_USER__GRANTS__LOYALTY", "['users:write']"),
    ]))
    .unwrap();
    let Table { trusted, grants, tags } = settings.user;
    let issuers: Vec<_> = trusted.iter().map(|trusted| trusted.issuer.as_str()).collect();
    assert_eq!(issuers, ["gantry", "loyalty", "gateway"]);
    assert_eq!(grants["order"], ["users:read", "users:write"]);
    assert_eq!(grants["loyalty"], ["users:read", "users:write"]);
    assert_eq!(grants["gateway"], ["users:read"]);
    assert_eq!(tags, ["b"], "other lists are replaced");
}

#[test]
fn a_wrong_item_is_reported_with_its_own_source() {
    let file = file("[[user.trusted]]\nissuer = ''");
    let variables = [("GANTRY_USER__TRUSTED", "[{issuer = 'gateway'}]")];
    let sources = sources().file(Some(file.path())).variables(variables);
    let error = gantry_config::load::<Settings>(sources).unwrap_err();
    let name = file.path().display();
    assert_eq!(error.to_string(), format!("user.trusted.1.issuer: expected a name (file {name})"));
}

#[test]
fn a_text_that_is_not_a_list_is_rejected() {
    let sources = sources().variables([("GANTRY_USER__TRUSTED", "gateway")]);
    let error = gantry_config::load::<Settings>(sources).unwrap_err();
    assert!(error.to_string().starts_with("user.trusted: expected a sequence"), "{error}");
}

#[test]
fn an_item_without_a_stand_in_hides_no_other_problem() {
    #[derive(Debug, Deserialize)]
    struct Rules {
        regions: Vec<Text<Even>>,
        #[expect(dead_code, reason = "only its type matters")]
        workers: u32,
    }
    #[derive(Debug)]
    struct Even;
    impl FromStr for Even {
        type Err = &'static str;

        fn from_str(text: &str) -> Result<Self, Self::Err> {
            if text == "even" { Ok(Self) } else { Err("expected even") }
        }
    }
    impl Check for Rules {
        fn check(&self, problems: &mut Problems) {
            if self.regions.is_empty() {
                problems.expected("rules", "a rule");
            }
        }
    }
    let sources = Sources::new()
        .defaults("regions = []\nworkers = 'many'")
        .variables([("GANTRY_REGIONS", "['even', 'odd']")]);
    let error = gantry_config::load::<Rules>(sources).unwrap_err();
    let keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["regions.1", "workers", "rules"]);
    assert!(error.to_string().starts_with("regions.1: expected even, found \"odd\""), "{error}");
}
