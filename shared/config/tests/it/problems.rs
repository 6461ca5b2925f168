use std::path::Path;

use crate::{Settings, file, refused, sources};

#[test]
fn all_problems_are_reported_with_key_and_source() {
    let file = file("nmae = 'x'\nmode = 'slow'\n[server]\nlisten = 'here'\nextra = 1");
    let name = file.path().display();
    let mut found = refused(sources().file(Some(file.path())).variables([
        ("GANTRY_SERVER__MAX_MESSAGE", "lots"),
        ("GANTRY_SERVER__DRAIN", "soon"),
        ("GANTRY_CACHE", "1"),
        ("GANTRY_DISCOVERY__STATIC__ORDER", r#"["127.0.0.1:1", "there"]"#),
    ]));
    found.sort();
    let expected = [
        "cache: unknown key, expected one of name, mode, server, discovery, database (variable GANTRY_CACHE)".to_owned(),
        "discovery.static.order.1: invalid socket address syntax, found \"there\" (variable GANTRY_DISCOVERY__STATIC__ORDER)".to_owned(),
        format!("mode: expected one of fast, safe, found \"slow\" (file {name})"),
        format!("nmae: unknown key, expected one of name, mode, server, discovery, database (file {name})"),
        "server.drain: expected a duration such as \"15m\", found string \"soon\" (variable GANTRY_SERVER__DRAIN)".to_owned(),
        format!("server.extra: unknown key, expected one of listen, max_message, drain (file {name})"),
        format!("server.listen: invalid socket address syntax, found \"here\" (file {name})"),
        "server.max_message: expected u32, found string \"lots\" (variable GANTRY_SERVER__MAX_MESSAGE)".to_owned(),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_number_out_of_range_is_reported_as_a_number() {
    assert_eq!(
        refused(sources().variables([("GANTRY_SERVER__MAX_MESSAGE", "-1")])),
        ["server.max_message: expected u32, found signed int `-1` \
          (variable GANTRY_SERVER__MAX_MESSAGE)"]
    );
}

#[test]
fn missing_values_are_reported_together() {
    let sources = gantry_config::Sources::new().set("server.max_message", "many", "--max");
    let keys: Vec<_> = gantry_config::load::<Settings>(sources)
        .unwrap_err()
        .problems
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    let expected = [
        "server.max_message",
        "server.listen",
        "server.drain",
        "name",
        "mode",
        "discovery",
        "discovery.static",
    ];
    for key in expected {
        assert!(keys.iter().any(|found| found == key), "{key} in {keys:?}");
    }
    assert_eq!(keys.len(), expected.len(), "{keys:?}");
}

#[test]
fn rules_are_checked_beside_wrong_types() {
    let found = refused(sources().variables([("GANTRY_SERVER__MAX_MESSAGE", "x")]).set(
        "server.drain",
        "2m",
        "--drain",
    ));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], "server.drain: expected at most 60s (--drain, setting server.drain)");
}

#[test]
fn an_unreadable_or_malformed_file_is_named() {
    let missing = refused(sources().file(Some(Path::new("/nonexistent.toml"))));
    assert_eq!(missing.len(), 1);
    assert!(missing[0].starts_with("cannot read the settings: "), "{missing:?}");
    assert!(missing[0].ends_with("(file /nonexistent.toml)"), "{missing:?}");

    let file = file("name = ");
    let broken = refused(sources().file(Some(file.path())));
    assert!(broken[0].starts_with("invalid TOML at line 1, column "), "{broken:?}");
    assert!(broken[0].contains("line 1"), "{broken:?}");
}

#[test]
fn a_variable_without_a_key_is_rejected() {
    for name in ["GANTRY_", "GANTRY_SERVER__", "GANTRY_SERVER____DRAIN"] {
        let found = refused(sources().variables([(name, "1")]));
        assert_eq!(
            found,
            [format!("expected GANTRY_ and a key, levels separated by __ (variable {name})")]
        );
    }
}

#[test]
fn a_value_in_place_of_a_table_is_rejected() {
    let found = refused(sources().variables([("GANTRY_SERVER", "x")]));
    assert_eq!(
        found,
        ["server: expected struct Server, found string \"x\" (variable GANTRY_SERVER)"]
    );
}
