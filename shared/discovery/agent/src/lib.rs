//! Real Consul agents for tests and measurements: started, killed, restarted, partitioned.
//!
//! All functions panic on errors, as tests do. Install Consul with `deploy/consul/install.sh`.
//! [`Partition`] needs root and `nft` (`apt-get install nftables`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod api;
mod partition;

pub use api::Api;
pub use partition::Partition;

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Token with all permissions, if ACLs are on.
pub const MASTER: &str = "11111111-aaaa-bbbb-cccc-222222222222";

/// Configuration that denies everything to clients without a token.
pub const DENY: &str = r#"
    acl {
        enabled = true
        default_policy = "deny"
        tokens {
            master = "11111111-aaaa-bbbb-cccc-222222222222"
            agent = "11111111-aaaa-bbbb-cccc-222222222222"
        }
    }
"#;

/// Guard against a hanging agent. Generous, because the machine may be busy.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Configuration of a single server that keeps its data and elects itself as fast as in development
/// mode.
pub const KEPT: &str = r#"
    server = true
    bootstrap_expect = 1
    performance { raft_multiplier = 1 }
"#;

/// Configuration of all agents. Logs each request.
const COMMON: &str = "disable_update_check = true\nlog_level = \"debug\"\n";

/// An agent and its process. Runs in development mode, without data on disk, unless it is
/// configured as a server.
#[derive(Debug)]
pub struct Agent {
    process: Option<Child>,
    http: u16,
    host: Ipv4Addr,
    configuration: String,
    folder: TempDir,
}

impl Agent {
    /// Starts an agent in development mode.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts an agent with additional configuration (HCL).
    pub async fn start_with(configuration: &str) -> Self {
        // Another program may take a port between the check and the start.
        for _ in 0..5 {
            let mut agent = Self::prepared(configuration);
            if agent.try_start().await {
                return agent;
            }
        }
        panic!("no consul agent could be started");
    }

    /// Prepares an agent with ports and a folder, but without a process.
    pub fn prepared(configuration: &str) -> Self {
        Self::prepared_at(Ipv4Addr::LOCALHOST, free_ports(), configuration)
    }

    fn prepared_at(host: Ipv4Addr, http: u16, configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { process: None, http, host, configuration: configuration.to_owned(), folder }
    }

    /// Starts an agent at another loopback address.
    pub async fn start_at(host: Ipv4Addr) -> Self {
        let mut agent = Self::prepared_at(host, free_ports(), "");
        agent.restart().await;
        agent
    }

    /// Starts three servers on 127.0.0.1 to 127.0.0.3, which elect a leader. The leader is first.
    pub async fn cluster() -> [Self; 3] {
        let http = free_ports();
        let hosts = [1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
        let mut agents = hosts.map(|host| {
            let joined = hosts.map(|host| format!("\"{host}:{}\"", http + 2)).join(", ");
            let configuration = format!(
                "server = true\nbootstrap_expect = 3\nretry_join = [{joined}]\n\
                 retry_interval = \"1s\"\nperformance {{ raft_multiplier = 1 }}\n"
            );
            let mut agent = Self::prepared_at(host, http, &configuration);
            agent.spawn();
            agent
        });
        for agent in &mut agents {
            assert!(agent.runs(3).await, "the server did not start:\n{}", agent.log());
        }
        let leader = agents[0].send("GET", "/v1/status/leader", None).await;
        let leads = |agent: &Self| leader == format!("{}:{}", agent.host, http + 1);
        agents.sort_by_key(|agent| !leads(agent));
        assert!(leads(&agents[0]), "{leader}");
        agents
    }

    /// Starts the agent again on the same ports. In development mode, its data is lost.
    pub async fn restart(&mut self) {
        assert!(self.try_start().await, "the agent did not start again:\n{}", self.log());
    }

    /// Starts the process. Returns true if it runs and has a leader.
    async fn try_start(&mut self) -> bool {
        self.spawn();
        self.runs(1).await
    }

    /// Starts the process without waiting for it.
    pub fn spawn(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let configuration = self.folder.path().join("agent.hcl");
        fs::write(&configuration, format!("{COMMON}{}", self.configuration)).unwrap();
        let log = File::create(self.folder.path().join("log")).unwrap();
        let port = |offset: u16| (self.http + offset).to_string();
        let host = self.host.to_string();
        let mut command = Command::new("consul");
        command.arg("agent");
        if self.configuration.contains("server = true") {
            command.arg("-data-dir").arg(self.folder.path().join("data"));
        } else {
            command.arg("-dev");
        }
        let started = command
            .args(["-bind", &host, "-client", &host, "-node", &format!("node-{host}")])
            .args(["-http-port", &port(0), "-server-port", &port(1)])
            .args(["-serf-lan-port", &port(2), "-serf-wan-port", &port(3)])
            .args(["-https-port", &port(4), "-dns-port", "-1", "-grpc-port", "-1", "-config-file"])
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let process = started.unwrap_or_else(|error| {
            panic!("consul does not start ({error}); install it: deploy/consul/install.sh")
        });
        self.process = Some(process);
    }

    /// Waits for the agent. Returns true if it runs and knows this many nodes through a leader.
    async fn runs(&mut self, nodes: usize) -> bool {
        let starting = async {
            loop {
                let process = self.process.as_mut().unwrap();
                if process.try_wait().unwrap().is_some() {
                    return false;
                }
                let known = self.api().request("GET", "/v1/catalog/nodes", None).await;
                if known.is_some_and(|(_, nodes_known)| {
                    nodes_known.as_array().is_some_and(|known| known.len() == nodes)
                }) {
                    return true;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let running = timeout(TEST_TIMEOUT, starting).await;
        let running = running.unwrap_or_else(|_| panic!("no leader:\n{}", self.log()));
        if !running {
            self.process = None;
        }
        running
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Sends the process a signal, by name.
    pub fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(status.success());
    }

    /// Returns the URL of the HTTP API.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.http)
    }

    /// Returns the URL of the HTTP API with TLS.
    pub fn secure_url(&self) -> String {
        format!("https://{}:{}", self.host, self.http + 4)
    }

    /// Returns a client of the HTTP API.
    pub fn api(&self) -> Api {
        Api::at(self.url())
    }

    /// Sends a request that must succeed. Returns the body.
    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.api().send(method, path, body).await
    }

    /// Returns the registrations at the agent.
    pub async fn services(&self) -> Vec<Value> {
        let services = self.send("GET", "/v1/agent/services", None).await;
        services.as_object().unwrap().values().cloned().collect()
    }

    /// Returns the number of registration requests since the last start.
    pub fn registrations(&self) -> usize {
        self.log().matches("method=PUT url=/v1/agent/service/register").count()
    }

    /// Returns the number of health queries answered since the last start.
    pub fn queries(&self) -> usize {
        self.log().matches("method=GET url=/v1/health/service/").count()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// Returns the first of five consecutive free ports. No other agent of this process has them. They
/// are below the ports of outgoing connections, which could otherwise take them while the agent is
/// down. The suite's tests use ports from 20,000 on for the same reason.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = u16::try_from(std::process::id() % 2_000).unwrap();
    let is_free = |port: u16| {
        TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
    };
    (0..1000)
        .map(|_| 10_000 + NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(seed) % 2_000 * 5)
        .find(|first| (*first..first + 5).all(is_free))
        .unwrap()
}
