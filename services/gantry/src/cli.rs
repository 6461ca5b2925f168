//! The command line.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use gantry_client::ClientTls;
use gantry_config::ConfigCommand;

use crate::{bench::BenchArgs, new::CALLEES, suite::NAMES};

/// The suite in one process, and the tools around it.
#[derive(Debug, Parser)]
#[command(
    name = "gantry",
    version = gantry_telemetry::BUILD.summary,
    args_conflicts_with_subcommands = true,
    about = "The Gantry suite in one process, and the tools around it; without a command: up"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// `gantry` alone is `gantry up`.
    #[command(flatten)]
    pub up: UpArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve every service in this process, until SIGTERM or Ctrl-C
    Up(UpArgs),
    /// Show or check the settings of `up` without a start
    #[command(subcommand)]
    Config(ConfigCommand<UpArgs>),
    /// Make the key pair of a service, and print the settings that let it call others
    Keys(KeysArgs),
    /// Make a service as a workspace of its own, which calls services of the suite
    New(NewArgs),
    /// Walk a running suite as a newcomer would
    Demo(DemoArgs),
    /// Measure the suite's targets beside their baselines, in a build of the profile `dist`
    Bench(BenchArgs),
    /// Print what the contract says to those who do not read Rust
    #[command(subcommand)]
    Contract(ContractPart),
}

/// What the contract is exported as.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ContractPart {
    /// A gRPC service config (JSON), for clients in other languages
    ServiceConfig,
    /// The API reference (Markdown), for people
    Reference,
}

/// How to serve.
#[derive(Clone, Debug, Args)]
pub struct UpArgs {
    /// Added to every port
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port_offset: u16,
    /// Where databases and keys are kept; made if missing
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
    /// Replicas of a service, as user=3; further ones at +100, +200 ...
    #[arg(long, value_name = "SERVICE=N", value_delimiter = ',', value_parser = parse_replicas)]
    pub replicas: Vec<(String, u16)>,
    /// How the services find each other [default: memory]
    #[arg(long, value_enum)]
    pub registry: Option<RegistryKind>,
    /// The Consul agent, with --registry consul [default: http://127.0.0.1:8500]
    #[arg(long, value_name = "URL")]
    pub consul: Option<String>,
    /// The bootstrap admin's password: read from here if the file exists, otherwise made and written
    /// here with mode 0600 [default: DATA_DIR/admin-password]
    #[arg(long, value_name = "PATH")]
    pub admin_password_file: Option<PathBuf>,
    /// Written, as JSON with every service's addresses, once all are serving
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// Settings over the defaults, with a table for each service.
    #[command(flatten)]
    pub settings: gantry_config::Args,
}

/// Owner of the keys, and the services that it calls.
#[derive(Clone, Debug, Args)]
pub struct KeysArgs {
    /// The service that is to call others, as its tokens name it
    #[arg(value_name = "SERVICE", value_parser = parse_new_service)]
    pub service: String,
    /// The services that it calls, separated by commas [default: every service of the suite]
    #[arg(long, value_name = "SERVICES", value_delimiter = ',', value_parser = parse_service)]
    pub calls: Vec<String>,
    /// The suite's --data-dir; the keys are made in its folder keys
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
}

/// Service to make.
#[derive(Clone, Debug, Args)]
pub struct NewArgs {
    /// The service: lower-case letters and digits, a letter first
    #[arg(value_name = "NAME", value_parser = parse_new_package)]
    pub name: String,
    /// The services that it calls, separated by commas: user, inventory
    #[arg(long, value_name = "SERVICES", value_delimiter = ',', required = true, value_parser = parse_callee)]
    pub calls: Vec<String>,
    /// Source of the crates that it is built on.
    #[command(flatten)]
    pub dependencies: Dependencies,
    /// The folder to make [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// The suite's --data-dir; the service's key is made in its folder keys
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
}

/// Source of the crates that a new service is built on.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Dependencies {
    /// A checkout of Gantry
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// A Git repository of Gantry
    #[arg(long, value_name = "URL")]
    pub git: Option<String>,
}

impl Dependencies {
    /// Returns the same from the root of the file system.
    ///
    /// # Errors
    /// [`std::io::Error`] if the checkout is not there.
    pub fn absolute(&self) -> std::io::Result<Self> {
        let path = self.path.as_ref().map(|path| path.canonicalize()).transpose()?;
        Ok(Self { path, git: self.git.clone() })
    }
}

/// Which suite to walk.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// The suite's --port-offset
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port_offset: u16,
    /// The suite's --data-dir, for the admin's password
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
    /// The suite's --admin-password-file [default: DATA_DIR/admin-password]
    #[arg(long, value_name = "PATH")]
    pub admin_password_file: Option<PathBuf>,
    /// The authorities (PEM) that vouch for a suite that speaks TLS
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The certificate (PEM) to show a suite that asks for one (mTLS)
    #[arg(long, value_name = "FILE", requires_all = ["ca_file", "key_file"])]
    pub cert_file: Option<PathBuf>,
    /// The private key (PEM) of --cert-file
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
}

const DEFAULT_DATA_DIR: &str = "./.gantry";

/// How the services find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RegistryKind {
    /// Inside this process
    Memory,
    /// Through a Consul agent
    Consul,
}

impl RegistryKind {
    /// As settings have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Consul => "consul",
        }
    }
}

impl UpArgs {
    /// The admin's password file: the one named, or the one in the data directory.
    pub fn admin_password_file(&self) -> PathBuf {
        password_file(self.admin_password_file.as_ref(), &self.data_dir)
    }

    /// Replicas by service; the last mention of a service counts.
    pub fn replicas(&self) -> BTreeMap<&str, u16> {
        self.replicas.iter().map(|(service, count)| (service.as_str(), *count)).collect()
    }
}

impl DemoArgs {
    /// The admin's password file: the one named, or the one in the data directory.
    pub fn admin_password_file(&self) -> PathBuf {
        password_file(self.admin_password_file.as_ref(), &self.data_dir)
    }

    /// How the suite is spoken to.
    pub fn tls(&self) -> Option<ClientTls> {
        let mut tls = ClientTls::trusting(self.ca_file.as_ref()?);
        (tls.cert_file, tls.key_file) = (self.cert_file.clone(), self.key_file.clone());
        Some(tls)
    }
}

fn password_file(named: Option<&PathBuf>, data_dir: &std::path::Path) -> PathBuf {
    named.cloned().unwrap_or_else(|| data_dir.join("admin-password"))
}

/// The name of a service of the suite.
fn parse_service(service: &str) -> Result<String, String> {
    if NAMES.contains(&service) {
        return Ok(service.to_owned());
    }
    Err(format!("no service {service:?}; there are {}", NAMES.join(", ")))
}

/// A name that a file and a token can have, and that stands for nobody else.
fn parse_new_service(service: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = service.starts_with(|c: char| c.is_ascii_lowercase())
        && service.len() <= 63
        && service.chars().all(allowed);
    if !is_name {
        return Err("expected 1 to 63 lower-case letters, digits and dashes, a letter first".into());
    }
    if ["gantry", "users-tokens"].contains(&service) {
        return Err(format!("{service:?} stands for the key that signs users' tokens"));
    }
    Ok(service.to_owned())
}

/// A name that can also be a module, a package of Protocol Buffers and part of a variable.
fn parse_new_package(name: &str) -> Result<String, String> {
    /// Keywords of Rust that are names otherwise.
    const KEYWORDS: &[&str] = &[
        "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum",
        "extern", "false", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod",
        "move", "mut", "pub", "ref", "return", "self", "static", "struct", "super", "trait",
        "true", "try", "type", "union", "unsafe", "use", "where", "while", "yield",
    ];
    let name = parse_new_service(name)?;
    if name.contains('-') || KEYWORDS.contains(&name.as_str()) || NAMES.contains(&name.as_str()) {
        return Err(
            "expected letters and digits, no keyword of Rust and no service of the suite".into()
        );
    }
    Ok(name)
}

/// The name of a service that a new one can call.
fn parse_callee(service: &str) -> Result<String, String> {
    let known: Vec<_> = CALLEES.iter().map(|(name, _)| *name).collect();
    if known.contains(&service) {
        return Ok(service.to_owned());
    }
    Err(format!("no example of calls of {service:?}; there are some of {}", known.join(", ")))
}

fn parse_replicas(text: &str) -> Result<(String, u16), String> {
    let (service, count) = text.split_once('=').ok_or("expected SERVICE=N, as user=3")?;
    let service = parse_service(service)?;
    match count.parse() {
        Ok(count @ 1..=MAX_REPLICAS) => Ok((service, count)),
        _ => Err(format!("expected 1 to {MAX_REPLICAS} replicas, not {count:?}")),
    }
}

/// The tenth replica would stand at +1000, among another suite's ports.
const MAX_REPLICAS: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gantry_alone_is_up_with_its_flags() {
        let cli = Cli::try_parse_from(["gantry", "--port-offset", "7"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.up.port_offset, 7);
        assert_eq!(cli.up.admin_password_file(), PathBuf::from("./.gantry/admin-password"));
    }

    #[test]
    fn the_contract_is_printed_in_parts() {
        let cli = Cli::try_parse_from(["gantry", "contract", "service-config"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Contract(ContractPart::ServiceConfig))));
        assert!(Cli::try_parse_from(["gantry", "contract"]).is_err());
    }

    #[test]
    fn replicas_are_named_and_counted() {
        let cli = Cli::try_parse_from(["gantry", "up", "--replicas", "user=3,order=2"]).unwrap();
        let Some(Command::Up(up)) = cli.command else { panic!("up was asked for") };
        assert_eq!(up.replicas(), [("order", 2), ("user", 3)].into());
    }

    #[test]
    fn a_service_that_stands_for_another_gets_no_keys() {
        let parse = |name| Cli::try_parse_from(["gantry", "keys", name]);
        assert!(parse("loyalty-2").is_ok() && parse("order").is_ok());
        for name in ["", "Loyalty", "../user", "a/b", "a.b", "-a", "2a", "gantry", "users-tokens"] {
            assert!(parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_new_service_has_a_name_of_its_own_callees_and_one_source() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["gantry", "new"], args].concat());
        assert!(parse(&["loyalty2", "--calls", "user,inventory", "--path", "."]).is_ok());
        for args in [
            &["loyalty", "--calls", "user"][..],
            &["loyalty", "--calls", "user", "--path", ".", "--git", "https://example.org"],
            &["loyalty", "--calls", "cart", "--path", "."],
            &["loyalty", "--path", "."],
            &["user", "--calls", "user", "--path", "."],
            &["type", "--calls", "user", "--path", "."],
            &["a-b", "--calls", "user", "--path", "."],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn replicas_that_make_no_sense_are_refused() {
        for text in ["user", "user=0", "user=10", "user=x", "cart=1"] {
            assert!(parse_replicas(text).is_err(), "{text}");
        }
    }
}
