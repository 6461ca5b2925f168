//! Every order in which threads can meet in the breaker's shared state, by model check.
//!
//! The sources of the breaker are compiled here once more, with loom's mutex and atomics
//! in the place of the standard ones.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "the sources are a part of the library, and a test that cannot go on fails"
)]

mod circuit_breaker;

// The sources name it as their own crate's.
use gantry_resilience::deadline;
