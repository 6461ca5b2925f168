//! Contract of `bench/v1/bench.proto`.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "generated for whoever uses a contract, and documented by it"
)]

gantry_contract::include_contract!();
