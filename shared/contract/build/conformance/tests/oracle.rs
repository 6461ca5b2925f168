//! Compares every rule with protovalidate, on values that keep the rule and values that break it.
//! Both are generated from the descriptor set, so new rules and fields have values too.
#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use gantry_contract_conformance::{
    CONTRACT, conformance::v1 as messages, strange::r#type::v1 as strange,
};
use gantry_contract_fuzz::{
    Fuzz,
    oracle::{Judge, compare, judge},
    rounds,
};

macro_rules! judges {
    ($($message:ident),* $(,)?) => {
        BTreeMap::from([$((
            concat!("conformance.v1.", stringify!($message)).to_owned(),
            judge::<messages::$message> as Judge,
        )),*])
    };
}

fn judges() -> BTreeMap<String, Judge> {
    let mut judges = judges!(
        Strings, Texts, Formats, Binary, Bytes, Numbers, Ranges, Flags, Enums, Durations, Times,
        Others, Presence, Leaf, Lists, Maps, Keys, Choices, Contact, Tree, Branch, Names, Word,
        PutRequest, Patterns,
    );
    let nested: [(&str, Judge); 3] = [
        ("Inner", judge::<messages::names::Inner>),
        ("Inner.Deep", judge::<messages::names::inner::Deep>),
        ("Choice", judge::<messages::names::Choice>),
    ];
    let strange: [(&str, Judge); 8] = [
        ("Word", judge::<strange::Word>),
        ("Option", judge::<strange::Option>),
        ("Keywords", judge::<strange::Keywords>),
        ("Foreign", judge::<strange::Foreign>),
        ("Old", judge::<strange::Old>),
        ("Old.Part", judge::<strange::old::Part>),
        ("Gone", judge::<strange::Gone>),
        ("Hushed", judge::<strange::Hushed>),
    ];
    judges.extend(strange.map(|(name, judge)| (format!("strange.type.v1.{name}"), judge)));
    judges.extend(nested.map(|(name, judge)| (format!("conformance.v1.Names.{name}"), judge)));
    judges
}

#[test]
fn every_rule_agrees_with_protovalidate() {
    let python = std::env::var_os("FOREIGN_PYTHON").expect(
        "FOREIGN_PYTHON names a Python with services/gantry/tests/foreign/requirements.txt \
         installed; `./test setup` makes one at target/venv/bin/python",
    );
    let judges = judges();
    let fuzz = Fuzz::new(CONTRACT.descriptor_set).expect("a descriptor set");
    let mut there = [fuzz.messages("conformance."), fuzz.messages("strange.")].concat();
    there.sort();
    assert_eq!(there, judges.keys().cloned().collect::<Vec<_>>(), "left: the contract");

    let compared = compare(&python, CONTRACT.descriptor_set, &judges, rounds(100));
    let missing = compared.missing(CONTRACT.descriptor_set, &judges);
    assert!(missing.is_empty(), "{missing:#?}");
    let different = compared.different;
    assert!(
        different.is_empty(),
        "{} differ: {:#?}",
        different.len(),
        &different[..different.len().min(20)]
    );
    assert!(compared.same > 20_000, "{}", compared.same);
}
