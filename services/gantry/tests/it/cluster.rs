//! The services as processes of their own, configured by file and environment, finding each
//! other by a list.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use gantry_identity::{SigningKey, load_or_create_secret};
use tempfile::TempDir;

use crate::{
    process::{Process, gantry},
    shop::{PASSWORD, Shop},
};

pub const ADMIN: &str = "root@example.com";

/// Processes that know each other's keys and addresses.
pub struct Cluster {
    members: Vec<Member>,
    folder: TempDir,
}

struct Member {
    service: String,
    address: SocketAddr,
    process: Process,
}

impl Cluster {
    /// Starts one process for each name; a name given twice makes two replicas, each with a
    /// database of its own.
    pub fn start(services: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["user", "order", "inventory", "users-tokens"] {
            SigningKey::load_or_create(&folder.path().join(format!("{name}.pem"))).unwrap();
        }
        load_or_create_secret(&folder.path().join("requests.secret")).unwrap();
        let places: Vec<_> = services.iter().map(|service| (*service, free_address())).collect();
        let mut cluster = Self { members: Vec::new(), folder };
        for (number, (service, address)) in places.iter().enumerate() {
            let member = cluster.start_member(number, service, *address, &places);
            cluster.members.push(member);
        }
        for Member { address, process, .. } in &mut cluster.members {
            process.until("an open port", || TcpStream::connect(*address).is_ok());
        }
        cluster
    }

    fn start_member(
        &self,
        number: usize,
        service: &str,
        address: SocketAddr,
        places: &[(&str, SocketAddr)],
    ) -> Member {
        let folder = self.folder.path();
        let file = |name: &str| folder.join(name).display().to_string();
        let config = folder.join(format!("{number}.toml"));
        let list = |name: &str| -> Vec<String> {
            let of = places.iter().filter(|(service, _)| *service == name);
            of.map(|(_, address)| address.to_string()).collect()
        };
        let mut text = format!(
            "listen = '{address}'\n[admin]\nlisten = '127.0.0.1:0'\n[discovery]\nkind = 'static'\n\
             [discovery.static]\nuser = {:?}\norder = {:?}\ninventory = {:?}\n\
             [{service}.idempotency]\nkey_file = '{}'\n\
             [{service}.identity]\nkey_file = '{}'\n\
             trusted = [{{issuer = 'gantry', issues = 'users', key_file = '{}'}}",
            list("user"),
            list("order"),
            list("inventory"),
            file("requests.secret"),
            file(&format!("{service}.pem")),
            file("users-tokens.pub.pem"),
        );
        if service != "order" {
            let key = file("order.pub.pem");
            text += &format!(", {{issuer = 'order', issues = 'service', key_file = '{key}'}}");
        }
        text += "]\n";
        if service == "user" {
            text += &format!(
                "[user.tokens]\nkey_file = '{}'\n[user.bootstrap]\nadmin_email = '{ADMIN}'\n",
                file("users-tokens.pem")
            );
        }
        fs::write(&config, text).unwrap();
        let mut command = binary(&format!("{service}-service"));
        command.arg("--config").arg(&config).env(
            format!("GANTRY_{}__DATABASE__PATH", service.to_uppercase()),
            folder.join(format!("{service}-{number}.db")),
        );
        if service == "user" {
            command.env("GANTRY_USER__BOOTSTRAP__ADMIN_PASSWORD", PASSWORD);
        }
        let process = Process::start(&mut command, &folder.join(format!("{number}.log")));
        Member { service: service.to_owned(), address, process }
    }

    /// The cluster seen through our own client, as its admin.
    pub async fn shop(&self) -> Shop {
        let addresses = |name: &str| -> Vec<SocketAddr> {
            let of = self.members.iter().filter(|member| member.service == name);
            of.map(|member| member.address).collect()
        };
        Shop::at(addresses, ADMIN, PASSWORD).await
    }

    /// Ends the first process of a service as an operator would.
    pub fn terminate(&mut self, service: &str) {
        let position = self.members.iter().position(|member| member.service == service);
        let mut member = self.members.remove(position.expect("a member of this name"));
        member.process.send_term();
        assert!(member.process.wait().success(), "{}", member.process.log());
    }

    /// What every process printed.
    pub fn logs(&self) -> String {
        self.members.iter().map(|member| member.process.log()).collect()
    }
}

/// A binary of another package of the workspace, which `cargo test --workspace` builds too.
fn binary(name: &str) -> Command {
    let beside: PathBuf = Path::new(gantry().get_program()).with_file_name(name);
    assert!(beside.exists(), "{} is missing: cargo build --workspace", beside.display());
    let mut command = Command::new(beside);
    command.env_clear();
    command
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
