//! The channel over real sockets, against servers that misbehave in every way they can.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod answers;
mod balancing;
mod breaking;
mod caller;
mod cancelling;
mod compression;
mod connections;
mod consul;
mod deadlines;
mod draining;
mod ejecting;
mod excusing;
mod explaining;
mod foreign;
mod hedging;
mod http2;
mod identity;
mod last_resort;
mod layers;
mod limits;
mod load;
mod malformed;
mod measuring;
mod passing_on;
mod properties;
mod raw;
mod refusing;
mod retrying;
mod server;
mod settings;
mod streams;
mod subsets;
mod tls;
mod wild;
