//! Contract of `bench/v1/bench.proto`.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "generated code, documented by the contract"
)]

gantry_contract::include_contract!();
