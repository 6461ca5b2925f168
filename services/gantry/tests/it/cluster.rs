//! The services as processes of their own, as README starts them: with the files in
//! deploy/local, on the keys that `gantry up` made, finding each other by a list.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    process::{Process, Suite, gantry},
    shop::Shop,
};

/// The services that have a binary of their own.
pub const SERVICES: &[&str] = &["user", "inventory", "order"];

/// Processes that know each other's keys and addresses.
pub struct Cluster {
    members: Vec<Member>,
    admin_password: String,
    _keys: Suite,
    _folder: TempDir,
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
        let mut keys = Suite::start(&[]);
        assert!(keys.terminate().success());
        let folder = tempfile::tempdir().unwrap();
        symlink(keys.data(), folder.path().join(".gantry")).unwrap();
        let places: Vec<_> = services.iter().map(|service| (*service, free_address())).collect();
        let members = places.iter().enumerate().map(|(number, (service, address))| {
            let mut command = member(service, *address, &places);
            command.current_dir(folder.path());
            if places[..number].iter().any(|(earlier, _)| earlier == service) {
                let key = format!("GANTRY_{}__DATABASE__PATH", service.to_uppercase());
                command.env(key, format!("{service}-{number}.db"));
            }
            let log = folder.path().join(format!("{number}.log"));
            let process = Process::start(&mut command, &log);
            Member { service: (*service).to_owned(), address: *address, process }
        });
        let mut members: Vec<_> = members.collect();
        for Member { address, process, .. } in &mut members {
            process.until("an open port", || TcpStream::connect(*address).is_ok());
        }
        let admin_password = keys.admin_password();
        Self { members, admin_password, _keys: keys, _folder: folder }
    }

    /// The cluster seen through our own client, as its admin.
    pub async fn shop(&self) -> Shop {
        let addresses = |name: &str| -> Vec<SocketAddr> {
            let of = self.members.iter().filter(|member| member.service == name);
            of.map(|member| member.address).collect()
        };
        Shop::at(addresses, "admin@gantry.local", &self.admin_password).await
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

/// A service's own binary, configured by its file in deploy/local and, where that would
/// collide, by the environment.
fn member(service: &str, address: SocketAddr, places: &[(&str, SocketAddr)]) -> Command {
    let mut command = own_binary(service);
    command.arg("--config").arg(local_file(service));
    command.env("GANTRY_LISTEN", address.to_string());
    command.env("GANTRY_ADMIN__LISTEN", "127.0.0.1:0");
    for name in SERVICES {
        let of = places.iter().filter(|(service, _)| service == name);
        let list: Vec<_> = of.map(|(_, address)| address.to_string()).collect();
        let key = format!("GANTRY_DISCOVERY__STATIC__{}", name.to_uppercase());
        command.env(key, format!("{list:?}"));
    }
    command
}

/// The settings of a service that runs by itself on one computer.
pub fn local_file(service: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join(format!("deploy/local/{service}.toml"))
}

/// A service's own binary, without what this environment says. It belongs to another package
/// of the workspace, which `cargo test --workspace` builds too.
pub fn own_binary(service: &str) -> Command {
    let beside = Path::new(gantry().get_program()).with_file_name(format!("{service}-service"));
    assert!(beside.exists(), "{} is missing: cargo build --workspace", beside.display());
    let mut command = Command::new(beside);
    command.env_clear();
    command
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
