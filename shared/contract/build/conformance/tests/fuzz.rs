//! No value makes a rule panic.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use gantry_contract::{
    Validate,
    shape::{Fit, Unfit},
};
use gantry_contract_conformance::{CONTRACT, conformance::v1 as messages};
use gantry_contract_fuzz::{Fuzz, rounds};
use prost::Message;

/// Decodes and validates random bytes. Returns the number of rejected messages.
fn take<M: Message + Default + Validate>(fuzz: &mut Fuzz, name: &str) -> usize {
    let mut refused = 0;
    for seed in 0..rounds(300) {
        fuzz.seed(seed);
        let bytes = fuzz.bytes(&format!("conformance.v1.{name}"));
        let is_refused = M::decode(&*bytes).is_ok_and(|message| message.check().is_err());
        refused += usize::from(is_refused);
        match M::shape().map(|shape| shape.fit(&bytes)) {
            None | Some(Ok(Fit::Whole)) => {}
            // A cut message is invalid if the whole message is.
            Some(Ok(Fit::Cut(cut))) => {
                let of_cut = M::decode(&*cut).is_ok_and(|message| message.check().is_err());
                assert!(of_cut || !is_refused, "{name} with seed {seed}: {bytes:?}");
            }
            // prost rejects it too.
            Some(Err(Unfit::Malformed)) => assert!(M::decode(&*bytes).is_err(), "{bytes:?}"),
            Some(Err(Unfit::TooLarge)) => unreachable!("{} bytes", bytes.len()),
        }
    }
    refused
}

#[test]
fn random_bytes_never_make_a_rule_panic() {
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
