//! The contract here uses every rule there is, so that every rule has its test.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use gantry_contract_conformance::CONTRACT;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage};

/// What the build refuses (expressions), and what changes nothing (examples).
const NOT_HERE: [&str; 3] = ["cel", "cel_expression", "example"];

/// The rules of all numbers are made by the same code: one name for all of them.
fn family(name: &str) -> &str {
    match name.to_lowercase().as_str() {
        "string" | "bytes" | "bool" | "enum" | "repeated" | "map" | "any" | "duration"
        | "field_mask" | "timestamp" => name,
        _ => "number",
    }
}

/// The rules that `FieldRules` uses, those of items, keys and values included.
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
fn every_rule_that_there_is_is_used_by_the_contract_here() {
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
