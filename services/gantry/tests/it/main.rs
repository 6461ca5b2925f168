//! Tests of the whole suite with real processes, sockets and files. They are one binary, which links once.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and a test binary exports nothing"
)]

mod access;
mod alerts;
mod architecture;
mod bad_input;
mod bad_start;
mod cluster;
mod collector;
mod config;
mod consul;
mod defaults;
mod drain;
mod extremes;
mod front;
mod fuzz;
mod healthcheck;
mod kills;
mod kubernetes;
mod load;
mod local_run;
mod log_level;
mod metrics;
mod mtls;
mod new_service;
mod on_postgres;
mod own_binaries;
mod pages;
mod postgres;
mod process;
mod production;
mod published_keys;
mod rates;
mod raw;
mod replicas;
mod restart;
mod rules;
mod sbom;
mod secrecy;
mod service_config;
mod shop;
mod signals;
mod storage;
mod traces;
mod trust;
mod unread;
mod walk;
