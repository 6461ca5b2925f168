//! What keeps calls between services dependable.
//!
//! Mechanism only. The state machines are pure: they take `now` and their random
//! numbers as arguments, name no transport, no registry and no clock of their own,
//! and are used by whoever owns those. Times are [`tokio::time::Instant`]s, so that
//! tests can pause them. Each module begins with an example.
//!
//! - [`deadline`]: an absolute deadline, and how it travels as `grpc-timeout`;
//! - [`balance`]: which of several endpoints gets the next call;
//! - [`bulkhead`]: how many calls one dependency may hold;
//! - [`circuit_breaker`]: whether a call is worth making at all;
//! - [`ejection`]: which endpoints get no calls for a while;
//! - [`limits`]: what a server does not take on: too many calls at once, or of one caller;
//! - [`retry`]: whether and when a failed call is made again; also as a tower layer.

pub mod balance;
pub mod bulkhead;
pub mod circuit_breaker;
pub mod deadline;
pub mod ejection;
pub mod limits;
pub mod retry;
