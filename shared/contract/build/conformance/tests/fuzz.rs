//! No value makes a rule panic.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use gantry_contract::Validate;
use gantry_contract_conformance::{CONTRACT, conformance::v1 as messages};
use gantry_contract_fuzz::{Fuzz, rounds};
use prost::Message;

/// Gives the bytes to the message: decoded and checked, where they are one.
fn take<M: Message + Default + Validate>(fuzz: &mut Fuzz, name: &str) -> usize {
    let mut refused = 0;
    for seed in 0..rounds(300) {
        fuzz.seed(seed);
        let bytes = fuzz.bytes(&format!("conformance.v1.{name}"));
        refused += usize::from(M::decode(&*bytes).is_ok_and(|message| message.check().is_err()));
    }
    refused
}

#[test]
fn every_rule_holds_or_does_not_whatever_the_value() {
    let mut fuzz = Fuzz::new(CONTRACT.descriptor_set).unwrap();
    macro_rules! each {
        ($($message:ident),*) => {$(
            let refused = take::<messages::$message>(&mut fuzz, stringify!($message));
            assert!(refused > 0, "{} was never refused", stringify!($message));
        )*};
    }
    each!(
        Strings, Texts, Patterns, Formats, Binary, Bytes, Numbers, Ranges, Flags, Enums, Durations,
        Times, Others, Presence, Lists, Maps, Keys, Choices, Contact, Tree, Names
    );
}
