//! Tests of the common rules for every adapter, and of each adapter.
//!
//! The tests of Consul start real agents. Install Consul with `deploy/consul/install.sh`. Tests
//! that drop packets need root and `nft` (`apt-get install nftables`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod consul;
mod contract;
mod names;
mod output;
mod settings;
