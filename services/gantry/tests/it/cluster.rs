//! Services as processes of their own, started as in README: with the files in deploy/local and the keys
//! of `gantry up`. They find each other through a list or through Consul.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use gantry_client::ClientSettings;
use gantry_consul_agent::Agent;
use gantry_discovery::{Kind, Registry, Settings, consul};
use tempfile::TempDir;

use crate::{
    process::{Process, Suite, free_address, gantry, one_caller},
    shop::Shop,
};

/// Names of the services; each has a binary of its own.
pub const SERVICES: &[&str] = &gantry::suite::NAMES;

/// Running processes with each other's keys and addresses.
pub struct Cluster {
    members: Vec<Member>,
    registry: Registry,
    admin_password: String,
    keys: Suite,
    _folder: TempDir,
}

struct Member {
    service: String,
    address: SocketAddr,
    command: Command,
    log: PathBuf,
    process: Process,
}

/// Registry of the processes.
#[derive(Clone, Copy)]
pub enum Through<'a> {
    List,
    Consul(&'a Agent),
}

impl Cluster {
    /// Starts one process for each name. A repeated name adds a replica with a database of its own.
    pub fn start(services: &[&str]) -> Self {
        Self::find_through(Through::List, services, &[])
    }

    /// Starts a cluster with a registry, and with settings of the services in the environment.
    pub fn find_through(
        through: Through<'_>,
        services: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        Self::configured(through, services, variables, local_file)
    }

    /// Starts a cluster as [`find_through`](Self::find_through), with a settings file for each service.
    pub fn configured(
        through: Through<'_>,
        services: &[&str],
        variables: &[(&str, &str)],
        file: impl Fn(&str) -> PathBuf,
    ) -> Self {
        let mut keys = Suite::start(&[]);
        assert!(keys.terminate().success());
        let folder = tempfile::tempdir().unwrap();
        symlink(keys.data(), folder.path().join(".gantry")).unwrap();
        let places: Vec<_> = services.iter().map(|service| (*service, free_address())).collect();
        let list = by_service(&places);
        let members = places.iter().enumerate().map(|(number, (service, address))| {
            let mut command = member(service, *address, through, &list);
            command.arg("--config").arg(file(service));
            command.current_dir(folder.path());
            let own = format!("GANTRY_{}__", service.to_uppercase());
            let is_its = |key: &str| key.starts_with(&own) || key.starts_with("GANTRY_TELEMETRY__");
            command.envs(variables.iter().copied().filter(|(key, _)| is_its(key)));
            if places[..number].iter().any(|(earlier, _)| earlier == service) {
                let key = format!("GANTRY_{}__DATABASE__SQLITE__PATH", service.to_uppercase());
                command.env(key, format!("{service}-{number}.db"));
            }
            let log = folder.path().join(format!("{number}.log"));
            let process = Process::start(&mut command, &log);
            Member { service: (*service).to_owned(), address: *address, command, log, process }
        });
        let mut members: Vec<_> = members.collect();
        members.iter_mut().for_each(Member::until_up);
        let registry = match through {
            Through::List => listing(list),
            Through::Consul(agent) => at_consul(agent),
        };
        let admin_password = keys.admin_password();
        Self { members, registry, admin_password, keys, _folder: folder }
    }

    /// Returns clients of the cluster, logged in as its admin.
    pub async fn shop(&self) -> Shop {
        self.shop_through(&ClientSettings::default()).await
    }

    /// Returns clients of the cluster with these settings, logged in as its admin.
    pub async fn shop_through(&self, settings: &ClientSettings) -> Shop {
        Shop::of(&self.registry, settings).for_admin(&self.admin_password).await
    }

    /// Returns clients with connections of their own, and the token of `before`.
    pub fn shop_anew(&self, before: &Shop) -> Shop {
        let admin = before.admin.clone();
        Shop { admin, ..Shop::of(&self.registry, &ClientSettings::default()) }
    }

    /// Stops the first process of a service with SIGTERM.
    pub fn terminate(&mut self, service: &str) {
        let position = self.members.iter().position(|member| member.service == service);
        let mut member = self.members.remove(position.expect("a member of this name"));
        member.process.send_term();
        assert!(member.process.wait().success(), "{}", member.process.log());
    }

    /// Kills a replica of a service; the first replica is 0.
    pub fn kill(&mut self, service: &str, replica: usize) {
        self.member(service, replica).process.kill();
    }

    /// Restarts an ended replica at its address.
    pub fn start_again(&mut self, service: &str, replica: usize) {
        let member = self.member(service, replica);
        member.process = Process::start(&mut member.command, &member.log);
        member.until_up();
    }

    fn member(&mut self, service: &str, replica: usize) -> &mut Member {
        let mut of = self.members.iter_mut().filter(|member| member.service == service);
        of.nth(replica).expect("a member of this name")
    }

    /// Returns the number of replicas of a service.
    pub fn replicas(&self, service: &str) -> usize {
        self.members.iter().filter(|member| member.service == service).count()
    }

    /// Returns the address of a replica's calls.
    pub fn address(&mut self, service: &str, replica: usize) -> SocketAddr {
        self.member(service, replica).address
    }

    /// Returns the address of a replica's admin pages, which differs with each start.
    pub fn admin_address(&mut self, service: &str, replica: usize) -> String {
        let log = self.member(service, replica).process.log();
        let line = log.lines().rfind(|line| line.contains("admin pages listening")).unwrap();
        line.rsplit_once("address=").unwrap().1.to_owned()
    }

    /// Returns the folder of the keys of all services.
    pub fn keys(&self) -> PathBuf {
        self.keys.data().join("keys")
    }

    /// Waits until every process has logged `text` as often as `lines` returns for its service.
    pub fn until_logged(&mut self, text: &str, lines: impl Fn(&str) -> usize) {
        for Member { service, process, .. } in &mut self.members {
            process.until_logged_again(text, lines(service));
        }
    }

    /// Returns the output of all processes of a service.
    pub fn log(&self, service: &str) -> String {
        let of = self.members.iter().filter(|member| member.service == service);
        of.map(|member| member.process.log()).collect()
    }

    /// Returns the output of all processes.
    pub fn logs(&self) -> String {
        self.members.iter().map(|member| member.process.log()).collect()
    }
}

impl Member {
    fn until_up(&mut self) {
        let address = self.address;
        self.process.until("an open port", || TcpStream::connect(address).is_ok());
    }
}

/// Returns the registry of a Consul agent.
pub fn at_consul(agent: &Agent) -> Registry {
    let consul = consul::Settings::default().url(agent.url());
    let settings = Settings::default().kind(Kind::Consul).consul(consul);
    Registry::from_settings(&settings).unwrap()
}

/// Returns a registry with fixed endpoints.
pub fn listing(endpoints: BTreeMap<String, Vec<String>>) -> Registry {
    Registry::fixed(endpoints).unwrap()
}

fn by_service(places: &[(&str, SocketAddr)]) -> BTreeMap<String, Vec<String>> {
    let mut list: BTreeMap<_, Vec<_>> =
        SERVICES.iter().map(|&name| (name.into(), vec![])).collect();
    for (service, address) in places {
        list.entry((*service).to_owned()).or_default().push(address.to_string());
    }
    list
}

/// Returns the command of a service's own binary, with the addresses of this cluster in the environment.
fn member(
    service: &str,
    address: SocketAddr,
    through: Through<'_>,
    list: &BTreeMap<String, Vec<String>>,
) -> Command {
    let mut command = own_binary(service);
    command.envs(one_caller(service));
    command.env("GANTRY_LISTEN", address.to_string());
    command.env("GANTRY_ADMIN__LISTEN", "127.0.0.1:0");
    match through {
        Through::List => {
            for (name, addresses) in list {
                let key = format!("GANTRY_DISCOVERY__STATIC__{}", name.to_uppercase());
                command.env(key, format!("{addresses:?}"));
            }
        }
        Through::Consul(agent) => {
            command.env("GANTRY_DISCOVERY__KIND", "consul");
            command.env("GANTRY_DISCOVERY__CONSUL__URL", agent.url());
            command.env("GANTRY_DISCOVERY__CONSUL__CHECK_INTERVAL", "1s");
        }
    }
    command
}

/// Returns the settings file of a service's own binary in deploy/local.
pub fn local_file(service: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join(format!("deploy/local/{service}.toml"))
}

/// Returns a service's own binary, with an empty environment.
pub fn own_binary(service: &str) -> Command {
    let mut command = binary(&format!("{service}-service"));
    command.env_clear();
    command
}

/// Returns a binary of another package, which `cargo test --workspace` builds as well.
pub fn binary(name: &str) -> Command {
    let beside = Path::new(gantry().get_program()).with_file_name(name);
    assert!(beside.exists(), "{} is missing: cargo build --workspace", beside.display());
    Command::new(beside)
}
