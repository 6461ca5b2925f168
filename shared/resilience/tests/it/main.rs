//! Rules of the pure machines and of the layers made of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod balance;
mod bulkhead;
mod circuit_breaker;
mod deadline;
mod ejection;
mod interleavings;
mod retry;
