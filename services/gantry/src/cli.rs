//! The command line.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use gantry_client::ClientTls;
use gantry_config::ConfigCommand;
use gantry_process::{HealthcheckArgs, MigrateCommand};

use crate::{new::CALLEES, sagas::SagasArgs, suite::NAMES};

/// Command line of `gantry`.
#[derive(Debug, Parser)]
#[command(
    name = "gantry",
    version = gantry_telemetry::BUILD.summary,
    args_conflicts_with_subcommands = true,
    about = "Runs the Gantry suite in one process, and tools for it. Without a command: up"
)]
pub struct Cli {
    /// Subcommand; none means `up`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `up`, if there is no subcommand.
    #[command(flatten)]
    pub up: UpArgs,
}

/// Subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve all services in this process until SIGTERM or Ctrl-C
    Up(UpArgs),
    /// Ask every service of a running `up` for its health; the exit code is 0 if all serve, otherwise 1
    Healthcheck(HealthcheckArgs<UpArgs>),
    /// Show or check the settings of `up`, without starting it
    #[command(subcommand)]
    Config(ConfigCommand<UpArgs>),
    /// List, apply or revert the migrations of a service's database, as `up` has it
    Migrate(MigrateArgs),
    /// Make the key pair of a service and print the settings that allow its calls
    Keys(KeysArgs),
    /// Make a new service that calls services of the suite, as a workspace of its own
    New(NewArgs),
    /// Call a running suite: log in, create products, place orders, and check each response
    Demo(WalkArgs),
    /// List, show, resume or abort the sagas of a running suite, as its admin
    Sagas(SagasArgs),
    /// Measure the client, the server and the storage beside their baselines, by the program `gantry-bench`
    #[command(disable_help_flag = true)]
    Bench {
        /// Arguments of `gantry-bench`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Print the contract for clients in other languages, or as a reference
    #[command(subcommand)]
    Contract(ContractPart),
}

/// Export format of the contract.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ContractPart {
    /// A gRPC service config (JSON), for clients in other languages
    ServiceConfig,
    /// The API reference (Markdown)
    Reference,
}

/// Flags of `gantry up`.
#[derive(Clone, Debug, Args)]
pub struct UpArgs {
    /// Number to add to every port
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port_offset: u16,
    /// Folder of the databases and keys; created if missing
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
    /// Number of replicas of a service, such as user=3; the ports of further replicas are +100, +200 ...
    #[arg(long, value_name = "SERVICE=N", value_delimiter = ',', value_parser = parse_replicas)]
    pub replicas: Vec<(String, u16)>,
    /// Registry through which the services find each other [default: memory]
    #[arg(long, value_enum)]
    pub registry: Option<RegistryKind>,
    /// URL of the Consul agent for --registry consul [default: http://127.0.0.1:8500]
    #[arg(long, value_name = "URL")]
    pub consul: Option<String>,
    /// File with the password of the bootstrap admin; if missing, a password is generated and written to
    /// it with mode 0600 [default: DATA_DIR/admin-password]
    #[arg(long, value_name = "PATH")]
    pub admin_password_file: Option<PathBuf>,
    /// File to write once all services are serving: JSON with their addresses
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// Settings over the defaults.
    #[command(flatten)]
    pub settings: gantry_config::Args,
}

/// Arguments of `gantry migrate`.
#[derive(Clone, Debug, Args)]
pub struct MigrateArgs {
    /// Service whose database is meant
    #[arg(value_name = "SERVICE", value_parser = parse_service)]
    pub service: String,
    /// Subcommand.
    #[command(subcommand)]
    pub command: MigrateCommand<UpArgs>,
}

/// Arguments of `gantry keys`.
#[derive(Clone, Debug, Args)]
pub struct KeysArgs {
    /// Name of the calling service, as in its tokens
    #[arg(value_name = "SERVICE", value_parser = parse_new_service)]
    pub service: String,
    /// Services that it calls, separated by commas [default: all services of the suite]
    #[arg(long, value_name = "SERVICES", value_delimiter = ',', value_parser = parse_service)]
    pub calls: Vec<String>,
    /// The suite's --data-dir; the keys go into its folder keys
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
}

/// Arguments of `gantry new`.
#[derive(Clone, Debug, Args)]
pub struct NewArgs {
    /// Name of the service: lower-case letters and digits, a letter first
    #[arg(value_name = "NAME", value_parser = parse_new_package)]
    pub name: String,
    /// Services that it calls, separated by commas: user, order, inventory
    #[arg(long, value_name = "SERVICES", value_delimiter = ',', required = true, value_parser = parse_callee)]
    pub calls: Vec<String>,
    /// Source of Gantry's crates.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Folder to create [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// The suite's --data-dir; the service's key goes into its folder keys
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
}

/// Source of Gantry's crates for a new service.
#[derive(Clone, Debug, Default, Args)]
pub struct SourceArgs {
    /// Checkout of Gantry to build on [default: the checkout around the working folder, else around
    /// this program]
    #[arg(long, value_name = "DIR", conflicts_with = "git")]
    pub path: Option<PathBuf>,
    /// Git repository of Gantry to build on
    #[arg(long, value_name = "URL")]
    pub git: Option<String>,
    /// Commit of the repository
    #[arg(long, value_name = "COMMIT", requires = "git", conflicts_with_all = ["tag", "branch"])]
    pub rev: Option<String>,
    /// Tag of the repository
    #[arg(long, requires = "git", conflicts_with = "branch")]
    pub tag: Option<String>,
    /// Branch of the repository
    #[arg(long, requires = "git")]
    pub branch: Option<String>,
}

/// Arguments of `gantry demo`.
#[derive(Clone, Debug, Args)]
pub struct WalkArgs {
    /// Address and credentials of the suite.
    #[command(flatten)]
    pub suite: DemoArgs,
    /// After the walk, place orders for this many seconds, then check that none is lost
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: Option<u64>,
    /// Number of callers that place them concurrently
    #[arg(long, value_name = "N", requires = "seconds", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub callers: u32,
    /// Count failed calls without failing: only a lost order fails
    #[arg(long, requires = "seconds")]
    pub allow_failures: bool,
}

/// Arguments of `gantry demo`, and of `gantry sagas`: address and credentials of the suite.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// The suite's --port-offset
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port_offset: u16,
    /// The suite's --data-dir, which has the admin's password
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
    /// The suite's --admin-password-file [default: DATA_DIR/admin-password]
    #[arg(long, value_name = "PATH")]
    pub admin_password_file: Option<PathBuf>,
    /// Certificate authorities (PEM) of a suite that serves TLS
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Client certificate (PEM) for a suite that requires one (mTLS)
    #[arg(long, value_name = "FILE", requires_all = ["ca_file", "key_file"])]
    pub cert_file: Option<PathBuf>,
    /// Private key (PEM) of --cert-file
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
}

const DEFAULT_DATA_DIR: &str = "./.gantry";

/// Registry of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RegistryKind {
    /// A registry inside this process
    Memory,
    /// A Consul agent
    Consul,
}

impl RegistryKind {
    /// Returns the value of the setting `discovery.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Consul => "consul",
        }
    }
}

impl UpArgs {
    /// Returns the admin's password file, by default the one in the data directory.
    pub fn admin_password_file(&self) -> PathBuf {
        password_file(self.admin_password_file.as_ref(), &self.data_dir)
    }

    /// Returns the number of replicas by service. The last value of a service counts.
    pub fn replicas(&self) -> BTreeMap<&str, u16> {
        self.replicas.iter().map(|(service, count)| (service.as_str(), *count)).collect()
    }
}

impl DemoArgs {
    /// Returns the admin's password file, by default the one in the data directory.
    pub fn admin_password_file(&self) -> PathBuf {
        password_file(self.admin_password_file.as_ref(), &self.data_dir)
    }

    /// Returns the TLS settings of the calls, if there are any.
    pub fn tls(&self) -> Option<ClientTls> {
        let mut tls = ClientTls::trusting(self.ca_file.as_ref()?);
        (tls.cert_file, tls.key_file) = (self.cert_file.clone(), self.key_file.clone());
        Some(tls)
    }
}

fn password_file(named: Option<&PathBuf>, data_dir: &std::path::Path) -> PathBuf {
    named.cloned().unwrap_or_else(|| data_dir.join("admin-password"))
}

/// Parses the name of a service of the suite.
fn parse_service(service: &str) -> Result<String, String> {
    if NAMES.contains(&service) {
        return Ok(service.to_owned());
    }
    Err(format!("unknown service {service:?}; expected one of {}", NAMES.join(", ")))
}

/// Parses a name that is valid in file names and tokens, and that the suite does not reserve.
fn parse_new_service(service: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = service.starts_with(|c: char| c.is_ascii_lowercase())
        && service.len() <= 63
        && service.chars().all(allowed);
    if !is_name {
        return Err("expected 1 to 63 lower-case letters, digits and dashes, a letter first".into());
    }
    if ["gantry", "users-tokens"].contains(&service) {
        return Err(format!("{service:?} is reserved for the key that signs users' tokens"));
    }
    Ok(service.to_owned())
}

/// Parses a name that is also valid as a Rust module, a Protocol Buffers package and a part of an
/// environment variable.
fn parse_new_package(name: &str) -> Result<String, String> {
    /// Keywords of Rust that are valid names otherwise.
    const KEYWORDS: &[&str] = &[
        "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum",
        "extern", "false", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod",
        "move", "mut", "pub", "ref", "return", "self", "static", "struct", "super", "trait",
        "true", "try", "type", "union", "unsafe", "use", "where", "while", "yield",
    ];
    let name = parse_new_service(name)?;
    if name.contains('-') || KEYWORDS.contains(&name.as_str()) || NAMES.contains(&name.as_str()) {
        return Err(
            "expected letters and digits, but no Rust keyword and no service of the suite".into()
        );
    }
    Ok(name)
}

/// Parses the name of a service that the template can call.
fn parse_callee(service: &str) -> Result<String, String> {
    let known: Vec<_> = CALLEES.iter().map(|(name, _)| *name).collect();
    if known.contains(&service) {
        return Ok(service.to_owned());
    }
    Err(format!("the template has no call to {service:?}; expected one of {}", known.join(", ")))
}

fn parse_replicas(text: &str) -> Result<(String, u16), String> {
    let (service, count) = text.split_once('=').ok_or("expected SERVICE=N, such as user=3")?;
    let service = parse_service(service)?;
    match count.parse() {
        Ok(count @ 1..=MAX_REPLICAS) => Ok((service, count)),
        _ => Err(format!("expected 1 to {MAX_REPLICAS} replicas, not {count:?}")),
    }
}

/// Maximum number of replicas of a service: their ports stay below +1000, the usual offset of another suite.
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
        let Some(Command::Up(up)) = cli.command else { panic!("not up") };
        assert_eq!(up.replicas(), [("order", 2), ("user", 3)].into());
    }

    #[test]
    fn keys_are_not_made_for_reserved_or_invalid_names() {
        let parse = |name| Cli::try_parse_from(["gantry", "keys", name]);
        assert!(parse("loyalty-2").is_ok() && parse("order").is_ok());
        for name in ["", "Loyalty", "../user", "a/b", "a.b", "-a", "2a", "gantry", "users-tokens"] {
            assert!(parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_new_service_has_a_valid_name_callees_and_one_source() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["gantry", "new"], args].concat());
        let git = ["--git", "https://example.org"];
        assert!(parse(&["loyalty2", "--calls", "user,order,inventory", "--path", "."]).is_ok());
        assert!(parse(&["loyalty", "--calls", "user"]).is_ok());
        for revision in ["--rev", "--tag", "--branch"] {
            let args = ["loyalty", "--calls", "user", revision, "x"];
            assert!(parse(&args).is_err(), "{revision} without --git");
            assert!(parse(&[&args[..], &git].concat()).is_ok(), "{revision}");
            let two = [&args[..], &git, &["--tag", "y", "--branch", "z"]].concat();
            assert!(parse(&two).is_err(), "{revision} and two others");
        }
        for args in [
            &["loyalty", "--calls", "user", "--path", ".", "--git", "https://example.org"][..],
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
    fn invalid_numbers_of_replicas_are_rejected() {
        for text in ["user", "user=0", "user=10", "user=x", "cart=1"] {
            assert!(parse_replicas(text).is_err(), "{text}");
        }
    }
}
