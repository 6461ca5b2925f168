//! Processes under test. Each is stopped by its id, at the latest when dropped.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use gantry::suite::{ADMIN_PORT, NAMES};
use gantry_proto::CONTRACT;
use serde_json::Value;
use tempfile::TempDir;

/// Hang guard of waits that end within seconds.
pub const HANG_GUARD: Duration = Duration::from_secs(60);

/// Process with a log file. Killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with its output in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = fs::File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    /// Starts `command` with its own output. Creates an empty log in `folder`.
    pub fn unlogged(command: &mut Command, folder: &Path) -> Self {
        let log = folder.join("log");
        fs::write(&log, "").unwrap();
        Self { child: command.spawn().unwrap(), log }
    }

    /// Waits until `done` returns true. Panics with the log if the process ends first.
    pub fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        let started = Instant::now();
        while !done() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended with {status} before {what}:\n{}", self.log());
            }
            assert!(started.elapsed() < HANG_GUARD, "no {what} in time:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a line of the log contains `text`.
    pub fn until_logged(&mut self, text: &str) {
        self.until_logged_again(text, 1);
    }

    /// Waits until the log contains `text` in `lines` places.
    pub fn until_logged_again(&mut self, text: &str, lines: usize) {
        let log = self.log.clone();
        let logged = || fs::read_to_string(&log).unwrap().matches(text).count();
        self.until(text, || logged() >= lines);
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn send_term(&self) {
        let kill = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < HANG_GUARD, "still running:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Returns the output so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Running `gantry up` with ports and a folder of its own.
pub struct Suite {
    /// Process of the suite.
    pub process: Process,
    folder: TempDir,
    offset: u16,
    args: Vec<String>,
    settings: Vec<(String, String)>,
}

impl Suite {
    /// Starts a suite in a new folder and waits until it serves.
    pub fn start(args: &[&str]) -> Self {
        Self::start_set(args, &[])
    }

    /// Starts a suite with settings in the environment, over those of [`one_caller`].
    pub fn start_set(args: &[&str], settings: &[(String, String)]) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Self::start_in(tempfile::tempdir().unwrap(), free_offset(), args, settings.to_vec())
    }

    fn start_in(
        folder: TempDir,
        offset: u16,
        args: Vec<String>,
        settings: Vec<(String, String)>,
    ) -> Self {
        let ready = folder.path().join("ready.json");
        let _ = fs::remove_file(&ready);
        let mut command = gantry();
        command.arg("up").args(["--port-offset", &offset.to_string()]);
        command.arg("--data-dir").arg(folder.path().join("data"));
        command.arg("--ready-file").arg(&ready).args(&args);
        command.envs(NAMES.into_iter().flat_map(one_caller));
        command.envs(settings.iter().cloned());
        let mut process = Process::start(&mut command, &folder.path().join("log"));
        process.until("readiness", || ready.exists());
        Self { process, folder, offset, args, settings }
    }

    /// Stops the suite with SIGTERM.
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.send_term();
        self.process.wait()
    }

    /// Restarts an ended suite on the same data and ports.
    pub fn start_again(self) -> Self {
        let Self { mut process, folder, offset, args, settings } = self;
        process.wait();
        Self::start_in(folder, offset, args, settings)
    }

    /// Returns the data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns the content of the ready file.
    pub fn ready(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.path().join("ready.json")).unwrap()).unwrap()
    }

    /// Returns the addresses of a service's replicas.
    pub fn addresses(&self, service: &str) -> Vec<SocketAddr> {
        let ready = self.ready();
        let list = ready["services"][service].as_array().expect("a list of addresses");
        list.iter().map(|address| address.as_str().unwrap().parse().unwrap()).collect()
    }

    /// Returns the bootstrap admin's password.
    pub fn admin_password(&self) -> String {
        fs::read_to_string(self.data().join("admin-password")).unwrap()
    }

    /// Returns the port offset.
    pub fn offset(&self) -> u16 {
        self.offset
    }
}

/// Returns the command of the binary under test, without `GANTRY_` variables of this environment.
pub fn gantry() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gantry"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GANTRY_")) {
        command.env_remove(name);
    }
    command
}

/// Returns settings of a service with rate limits high enough for tests, which call from one address and as
/// one user.
pub fn one_caller(service: &str) -> impl Iterator<Item = (String, String)> {
    let classes = CONTRACT.rate_classes.iter().map(|class| format!("CLASSES__{}", class.name));
    let limits = ["PER_ADDRESS".to_owned(), "PER_USER".to_owned()].into_iter().chain(classes);
    limits.flat_map(|limit| limit_of(service, &limit, 1e6, 1_000_000))
}

/// Returns the settings of one limit of a service.
pub fn limit_of(service: &str, limit: &str, per_second: f64, burst: u32) -> [(String, String); 2] {
    let limit = format!("GANTRY_{service}__SERVER__LIMITS__{limit}").to_uppercase();
    [
        (format!("{limit}__PER_SECOND"), per_second.to_string()),
        (format!("{limit}__BURST"), burst.to_string()),
    ]
}

/// Returns an offset at which the ports of up to three replicas are free.
pub fn free_offset() -> u16 {
    // Above the system's ports of outgoing connections, on Linux 32768 to 60999: one of those could be
    // taken before the suite binds it, or while the suite is down. First replicas use the first hundred
    // ports of three, further replicas the other two.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const SERVICES: u16 = NAMES.len() as u16;
    const SUITES: u16 = 99 / SERVICES;
    let seed = u16::try_from(std::process::id() % 400).unwrap();
    for _ in 0..400 {
        let step = (NEXT.fetch_add(1, Ordering::Relaxed) + seed) % (13 * SUITES);
        let offset = 10_950 + step / SUITES * 300 + step % SUITES * SERVICES;
        let ports = gantry::suite::SERVICES.iter().map(|service| service.port).chain([ADMIN_PORT]);
        let ports = ports
            .flat_map(|port| [0, 100, 200].into_iter().map(move |replica| port + replica + offset));
        let bound: Result<Vec<_>, _> =
            ports.map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if bound.is_ok() {
            return offset;
        }
    }
    panic!("no free ports");
}

/// Returns a free address, below the system's ports of outgoing connections: one of those could be taken
/// while its process is down.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = u16::try_from(std::process::id() % 1_000).unwrap();
    let mut ports = (0..10_000).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(seed * 10);
        // Above the admin ports of suites (see `free_offset`), which are above the ports of Consul agents.
        25_000 + step % 7_500
    });
    let port = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    ([127, 0, 0, 1], port.expect("a free port")).into()
}
