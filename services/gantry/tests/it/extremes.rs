//! Extreme values of every number and duration in the settings: each is rejected with its bounds, or works.

use gantry_config::{Bound, ConfigError, Range};
use gantry_process::{
    OwnSettings, PROCESS_BOUNDS, ProcessSettings, SERVICE_BOUNDS, Service, ServiceSettings,
};
use toml::Value;

use crate::{
    defaults::{required, with_examples},
    process::{Suite, gantry},
};

/// Setting of a default file, examples included.
struct Setting {
    path: Vec<String>,
    range: Range,
}

impl Setting {
    fn variable(&self) -> Option<String> {
        // Variables cannot contain the name of a method.
        let is_plain = |level: &String| level.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let levels = self.path.iter().all(is_plain);
        levels.then(|| format!("GANTRY_{}", self.path.join("__").to_uppercase()))
    }

    fn key(&self) -> String {
        self.path.join(".")
    }
}

/// Returns every number and duration with its bounds. Panics if one has no bounds.
fn settings<S: Service>() -> Vec<Setting> {
    let mut found = Vec::new();
    for text in ServiceSettings::<S>::defaults() {
        let settings = Value::Table(with_examples(&text).parse().unwrap());
        collect(&settings, &mut Vec::new(), &mut found);
    }
    found.sort();
    found.dedup();
    let bounds = |path: &[String]| {
        let own = SERVICE_BOUNDS.iter().chain(S::Settings::BOUNDS);
        let below = own.map(|bound| (format!("{}.{}", S::NAME, bound.key), bound));
        let process = PROCESS_BOUNDS.iter().map(|bound: &Bound| (bound.key.to_owned(), bound));
        let mut all = below.chain(process);
        all.find(|(pattern, _)| names(pattern, path)).map(|(_, bound)| bound.range)
    };
    let unbounded: Vec<_> =
        found.iter().filter(|path| bounds(path).is_none()).map(|path| path.join(".")).collect();
    assert!(unbounded.is_empty(), "without bounds: {unbounded:#?}");
    found.into_iter().map(|path| Setting { range: bounds(&path).unwrap(), path }).collect()
}

fn names(pattern: &str, path: &[String]) -> bool {
    let levels: Vec<_> = pattern.split('.').collect();
    levels.len() == path.len()
        && levels.iter().zip(path).all(|(level, key)| *level == "*" || level == key)
}

fn collect(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let is_bounded = match value {
        Value::Integer(_) | Value::Float(_) => true,
        Value::String(text) => humantime::parse_duration(text).is_ok(),
        _ => false,
    };
    if is_bounded {
        found.push(path.clone());
    }
    // Values in lists have types of their own: percentages, amounts, addresses.
    for (key, value) in value.as_table().into_iter().flatten() {
        path.push(key.clone());
        collect(value, path, found);
        path.pop();
    }
}

/// Returns true if the value of a variable is within the bounds.
fn is_within(range: Range, text: &str) -> bool {
    match range {
        Range::Count(least, most) => {
            text.parse::<u64>().is_ok_and(|value| (least..=most).contains(&value))
        }
        Range::Number(least, most) => {
            text.parse::<f64>().is_ok_and(|value| (least..=most).contains(&value))
        }
        Range::Time(least, most) => {
            humantime::parse_duration(text).is_ok_and(|value| (least..=most).contains(&value))
        }
    }
}

const EXTREMES: [&str; 24] = [
    "0",
    "1",
    "-1",
    "255",
    "65536",
    "2147483647",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "0.0",
    "-0.5",
    "5e-324",
    "1e308",
    "inf",
    "nan",
    "0s",
    "1ns",
    "-1s",
    "100y",
    "584554 years",
    "18446744073709551615s",
    "9999999999999999y",
    "x",
];

fn load<S: Service>(variable: &str, value: &str) -> Result<(), ConfigError> {
    let mut variables = required(S::NAME);
    variables.push((variable.to_owned(), value.to_owned()));
    let pairs = variables.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    gantry_config::load::<ProcessSettings<S>>(ProcessSettings::<S>::sources().variables(pairs))
        .map(drop)
}

fn try_extremes<S: Service>() {
    let settings = settings::<S>();
    assert!(settings.len() > 30, "only {} settings were found", settings.len());
    for setting in &settings {
        let Some(variable) = setting.variable() else { continue };
        let (key, range) = (setting.key(), setting.range);
        let told = |value: &str| {
            let error = load::<S>(&variable, value).err()?;
            error.problems.into_iter().find(|problem| problem.key == key)
        };
        let bounds = format!("expected {range}");
        for value in EXTREMES.into_iter().filter(|value| !is_within(range, value)) {
            let problem = told(value).unwrap_or_else(|| panic!("{key} takes {value}"));
            assert!(problem.source.is_some(), "{key} = {value}: {problem}");
            let is_clear = problem.what.starts_with(&bounds) || problem.what.contains("expected");
            assert!(is_clear, "{key} = {value}: {problem}");
        }
        // A rule between two settings may reject values within their bounds.
        for value in range.ends() {
            let refused = told(&value).filter(|problem| problem.what.starts_with(&bounds));
            assert!(refused.is_none(), "{key} = {value}: {refused:?}");
        }
    }
}

#[test]
fn the_user_service_rejects_unusable_extremes() {
    try_extremes::<gantry_user::Service>();
}

#[test]
fn the_order_service_rejects_unusable_extremes() {
    try_extremes::<gantry_order::Service>();
}

#[test]
fn the_inventory_service_rejects_unusable_extremes() {
    try_extremes::<gantry_inventory::Service>();
}

/// Returns all settings of the suite at their minimum or maximum.
fn at_ends(most: bool) -> Vec<(String, String)> {
    let mut all = settings::<gantry_user::Service>();
    all.extend(settings::<gantry_order::Service>());
    all.extend(settings::<gantry_inventory::Service>());
    let ends = all.iter().filter_map(|setting| {
        let [least, largest] = setting.range.ends();
        Some((setting.variable()?, if most { largest } else { least }))
    });
    // Examples turn on TLS, a window of time or a limit, and need further settings.
    let is_example = |variable: &str| {
        ["__TLS__", "WINDOW_TIME", "PER_SERVICE", "__CLASSES__"]
            .iter()
            .any(|part| variable.contains(part))
    };
    // Not every machine allows the open files for so many connections.
    let is_example =
        |variable: &str| is_example(variable) || variable.ends_with("CONNECTIONS__MAX");
    ends.filter(|(variable, _)| !is_example(variable)).collect()
}

fn set(settings: &mut [(String, String)], end: &str, value: &str) {
    for (_, set) in settings.iter_mut().filter(|(variable, _)| variable.ends_with(end)) {
        value.clone_into(set);
    }
}

#[test]
fn a_suite_starts_with_the_least_of_everything() {
    let mut settings = at_ends(false);
    // Rules between two settings.
    set(&mut settings, "PASSWORDS__MEMORY_KIB", "8");
    let mut suite = Suite::start_set(&[], &settings);
    assert!(suite.terminate().success());
    assert!(!suite.process.log().contains("panicked"), "{}", suite.process.log());
}

#[test]
fn a_suite_works_with_the_most_of_everything() {
    let mut settings = at_ends(true);
    // Rules between two settings.
    set(&mut settings, "BREAKER__MINIMUM_CALLS", "10000");
    for (end, value) in [("MEMORY_KIB", "65536"), ("ITERATIONS", "2"), ("PARALLEL", "256")] {
        set(&mut settings, &format!("PASSWORDS__{end}"), value);
    }
    let mut suite = Suite::start_set(&[], &settings);
    let mut demo = gantry();
    demo.arg("demo").args(["--port-offset", &suite.offset().to_string()]);
    demo.arg("--data-dir").arg(suite.data());
    let output = demo.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", suite.process.log());
    assert!(suite.terminate().success());
    assert!(!suite.process.log().contains("panicked"), "{}", suite.process.log());
}

#[test]
fn a_hash_that_would_delay_the_start_is_rejected() {
    let refused = |values: [(&str, &str); 2]| {
        let mut variables = required("user");
        variables.extend(
            values.map(|(key, value)| (format!("GANTRY_USER__PASSWORDS__{key}"), value.to_owned())),
        );
        let pairs = variables.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let sources = ProcessSettings::<gantry_user::Service>::sources().variables(pairs);
        let loaded = gantry_config::load::<ProcessSettings<gantry_user::Service>>(sources);
        loaded.unwrap_err().to_string()
    };
    let slow = refused([("MEMORY_KIB", "1048576"), ("ITERATIONS", "1000")]);
    assert!(slow.contains("user.passwords.iterations: expected at most 4 with"), "{slow}");
    let large = refused([("MEMORY_KIB", "1048576"), ("PARALLEL", "1024")]);
    assert!(large.contains("user.passwords.parallel: expected at most 16 with"), "{large}");
}
