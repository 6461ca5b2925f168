//! Every adapter against one contract, and what is particular to each.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod contract;
mod settings;
