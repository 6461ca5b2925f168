//! Processes under test: started, waited for, stopped by their id, and never left behind.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use gantry_proto::CONTRACT;
use serde_json::Value;
use tempfile::TempDir;

/// How long a process may take for what it does in a second or two.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process with a log file; killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = fs::File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    /// Starts `command`, whose output goes where it says. There is an empty log in `folder`.
    pub fn unlogged(command: &mut Command, folder: &Path) -> Self {
        let log = folder.join("log");
        fs::write(&log, "").unwrap();
        Self { child: command.spawn().unwrap(), log }
    }

    /// Waits until `done`, and fails with the log where the process ends before.
    pub fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        let started = Instant::now();
        while !done() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended with {status} before {what}:\n{}", self.log());
            }
            assert!(started.elapsed() < PATIENCE, "no {what} in time:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a line of the log contains `text`.
    pub fn until_logged(&mut self, text: &str) {
        self.until_logged_again(text, 1);
    }

    /// Waits until that many lines do.
    pub fn until_logged_again(&mut self, text: &str, lines: usize) {
        let log = self.log.clone();
        let logged = || fs::read_to_string(&log).unwrap().matches(text).count();
        self.until(text, || logged() >= lines);
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the process to end.
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
            assert!(started.elapsed() < PATIENCE, "still running:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the process without a word.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it printed so far.
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

/// A running `gantry up`, on ports and in a folder of its own.
pub struct Suite {
    /// The process.
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

    /// The same, with settings in the environment over those of [`one_caller`].
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
        for service in ["user", "order", "inventory"] {
            command.envs(one_caller(service));
        }
        command.envs(settings.iter().cloned());
        let mut process = Process::start(&mut command, &folder.path().join("log"));
        process.until("readiness", || ready.exists());
        Self { process, folder, offset, args, settings }
    }

    /// Stops the suite as an operator would.
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.send_term();
        self.process.wait()
    }

    /// Starts a suite that has ended again, on the same data and ports.
    pub fn start_again(self) -> Self {
        let Self { mut process, folder, offset, args, settings } = self;
        process.wait();
        Self::start_in(folder, offset, args, settings)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The ready file.
    pub fn ready(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.path().join("ready.json")).unwrap()).unwrap()
    }

    /// The addresses of a service's replicas.
    pub fn addresses(&self, service: &str) -> Vec<SocketAddr> {
        let ready = self.ready();
        let list = ready["services"][service].as_array().expect("a list of addresses");
        list.iter().map(|address| address.as_str().unwrap().parse().unwrap()).collect()
    }

    /// The bootstrap admin's password.
    pub fn admin_password(&self) -> String {
        fs::read_to_string(self.data().join("admin-password")).unwrap()
    }

    /// What is added to every port.
    pub fn offset(&self) -> u16 {
        self.offset
    }
}

/// The binary under test, without what this environment says.
pub fn gantry() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gantry"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GANTRY_")) {
        command.env_remove(name);
    }
    command
}

/// Settings of a service that do not mind that all of a test's calls come from one address
/// and one user.
pub fn one_caller(service: &str) -> impl Iterator<Item = (String, String)> {
    let classes = CONTRACT.rate_classes.iter().map(|class| format!("CLASSES__{}", class.name));
    let limits = ["PER_ADDRESS".to_owned(), "PER_USER".to_owned()].into_iter().chain(classes);
    limits.flat_map(|limit| limit_of(service, &limit, 1e6, 1_000_000))
}

/// The settings of one limit of a service.
pub fn limit_of(service: &str, limit: &str, per_second: f64, burst: u32) -> [(String, String); 2] {
    let limit = format!("GANTRY_{service}__SERVER__LIMITS__{limit}").to_uppercase();
    [
        (format!("{limit}__PER_SECOND"), per_second.to_string()),
        (format!("{limit}__BURST"), burst.to_string()),
    ]
}

/// An offset at which the ports of up to three replicas are free.
pub fn free_offset() -> u16 {
    // Above the ports that the system gives to outgoing connections, on Linux 32768 to 60999:
    // one of those could be taken before the suite is there, or while it is down. Three
    // services in a row, 33 times in a hundred; the next two hundreds are for their replicas.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = u16::try_from(std::process::id() % 400).unwrap();
    for _ in 0..400 {
        let step = (NEXT.fetch_add(1, Ordering::Relaxed) + seed) % 429;
        let offset = 10_950 + step / 33 * 300 + step % 33 * 3;
        let ports = [50051, 50052, 50053, 9100]
            .into_iter()
            .flat_map(|port| [0, 100, 200].into_iter().map(move |replica| port + replica + offset));
        let bound: Result<Vec<_>, _> =
            ports.map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if bound.is_ok() {
            return offset;
        }
    }
    panic!("no free ports");
}

/// An address that nobody uses, below those that the system gives to outgoing connections: one
/// of those could be taken while its process is down.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = u16::try_from(std::process::id() % 1_000).unwrap();
    let mut ports = (0..10_000).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(seed * 10);
        // Above the pages of suites (see `free_offset`), and those above the agents of Consul.
        25_000 + step % 7_500
    });
    let port = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    ([127, 0, 0, 1], port.expect("a free port")).into()
}
