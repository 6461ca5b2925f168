//! Tests of the adapter on real brokers. Install the broker with
//! `apt-get install --no-install-recommends rabbitmq-server`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it measured"
)]

mod contract;
mod dead_letters;
mod outages;
mod permissions;
mod refusals;
mod secrecy;
mod support;
mod tls;
mod topology;
