//! Every interleaving of threads on the shared state, as loom finds them.
//!
//! The sources are compiled a second time, with loom's primitives where they take their
//! own from: no flag is needed, and a plain `cargo test` runs this within seconds.

mod circuit_breaker;
mod ejection;
mod retry;
