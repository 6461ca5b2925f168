//! Names of the static list, looked up by the system's resolver at a real name server.
//!
//! The test runs itself again with its own `resolv.conf`, which needs root and `unshare`. The name
//! server speaks UDP.

use std::{
    collections::HashMap,
    env, fs,
    net::{IpAddr, SocketAddr, UdpSocket},
    process::{self, Command},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use gantry_discovery::{Registry, Settings, Status, Watch};
use tokio::time::{sleep, timeout};

const SERVER: &str = "GANTRY_TEST_NAME_SERVER";

/// Addresses by name. A missing entry means NXDOMAIN, an empty one no answer.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<HashMap<&'static str, Vec<IpAddr>>>>);

impl Zone {
    fn serve(address: SocketAddr) -> Self {
        let zone = Self::default();
        let socket = UdpSocket::bind(address).unwrap();
        let serving = zone.clone();
        // Runs until the process ends.
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                if let Some(answer) = serving.answer(&query[..length]) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        zone
    }

    fn set<const N: usize>(&self, name: &'static str, addresses: [&str; N]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.0.lock().unwrap().insert(name, addresses);
    }

    fn forget(&self, name: &'static str) {
        self.0.lock().unwrap().remove(name);
    }

    /// Encodes an answer (RFC 1035): the header, the question, and a record for each address of the
    /// requested type.
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let (mut labels, mut at) = (Vec::new(), 12);
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(std::str::from_utf8(&query[at + 1..end]).unwrap().to_owned());
            at = end;
        }
        let (kind, question) = (query[at + 2], &query[12..at + 5]);
        let zone = self.0.lock().unwrap();
        let addresses = zone.get(labels.join(".").to_lowercase().as_str());
        if addresses.is_some_and(Vec::is_empty) {
            return None;
        }
        let records: Vec<Vec<u8>> = addresses
            .into_iter()
            .flatten()
            .filter_map(|address| match address {
                IpAddr::V4(ip) => (kind == 1).then(|| ip.octets().to_vec()),
                IpAddr::V6(ip) => (kind == 28).then(|| ip.octets().to_vec()),
            })
            .collect();
        let code = if addresses.is_some() { 0 } else { 3 };
        let mut answer = query[..2].to_vec();
        answer.extend([0x84, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
        answer.extend(question);
        for data in records {
            answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, data.len() as u8]);
            answer.extend(data);
        }
        Some(answer)
    }
}

/// Runs only this test again, with its own name server.
fn again(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (resolv, switch) = (folder.path().join("resolv.conf"), folder.path().join("nsswitch.conf"));
    // Port 53 of an unused loopback address.
    let [.., high, low] = process::id().to_be_bytes();
    let server = IpAddr::from([127, 53, high, low.max(1)]);
    fs::write(&resolv, format!("nameserver {server}\noptions timeout:1 attempts:1\n")).unwrap();
    fs::write(&switch, "hosts: files dns\n").unwrap();
    let script = r#"mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf &&
        exec "$3" --exact "$4" --nocapture"#;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .args([resolv.as_os_str(), switch.as_os_str(), env::current_exe().unwrap().as_os_str()])
        .arg(test)
        .env(SERVER, SocketAddr::from((server, 53)).to_string())
        .output()
        .unwrap_or_else(|error| panic!("unshare does not start: {error}"));
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && said[0].contains("1 passed"), "needs root: {said:#?}");
}

async fn sees(watch: &mut Watch, expected: &[&str]) {
    let addresses = |watch: &mut Watch| -> Vec<String> {
        watch.current().endpoints().iter().map(|endpoint| endpoint.address.to_string()).collect()
    };
    let seen = timeout(Duration::from_secs(60), async {
        while addresses(watch) != expected {
            watch.changed().await;
        }
    });
    assert!(seen.await.is_ok(), "expected {expected:?}, last saw {:?}", addresses(watch));
}

async fn is_stale(watch: &Watch, expected: &str) {
    let stale = timeout(Duration::from_secs(60), async {
        loop {
            match watch.status() {
                Status::Stale { why, .. } if why.contains(expected) => return,
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    });
    assert!(stale.await.is_ok(), "expected {expected:?}, got {:?}", watch.status());
}

#[test]
fn a_name_follows_the_name_server_and_survives_its_failure() {
    let Ok(server) = env::var(SERVER) else {
        return again("names::a_name_follows_the_name_server_and_survives_its_failure");
    };
    let zone = Zone::serve(server.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (name, other) = ("users.test", "spare.test");
    zone.set(name, ["10.1.0.2", "10.1.0.1", "fd00::1"]);
    zone.set(other, ["10.2.0.1"]);
    runtime.block_on(async {
        let list = "kind = \"static\"\nstatic_refresh = \"1s\"\n\
                    static.user = [\"users.test:50051\", \"spare.test:50052\"]";
        let settings: Settings = toml::from_str(list).unwrap();
        let registry = Registry::from_settings(&settings).unwrap();
        let mut watch = registry.resolver.watch("user");
        let first = ["10.1.0.1:50051", "10.1.0.2:50051", "10.2.0.1:50052", "[fd00::1]:50051"];
        sees(&mut watch, &first).await;

        zone.set(name, ["10.1.0.3"]);
        sees(&mut watch, &["10.1.0.3:50051", "10.2.0.1:50052"]).await;

        // One name is removed while the other one changes.
        zone.forget(name);
        is_stale(&watch, "users.test: ").await;
        zone.set(other, ["10.2.0.2"]);
        sees(&mut watch, &["10.1.0.3:50051", "10.2.0.2:50052"]).await;

        // The server does not answer at all.
        zone.set(name, []);
        zone.set(other, []);
        is_stale(&watch, "spare.test: ").await;
        sees(&mut watch, &["10.1.0.3:50051", "10.2.0.2:50052"]).await;

        zone.set(name, ["10.1.0.4"]);
        zone.set(other, ["10.2.0.3"]);
        sees(&mut watch, &["10.1.0.4:50051", "10.2.0.3:50052"]).await;
    });
    runtime.shutdown_background();
}
