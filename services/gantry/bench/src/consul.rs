//! Consul agent of the benchmark.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    time::Duration,
};

use gantry_discovery::{Kind, Registry, Settings, consul};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::error::BenchError;

/// Agent in development mode on its own ports. Killed when dropped.
#[derive(Debug)]
pub(super) struct Agent {
    address: SocketAddr,
    _process: Child,
    _folder: TempDir,
}

impl Agent {
    /// Starts an agent and waits until it answers.
    pub(super) async fn start() -> Result<Self, BenchError> {
        const TOOL: &str = "consul";
        const START_TIMEOUT: Duration = Duration::from_secs(20);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => {
                BenchError::Missing { tool: TOOL, install: "as root, deploy/consul/install.sh" }
            }
            _ => BenchError::Tool { tool: TOOL, why: error.to_string() },
        };
        let folder = TempDir::new().map_err(failed)?;
        let [address, server, lan, wan] = free().map_err(failed)?;
        let mut command = Command::new(TOOL);
        command.args(["agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1"]);
        command.args(["-dns-port", "-1", "-grpc-port", "-1"]);
        for (flag, address) in [
            ("-http-port", address),
            ("-server-port", server),
            ("-serf-lan-port", lan),
            ("-serf-wan-port", wan),
        ] {
            command.args([flag, &address.port().to_string()]);
        }
        command.args(["-hcl", "disable_update_check=true"]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.kill_on_drop(true).spawn().map_err(failed)?;
        let until = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > until {
                return Err(BenchError::Late("consul did not listen", START_TIMEOUT));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { address, _process: process, _folder: folder })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Returns a registry at this agent.
pub(super) fn registry(url: &str) -> Result<Registry, BenchError> {
    let consul =
        consul::Settings::default().url(url.to_owned()).check_interval(Duration::from_secs(1));
    let settings = Settings::default().kind(Kind::Consul).consul(consul);
    Ok(Registry::from_settings(&settings)?)
}

/// Returns free addresses. All are held until the last is known, so that they differ.
fn free() -> io::Result<[SocketAddr; 4]> {
    let listeners: Vec<_> =
        (0..4).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
    let addresses: Vec<_> =
        listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
    addresses.try_into().map_err(|_| io::ErrorKind::AddrNotAvailable.into())
}
