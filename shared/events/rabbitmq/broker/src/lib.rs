//! Real RabbitMQ brokers for tests and measurements: started, killed, restarted, alarmed.
//!
//! All functions panic on errors, as tests do. Install the broker with
//! `apt-get install rabbitmq-server`. Started as root, it runs as its own user.
//!
//! ```no_run
//! # async fn run() {
//! let broker = gantry_rabbitmq_broker::Broker::shared();
//! let vhost = broker.add_vhost().await;
//! let url = broker.url(&vhost);
//! # }
//! ```

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;

pub use api::{Api, Permissions};

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// User with all permissions in every virtual host.
pub const ADMIN: &str = "gantry";

/// Password of [`ADMIN`].
pub const ADMIN_PASSWORD: &str = "a-password-of-tests";

/// Limit of a start, a kill and a command. Generous, because the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Folder of Debian's programs. Those in /usr/sbin need root and change the home folder.
const DEBIAN: &str = "/usr/lib/rabbitmq/bin";

/// A broker with its own ports, node name, port mapper and folder. Ends when it is dropped, or when its
/// process ends.
#[derive(Debug)]
pub struct Broker {
    /// Shell that ends the broker when its input ends.
    keeper: Child,
    folder: PathBuf,
    port: u16,
    environment: Vec<(&'static str, String)>,
    vhosts: AtomicU32,
}

/// Certificate of a broker, its key, and the authority of its clients: PEM files.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a> {
    /// The certificate.
    pub cert_file: &'a Path,
    /// Its private key.
    pub key_file: &'a Path,
    /// Authority that clients need a certificate of. None: they need none.
    pub client_ca_file: Option<&'a Path>,
}

impl Broker {
    /// Returns the broker of this process, which is started at the first call. Tests share it with a
    /// virtual host each.
    pub fn shared() -> &'static Self {
        static BROKER: OnceLock<Broker> = OnceLock::new();
        BROKER.get_or_init(Self::start)
    }

    /// Starts a broker of the caller's own, which it may kill and alarm.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a broker that also listens with TLS.
    pub fn start_tls(tls: Tls<'_>) -> Self {
        let folder = new_folder();
        let copy = |from: &Path, name: &str| {
            let to = folder.join(name);
            fs::copy(from, &to).unwrap();
            to.display().to_string()
        };
        let cert = copy(tls.cert_file, "cert.pem");
        let key = copy(tls.key_file, "key.pem");
        let (ca, verify) = match tls.client_ca_file {
            Some(file) => (copy(file, "ca.pem"), "verify_peer"),
            None => (cert.clone(), "verify_none"),
        };
        let must = tls.client_ca_file.is_some();
        Self::start_in(folder, |first| {
            format!(
                "listeners.ssl.1 = 127.0.0.1:{}\nssl_options.cacertfile = {ca}\n\
                 ssl_options.certfile = {cert}\nssl_options.keyfile = {key}\n\
                 ssl_options.verify = {verify}\nssl_options.fail_if_no_peer_cert = {must}\n",
                first + 4
            )
        })
    }

    /// Starts a broker with additional lines of `rabbitmq.conf`.
    pub fn start_with(configuration: &str) -> Self {
        Self::start_in(new_folder(), |_| configuration.to_owned())
    }

    fn start_in(folder: PathBuf, configuration: impl FnOnce(u16) -> String) -> Self {
        let bin = programs();
        let port = free_ports();
        let file = |name: &str| folder.join(name).display().to_string();
        fs::write(folder.join("rabbitmq.conf"), common(port) + &configuration(port)).unwrap();
        fs::write(folder.join("enabled_plugins"), "[rabbitmq_management].\n").unwrap();
        let environment = vec![
            ("RABBITMQ_BIN", bin.display().to_string()),
            ("RABBITMQ_NODENAME", format!("gantry-{port}@localhost")),
            ("RABBITMQ_DIST_PORT", (port + 1).to_string()),
            ("ERL_EPMD_PORT", (port + 2).to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("HOME", file("")),
            ("RABBITMQ_MNESIA_BASE", file("data")),
            ("RABBITMQ_LOG_BASE", file("logs")),
            ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins")),
            ("RABBITMQ_PID_FILE", file("pid")),
            // Otherwise settings of the machine's own broker are added.
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                // The schedulers do not spin: tests share the processors.
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none \
                 +sbwtdio none"
                    .to_owned(),
            ),
        ];
        let keeper = Command::new("sh")
            .args(["-c", include_str!("start.sh"), "sh"])
            .arg(&folder)
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            // Ctrl-C is for the tests: the end of their process ends the broker.
            .process_group(0)
            .spawn()
            .unwrap();
        let broker = Self { keeper, folder, port, environment, vhosts: AtomicU32::new(0) };
        broker.wait_until_ready();
        broker
    }

    /// Creates an empty virtual host, in which [`ADMIN`] has all permissions. Returns its name.
    pub async fn add_vhost(&self) -> String {
        let name = format!("test-{}", self.vhosts.fetch_add(1, Ordering::Relaxed));
        let api = self.api();
        api.send("PUT", &format!("/vhosts/{}", api::encoded(&name)), None).await;
        api.permit(&name, ADMIN, Permissions::ALL).await;
        name
    }

    /// Returns the URL of a virtual host for [`ADMIN`], without the password.
    pub fn url(&self, vhost: &str) -> String {
        self.url_of(ADMIN, vhost)
    }

    /// Returns the URL of a virtual host for a user, without the password.
    pub fn url_of(&self, user: &str, vhost: &str) -> String {
        format!("amqp://{user}@127.0.0.1:{}/{}", self.port, api::encoded(vhost))
    }

    /// Returns the URL of a virtual host with TLS, for [`ADMIN`] and without the password.
    pub fn tls_url(&self, vhost: &str) -> String {
        format!("amqps://{ADMIN}@localhost:{}/{}", self.port + 4, api::encoded(vhost))
    }

    /// Returns the port of AMQP without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns a client of the management API. Each is for one runtime of tokio.
    pub fn api(&self) -> Api {
        Api::at(self.port + 3)
    }

    /// Returns the broker's log.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("log") + &read("logs/rabbit.log")
    }

    /// Kills the broker with SIGKILL. Its folder stays.
    pub fn kill(&self) {
        let id = self.process_id().unwrap();
        signal("-KILL", &id);
        self.wait_until("the broker runs on after SIGKILL", || !is_running(&id));
        // It would show the killed broker to `process_id`.
        fs::remove_file(self.folder.join("pid")).unwrap();
    }

    /// Starts the broker again on its data after [`kill`](Self::kill), and waits until it is ready.
    pub fn start_again(&self) {
        self.keeper.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
        self.wait_until_ready();
    }

    /// Stops the broker's process, which then answers nothing but keeps its connections.
    pub fn pause(&self) {
        signal("-STOP", &self.process_id().unwrap());
    }

    /// Continues the process after [`pause`](Self::pause).
    pub fn resume(&self) {
        signal("-CONT", &self.process_id().unwrap());
    }

    /// Raises or ends a memory alarm. While it is raised, the broker reads nothing from connections that
    /// publish.
    pub fn alarm_memory(&self, raised: bool) {
        let fraction = if raised { "0.000001" } else { "0.9" };
        self.control(&["set_vm_memory_high_watermark", fraction]);
    }

    /// Runs `rabbitmqctl`, which takes seconds. Returns its output.
    pub fn control(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(programs().join("rabbitmqctl"));
        if is_root() {
            let ctl = command.get_program().to_owned();
            command = Command::new("setpriv");
            command.args(["--reuid=rabbitmq", "--regid=rabbitmq", "--init-groups"]).arg(ctl);
        }
        let environment = self.environment.iter().filter(|(key, _)| {
            // The arguments of the server's own Erlang.
            *key != "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"
        });
        command.arg("--quiet").args(arguments).envs(environment.cloned()).stdin(Stdio::null());
        let Output { status, stdout, stderr } = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "rabbitmqctl {arguments:?}: {stderr}");
        String::from_utf8(stdout).unwrap()
    }

    fn process_id(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("pid")).ok()?;
        let id = text.trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    fn wait_until_ready(&self) {
        let listens = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_ok();
        self.wait_until("the broker does not start", || {
            self.process_id().is_some() && listens(self.port) && listens(self.port + 3)
        });
    }

    fn wait_until(&self, failure: &str, done: impl Fn() -> bool) {
        let started = Instant::now();
        while !done() {
            assert!(started.elapsed() < TIMEOUT, "{failure}: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ended = self.keeper.wait();
    }
}

/// Returns the settings of every broker.
fn common(port: u16) -> String {
    format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\n\
         management.tcp.ip = 127.0.0.1\n\
         management.tcp.port = {}\n\
         management_agent.disable_metrics_collector = true\n\
         default_user = {ADMIN}\n\
         default_pass = {ADMIN_PASSWORD}\n\
         log.console = false\n\
         log.file = rabbit.log\n\
         vm_memory_high_watermark.relative = 0.9\n\
         disk_free_limit.absolute = 1MB\n",
        port + 3
    )
}

/// Creates the folder of a broker. Its user must be able to enter it.
fn new_folder() -> PathBuf {
    let folder = tempfile::tempdir().unwrap().keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn signal(signal: &str, id: &str) {
    let status = Command::new("kill").args([signal, id]).status().unwrap();
    assert!(status.success(), "kill {signal} {id}");
}

/// Returns true if the process has not ended, although nobody may have waited for it yet.
fn is_running(id: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses.
    status.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Returns the folder of the broker's programs.
fn programs() -> &'static Path {
    let folder = Path::new(DEBIAN);
    assert!(
        folder.join("rabbitmq-server").exists(),
        "RabbitMQ is missing: apt-get install --no-install-recommends rabbitmq-server"
    );
    folder
}

/// Returns the first of five consecutive free ports: AMQP, distribution, port mapper, management, AMQP with
/// TLS. No other broker of this process has them. They are below those of Consul's agents in tests, and of
/// outgoing connections.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = u16::try_from(std::process::id() % 900).unwrap();
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..900)
        .map(|_| 5_500 + NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(seed) % 900 * 5)
        .find(|first| (*first..first + 5).all(is_free))
        .unwrap()
}
