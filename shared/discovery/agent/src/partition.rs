//! Network partitions: dropped packets.

use std::process::Command;

use crate::Agent;

/// Partition between an agent and its clients. Drops all packets until the value is dropped.
#[derive(Debug)]
pub struct Partition {
    table: String,
}

impl Partition {
    /// Starts dropping the packets to and from `agent`.
    pub fn before(agent: &Agent) -> Self {
        let Agent { host, http: port, .. } = agent;
        // A separate table leaves all other packet filters unchanged.
        let table = format!("gantry_test_{}_{port}", std::process::id());
        let rules = format!(
            "table ip {table} {{ chain input {{ type filter hook input priority 0; \
             ip daddr {host} tcp dport {port} drop; ip saddr {host} tcp sport {port} drop; }}; }}\n"
        );
        if let Err(why) = nft(&rules) {
            panic!("{why}");
        }
        Self { table }
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let deleted = nft(&format!("delete table ip {}", self.table));
        assert!(deleted.is_ok() || std::thread::panicking(), "{deleted:?}");
    }
}

fn nft(rules: &str) -> Result<(), String> {
    let output = Command::new("nft").arg(rules).output().map_err(|error| {
        format!("nft does not start ({error}); install it: apt-get install nftables")
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let refused = || format!("nft needs root, or CAP_NET_ADMIN: {said}");
    if output.status.success() { Ok(()) } else { Err(refused()) }
}
