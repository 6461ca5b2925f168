//! Tests of the whole suite as a user meets it: real processes, real sockets, real files. One
//! binary, so that it links once.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and nothing reaches into its binary"
)]

mod access;
mod architecture;
mod bad_input;
mod bad_start;
mod bench;
mod cluster;
mod config;
mod consul;
mod defaults;
mod drain;
mod extremes;
mod front;
mod fuzz;
mod kills;
mod load;
mod metrics;
mod mtls;
mod new_service;
mod own_binaries;
mod pages;
mod process;
mod published_keys;
mod rates;
mod raw;
mod replicas;
mod restart;
mod rules;
mod secrecy;
mod service_config;
mod shop;
mod signals;
mod storage;
mod trust;
mod unread;
mod walk;
