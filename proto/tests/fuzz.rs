//! Random bytes never make a message of the shop panic, and invalid messages are refused with an
//! error that fits into headers.
//!
//! Runs few rounds by default; `./test fuzz 100000` runs many.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[macro_use]
mod common;

use std::{collections::BTreeMap, fmt::Debug};

use gantry_contract::Validate;
use gantry_contract_fuzz::{Fuzz, rounds};
use gantry_proto::CONTRACT;
use prost::Message;
use tonic::{Code, Status};

/// Result of decoding and validating some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    NoMessage,
    Refused,
    Taken,
}

/// Decodes and validates, as a server does before its handler.
fn take<M: Message + Default + Validate + Debug>(bytes: &[u8]) -> Outcome {
    let Ok(message) = M::decode(bytes) else { return Outcome::NoMessage };
    let _ = format!("{message:?}");
    let Err(violations) = message.check() else { return Outcome::Taken };
    let status = Status::from(violations);
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.details().len() <= 3072, "too long for the trailers");
    Outcome::Refused
}

type Take = fn(&[u8]) -> Outcome;

fn messages() -> BTreeMap<&'static str, Take> {
    messages!(take as Take)
}

#[test]
fn every_message_of_the_contract_is_listed() {
    let fuzz = Fuzz::new(CONTRACT.descriptor_set).unwrap();
    let mut there = [fuzz.messages("google.type"), fuzz.messages("shop.")].concat();
    there.sort();
    let listed: Vec<_> = messages().into_keys().collect();
    assert_eq!(there, listed, "left: the contract, right: the list");
}

#[test]
fn random_bytes_are_decoded_or_refused_without_panic() {
    let mut fuzz = Fuzz::new(CONTRACT.descriptor_set).unwrap();
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    for seed in 0..rounds(500) {
        for (name, take) in messages() {
            fuzz.seed(seed);
            let bytes = fuzz.bytes(name);
            let outcome = std::panic::catch_unwind(|| take(&bytes));
            let outcome = outcome.unwrap_or_else(|_| panic!("{name} with seed {seed}: {bytes:?}"));
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    // All three outcomes occur, so the test exercises each path.
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
}
