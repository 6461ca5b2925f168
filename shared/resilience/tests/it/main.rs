//! Rules of the deadlines and of the balancer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod balance;
mod deadline;
