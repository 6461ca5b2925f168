//! Lists that add up over all sources.

use gantry_config::{Check, Problems, Sources};
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
fn a_wrong_item_is_told_with_its_own_source() {
    let file = file("[[user.trusted]]\nissuer = ''");
    let variables = [("GANTRY_USER__TRUSTED", "[{issuer = 'gateway'}]")];
    let sources = sources().file(Some(file.path())).variables(variables);
    let error = gantry_config::load::<Settings>(sources).unwrap_err();
    let name = file.path().display();
    assert_eq!(error.to_string(), format!("user.trusted.1.issuer: expected a name (file {name})"));
}

#[test]
fn a_text_that_is_no_list_is_refused() {
    let sources = sources().variables([("GANTRY_USER__TRUSTED", "gateway")]);
    let error = gantry_config::load::<Settings>(sources).unwrap_err();
    assert!(error.to_string().starts_with("user.trusted: expected a sequence"), "{error}");
}
