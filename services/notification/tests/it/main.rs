//! Tests of the notification service: its mails, its queue on both engines, and the whole service with a
//! real SMTP server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod crash;
mod events;
mod jobs;
mod rendering;
mod sending;
mod sink;
mod support;
