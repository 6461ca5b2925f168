//! Compares every rule of the shop with protovalidate, on values that keep the rule and values that
//! break it. Both are generated from the descriptor set.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use gantry_contract_fuzz::{
    oracle::{Judge, compare, judge},
    rounds,
};
use gantry_proto::CONTRACT;

#[test]
fn every_rule_agrees_with_protovalidate() {
    let python = std::env::var_os("FOREIGN_PYTHON").expect(
        "FOREIGN_PYTHON names a Python with services/gantry/tests/foreign/requirements.txt \
         installed; `./test setup` makes one at target/venv/bin/python",
    );
    let judges = messages!(judge as Judge);
    let compared = compare(&python, CONTRACT.descriptor_set, &judges, rounds(20));
    let missing = compared.missing(CONTRACT.descriptor_set, &judges);
    assert!(missing.is_empty(), "{missing:#?}");
    let different = compared.different;
    assert!(different.is_empty(), "{} differ: {:#?}", different.len(), different.first());
    assert!(compared.same > 5_000, "{}", compared.same);
}
