//! The suite on a real Consul agent.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
};

use crate::{
    process::{Process, Suite},
    shop::Shop,
};

/// An agent in development mode, on ports of its own.
struct Agent {
    http: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Agent {
    fn start() -> Self {
        assert!(
            Command::new("consul").arg("version").output().is_ok(),
            "consul is missing: as root, deploy/consul/install.sh"
        );
        let folder = tempfile::tempdir().unwrap();
        // Held until all are known, so that they differ.
        let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
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
        let mut process = Process::start(&mut command, &folder.path().join("consul.log"));
        process.until("an open port", || TcpStream::connect(http).is_ok());
        Self { http, _process: process, _folder: folder }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_finds_itself_through_consul_and_leaves_nothing_there() {
    let agent = Agent::start();
    let url = format!("http://{}", agent.http);
    let mut suite =
        Suite::start(&["--registry", "consul", "--consul", &url, "--replicas", "user=2"]);
    let shop = Shop::open(&suite).await;
    shop.one_confirmed_order().await;

    assert!(suite.terminate().success(), "{}", suite.process.log());
    let left =
        Command::new("consul").args(["catalog", "services", "-http-addr", &url]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout).trim(), "consul");
}
