//! `gantry up` as a process of its own.

use std::{
    fs::{self, File},
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::error::BenchError;
use gantry::{
    demo::clients::ConnectError,
    suite::{Row, SERVICES, admin_address},
};

/// Start timeout: longer than a start takes on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Running suite on ports of its own. Killed when dropped.
#[derive(Debug)]
pub(super) struct Up {
    process: Child,
    folder: PathBuf,
    /// Its port offset.
    pub(super) offset: u16,
}

impl Up {
    /// Starts the suite in a folder, on free ports, and waits until it serves. `settings` (TOML) are over
    /// the defaults.
    pub(super) async fn start(folder: &Path, settings: &str) -> Result<Self, BenchError> {
        let offset = free_offset()?;
        let process = spawn(folder, offset, settings).map_err(BenchError::Replica)?;
        let mut suite = Self { process, folder: folder.to_owned(), offset };
        suite.ready().await?;
        Ok(suite)
    }

    async fn ready(&mut self) -> Result<(), BenchError> {
        let until = Instant::now() + START_TIMEOUT;
        while !self.folder.join("ready").exists() {
            if self.process.try_wait().map_err(BenchError::Replica)?.is_some() {
                let log = fs::read_to_string(self.log());
                return Err(BenchError::Nonsense(log.unwrap_or_default()));
            }
            if Instant::now() > until {
                return Err(BenchError::Late("the suite did not start", START_TIMEOUT));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Returns the file of its log.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Returns its data directory.
    pub(super) fn data(&self) -> PathBuf {
        data(&self.folder)
    }

    /// Returns the address of a service.
    pub(super) fn address(&self, service: Row) -> Result<SocketAddr, BenchError> {
        Ok(service.address(0, self.offset).map_err(ConnectError::from)?)
    }

    /// Returns its current memory, in bytes.
    pub(super) fn memory(&self) -> Result<u64, BenchError> {
        let path = format!("/proc/{}/status", self.process.id().unwrap_or_default());
        let status = fs::read_to_string(path).map_err(BenchError::Replica)?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kibibytes.map(|kib: u64| kib * 1024).ok_or(BenchError::Nonsense(status))
    }

    /// Returns the transactions that all services have committed so far.
    pub(super) async fn commits(&self) -> Result<f64, BenchError> {
        const COUNT: &str = "gantry_database_statement_duration_seconds_count{";
        let commits = |line: &str| {
            let is_one = line.starts_with(COUNT) && line.contains("gantry_operation=\"commit\"");
            is_one.then(|| line.rsplit(' ').next()?.trim().parse::<f64>().ok()).flatten()
        };
        Ok(self.metrics().await?.lines().filter_map(commits).sum())
    }

    async fn metrics(&self) -> Result<String, BenchError> {
        let address = admin_address(self.offset).map_err(ConnectError::from)?;
        let mut text = String::new();
        let get = async {
            let mut stream = TcpStream::connect(address).await?;
            let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_string(&mut text).await
        };
        get.await.map_err(BenchError::Replica)?;
        Ok(text)
    }

    /// Stops it with SIGTERM and waits for its end.
    pub(super) async fn stop(mut self) -> Result<(), BenchError> {
        if let Some(pid) = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(pid, Signal::TERM).map_err(|error| BenchError::Replica(error.into()))?;
        }
        self.process.wait().await.map(drop).map_err(BenchError::Replica)
    }
}

/// Returns the data directory of a suite in this folder.
pub(super) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn spawn(folder: &Path, offset: u16, settings: &str) -> io::Result<Child> {
    let path = |name: &str| folder.join(name);
    match fs::remove_file(path("ready")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::write(path("settings.toml"), settings)?;
    // For a look after a failure.
    let log = File::create(path("log"))?;
    // Both programs are in one folder.
    Command::new(std::env::current_exe()?.with_file_name("gantry"))
        .args(["up", "--port-offset", &offset.to_string()])
        .arg("--data-dir")
        .arg(data(folder))
        .arg("--config")
        .arg(path("settings.toml"))
        .arg("--ready-file")
        .arg(path("ready"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
}

/// Returns a port offset at which all ports of the suite are free.
fn free_offset() -> Result<u16, BenchError> {
    let is_free = |offset: &u16| {
        let services = SERVICES.iter().map(|service| service.address(0, *offset));
        let mut addresses = services.chain([admin_address(*offset)]);
        addresses.all(|address| address.is_ok_and(|address| TcpListener::bind(address).is_ok()))
    };
    let mut offsets = (0..100).map(|_| fastrand::u16(1_000..10_000));
    offsets.find(is_free).ok_or(BenchError::Replica(io::ErrorKind::AddrInUse.into()))
}
