//! The channel over real sockets, against servers that misbehave in every way they can.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod answers;
mod balancing;
mod caller;
mod deadlines;
mod draining;
mod identity;
mod limits;
mod raw;
mod server;
mod streams;
