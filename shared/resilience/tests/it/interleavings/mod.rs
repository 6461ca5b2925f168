//! Every interleaving of threads on the shared state, as loom finds them.
//!
//! The sources are compiled a second time, with loom's primitives instead of their own. No flag is
//! needed, and a plain `cargo test` runs this within seconds.

mod circuit_breaker;
mod ejection;
mod retry;
