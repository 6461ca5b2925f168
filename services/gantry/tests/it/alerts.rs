//! Alerts of docs/METRICS.md, as Prometheus reads them.

use std::{fmt::Write, fs};

use crate::architecture::root;

/// Returns the rules of the page's last table.
fn rules(page: &str) -> String {
    let mut rules =
        "# Alerts of docs/METRICS.md. The test `prometheus_has_the_alerts_of_the_page` \
                     compares the two.\ngroups:\n  - name: gantry\n    rules:\n"
            .to_owned();
    let (_, table) = page.split_once("## What to alert on").expect("the section");
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        // A bar inside a cell is escaped.
        let row = row.replace("\\|", "\0");
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('\0', "|")).collect();
        let [_, alert, expression, then, _] = &cells[..] else { panic!("{cells:?}") };
        let (expression, period) = expression
            .strip_prefix('`')
            .and_then(|rest| rest.split_once('`'))
            .expect("an expression");
        writeln!(rules, "      - alert: {alert}\n        expr: >-\n          {expression}")
            .unwrap();
        if let Some(minutes) = period.strip_prefix(" for ") {
            writeln!(rules, "        for: {}m", minutes.strip_suffix(" min").unwrap()).unwrap();
        }
        let summary = serde_json::to_string(&then.replace('`', "")).unwrap();
        writeln!(rules, "        annotations: {{summary: {summary}}}").unwrap();
    }
    rules
}

#[test]
fn prometheus_has_the_alerts_of_the_page() {
    let page = fs::read_to_string(root().join("docs/METRICS.md")).unwrap();
    let expected = rules(&page);
    assert!(expected.matches("- alert: ").count() > 20, "{expected}");
    let file = fs::read_to_string(root().join("deploy/docker/prometheus/alerts.yml")).unwrap();
    assert_eq!(file, expected);
}
