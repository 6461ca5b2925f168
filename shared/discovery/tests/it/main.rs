//! Every adapter against one contract, and what is particular to each.
//!
//! Consul's tests start real agents: install the program with `deploy/consul/install.sh`.
//! Those that drop packets need root and `nft` (`apt-get install nftables`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod consul;
mod contract;
mod names;
mod output;
mod settings;
