//! The contract of `bench/v1/bench.proto`.
#![allow(missing_docs, unreachable_pub, reason = "generated: its comments are the contract's")]

gantry_contract::include_contract!();
