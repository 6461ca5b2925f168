//! This contract uses every rule, so every rule has a test.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use gantry_contract_conformance::CONTRACT;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage};

/// Rules that the build rejects (expressions) or ignores (examples).
const NOT_HERE: [&str; 3] = ["cel", "cel_expression", "example"];

/// Maps all number types to one name, because the same code generates their rules.
fn family(name: &str) -> &str {
    match name.to_lowercase().as_str() {
        "string" | "bytes" | "bool" | "enum" | "repeated" | "map" | "any" | "duration"
        | "field_mask" | "timestamp" => name,
        _ => "number",
    }
}

/// Collects the rules in `FieldRules`, including those of items, keys and values.
fn used(rules: &DynamicMessage, names: &mut BTreeSet<String>) {
    for (field, value) in rules.fields() {
        let Some(typed) = value.as_message() else {
            names.insert(field.name().to_owned());
            continue;
        };
        for (rule, value) in typed.fields() {
            names.insert(format!("{}.{}", family(field.name()), rule.name()));
            if let Some(nested) = value.as_message()
                && nested.descriptor().full_name() == "buf.validate.FieldRules"
            {
                used(nested, names);
            }
        }
    }
}

#[test]
fn every_rule_is_used_by_this_contract() {
    let pool = DescriptorPool::decode(CONTRACT.descriptor_set).unwrap();
    let mut there = BTreeSet::new();
    for field in pool.get_message_by_name("buf.validate.FieldRules").unwrap().fields() {
        match field.kind().as_message() {
            Some(typed) if field.containing_oneof().is_some() => {
                let rules = typed.fields().map(|rule| rule.name().to_owned());
                let rules = rules.filter(|rule| !NOT_HERE.contains(&rule.as_str()));
                there.extend(rules.map(|rule| format!("{}.{rule}", family(field.name()))));
            }
            _ if NOT_HERE.contains(&field.name()) => {}
            _ => drop(there.insert(field.name().to_owned())),
        }
    }
    let extension = pool.get_extension_by_name("buf.validate.field").unwrap();
    let mut here = BTreeSet::new();
    for message in pool.all_messages().filter(|m| m.package_name() == "conformance.v1") {
        for field in message.fields() {
            if let Some(rules) = field.options().get_extension(&extension).as_message() {
                used(rules, &mut here);
            }
        }
    }
    assert!(there.contains("string.ulid") && there.contains("ignore"), "{there:?}");
    let missing: Vec<_> = there.difference(&here).collect();
    assert!(missing.is_empty(), "no field of the conformance contract has {missing:?}");
}
