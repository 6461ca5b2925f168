//! A Consul agent of the test's own.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use gantry_discovery::{Kind, Registry, Settings, consul};
use tempfile::TempDir;

use crate::process::{Process, free_address};

/// An agent in development mode, so without data on disk, on ports of its own.
pub struct Agent {
    http: SocketAddr,
    command: Command,
    log: PathBuf,
    process: Process,
    _folder: TempDir,
}

impl Agent {
    pub fn start() -> Self {
        assert!(
            Command::new("consul").arg("version").output().is_ok(),
            "consul is missing: as root, deploy/consul/install.sh"
        );
        let folder = tempfile::tempdir().unwrap();
        // Held until all are known, so that they differ.
        let listeners = [(); 4].map(|()| TcpListener::bind(free_address()).unwrap());
        let [http, server, lan, wan] =
            listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        drop(listeners);
        let mut command = Command::new("consul");
        command.args(["agent", "-dev", "-bind", "127.0.0.1", "-client", "127.0.0.1"]);
        command.args(["-dns-port", "-1", "-grpc-port", "-1"]);
        for (flag, address) in [
            ("-http-port", http),
            ("-server-port", server),
            ("-serf-lan-port", lan),
            ("-serf-wan-port", wan),
        ] {
            command.args([flag, &address.port().to_string()]);
        }
        command.args(["-hcl", "disable_update_check=true"]);
        let log = folder.path().join("consul.log");
        let process = Process::start(&mut command, &log);
        let mut agent = Self { http, command, log, process, _folder: folder };
        agent.until_up();
        agent
    }

    fn until_up(&mut self) {
        let http = self.http;
        self.process.until("an open port", || TcpStream::connect(http).is_ok());
    }

    /// Kills it and starts it again where it was, with nothing that it knew.
    pub fn restart(&mut self, down: Duration) {
        self.process.kill();
        std::thread::sleep(down);
        self.process = Process::start(&mut self.command, &self.log);
        self.until_up();
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The registry, as a caller's process has it.
    pub fn registry(&self) -> Registry {
        let consul = consul::Settings { url: self.url(), ..consul::Settings::default() };
        let settings = Settings { kind: Kind::Consul, consul, ..Settings::default() };
        Registry::from_settings(&settings).unwrap()
    }

    /// The names of the services that it lists.
    pub fn services(&self) -> String {
        let mut command = Command::new("consul");
        command.args(["catalog", "services", "-http-addr", &self.url()]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }
}
