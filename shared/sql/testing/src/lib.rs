//! Real PostgreSQL servers for tests. For tests alone: nothing that ships names it.
//!
//! All functions panic on errors, as tests do. Install the server with `apt-get install postgresql`.
//!
//! ```no_run
//! # async fn run() {
//! let settings = gantry_sql_testing::Server::shared().database().await;
//! # }
//! ```

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod standby;
pub mod statements;
mod template;

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use gantry_sql::Settings;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use self::template::Template;

/// Limit of a start, a statement and a wait. Generous, because the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Port of a server that listens on its socket only, which the port names.
const DEFAULT_PORT: u16 = 5432;

/// Starts a server in a folder, and starts it again for each line of standard input. Stops it once nobody
/// holds that input any more, however the holder ended. PostgreSQL refuses to run as root.
///
/// The role `locked`, if it exists, needs its password; on the socket every other role needs none.
/// After the folder come the folder of the [`Template`], the primary of a standby, otherwise an empty
/// text, and lines of `postgresql.conf`.
const SCRIPT: &str = r#"
set -eu
bin=$1 folder=$2 template=$3 primary=$4
shift 4
as=
if [ "$(id -u)" = 0 ]; then
    as='setpriv --reuid=postgres --regid=postgres --init-groups'
    chown -R postgres "$folder"
fi
cd "$folder"
serve() {
    $as "$bin/postgres" -D data -k "$folder" -c fsync=off \
        -c max_connections=500 -c shared_buffers=64MB -c deadlock_timeout=100ms >>log 2>&1 &
    server=$!
}
make() {
    if [ -n "$primary" ]; then
        $as "$bin/pg_basebackup" -d "$primary" -D data -R -c fast --no-sync
    else
        $as cp -a "$template/data" data
    fi
}
if make >log 2>&1; then
    printf '%s\n' "$@" >>data/postgresql.conf
    serve
    while read -r _again; do
        wait "$server" || true
        serve
    done
    kill -INT "$server" 2>/dev/null && wait "$server" || true
fi
cat >/dev/null
rm -rf "$folder"
"#;

/// A PostgreSQL server on a Unix socket in a folder of its own.
///
/// Its order of texts is not that of their bytes, so a column that lacks `COLLATE "C"` is noticed. It
/// does not wait for the disk. It is stopped when it is dropped, or when its process ends.
#[derive(Debug)]
pub struct Server {
    /// Shell that stops the server when its input ends.
    keeper: Child,
    folder: PathBuf,
    port: u16,
    databases: AtomicU32,
}

impl Server {
    /// Returns the server of this process, which is started at the first call.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// Starts a server of the caller's own.
    pub fn start() -> Self {
        let options = ["listen_addresses = ''".to_owned()];
        Self::start_in(tempfile::tempdir().unwrap(), DEFAULT_PORT, None, &options)
    }

    /// Starts a server that also listens on localhost, with TLS and this certificate and key (PEM).
    /// There a user needs a password.
    pub fn start_tls(cert_file: &Path, key_file: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(cert_file, folder.path().join("cert.pem")).unwrap();
        let key = folder.path().join("key.pem");
        fs::copy(key_file, &key).unwrap();
        // PostgreSQL refuses a key that others can read.
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let port = TcpListener::bind(("localhost", 0)).unwrap().local_addr().unwrap().port();
        let options = [
            "listen_addresses = localhost".to_owned(),
            format!("port={port}"),
            "ssl=on".to_owned(),
            "ssl_cert_file = '../cert.pem'".to_owned(),
            "ssl_key_file = '../key.pem'".to_owned(),
        ];
        Self::start_in(folder, port, None, &options)
    }

    /// `primary` is that of a standby.
    fn start_in(folder: TempDir, port: u16, primary: Option<&Self>, options: &[String]) -> Self {
        let bin = binaries();
        let folder = folder.keep();
        let keeper = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .args([&*bin, &*folder, Template::of_this_process().folder()])
            .arg(primary.map(Self::conninfo).unwrap_or_default())
            .args(options)
            .stdin(Stdio::piped())
            // Ctrl-C is for the tests: the end of their process stops the server.
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self { keeper, folder, port, databases: AtomicU32::new(0) };
        server.wait_until_ready();
        server
    }

    /// Creates an empty database and returns the settings that lead to it.
    pub async fn database(&self) -> Settings {
        let name = self.next_name();
        self.create(&name).await;
        let mut settings = Settings::postgres_url(self.url(&name));
        // No test may depend on the speed of the machine.
        settings.postgres.acquire_timeout = TIMEOUT;
        settings.postgres.statement_timeout = TIMEOUT;
        settings.postgres.lock_timeout = TIMEOUT;
        settings
    }

    /// Creates an empty database for each service. Returns their URL, with SERVICE in place of its name.
    pub async fn databases(&self, services: &[&str]) -> String {
        let name = self.next_name();
        for service in services {
            self.create(&format!("{name}_{service}")).await;
        }
        self.url(&format!("{name}_SERVICE"))
    }

    fn next_name(&self) -> String {
        format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed))
    }

    async fn create(&self, database: &str) {
        let mut conn = self.connect("postgres").await;
        let create = AssertSqlSafe(format!("CREATE DATABASE {database}"));
        sqlx::query(create).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    }

    /// Connects to a database of the server.
    pub async fn connect(&self, database: &str) -> PgConnection {
        self.url(database).parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
    }

    /// Kills all processes of the server with SIGKILL. Its folder stays.
    pub fn kill(&self) {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let server = file.lines().next().unwrap().to_owned();
        // Stopped first, or it could start another process meanwhile.
        signal("-STOP", &[&server]);
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
        let children = children.unwrap();
        let all: Vec<_> = children.split_whitespace().chain([&*server]).collect();
        signal("-KILL", &all);
        let started = Instant::now();
        while all.iter().any(|id| is_running(id)) {
            assert!(started.elapsed() < TIMEOUT, "PostgreSQL runs on after SIGKILL");
            thread::sleep(Duration::from_millis(5));
        }
        // It would show the killed server's state to `wait_until_ready`.
        fs::remove_file(self.folder.join("data/postmaster.pid")).unwrap();
    }

    /// Starts the server again after [`kill`](Self::kill) and waits until it is ready.
    pub fn start_again(&self) {
        self.keeper.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
        self.wait_until_ready();
    }

    /// Starts the server again if it has ended by itself.
    pub fn start_if_ended(&self) {
        if !self.folder.join("data/postmaster.pid").exists() {
            self.start_again();
        }
    }

    fn url(&self, database: &str) -> String {
        let host = self.folder.to_str().unwrap().replace('/', "%2F");
        format!("postgres://gantry@{host}:{}/{database}", self.port)
    }

    /// Returns the port on localhost of a server that [`start_tls`](Self::start_tls) started.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the server's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the state that the server writes to a file: a child process, as of `pg_isready`, would
    /// hold the file locks of other tests for a moment.
    fn wait_until_ready(&self) {
        const STATE: usize = 7;
        let started = Instant::now();
        let is_ready = || {
            let file = fs::read_to_string(self.folder.join("data/postmaster.pid"));
            file.is_ok_and(|file| file.lines().nth(STATE).is_some_and(|now| now.trim() == "ready"))
        };
        while !is_ready() {
            if started.elapsed() > TIMEOUT {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                panic!("PostgreSQL does not start: {log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _stopped = self.keeper.wait();
    }
}

/// Sends a signal to processes. One that has ended meanwhile is left out.
fn signal(signal: &str, ids: &[&str]) {
    Command::new("kill").arg(signal).args(ids).stderr(Stdio::null()).status().unwrap();
}

/// Returns true if the process has not ended, although nobody may have waited for it yet.
fn is_running(id: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses.
    status.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Returns the folder of the server's programs: that of `pg_config`, or Debian's newest.
fn binaries() -> PathBuf {
    let debian = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
        let newest = versions.max_by_key(|entry| {
            entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        });
        Some(newest?.path().join("bin"))
    };
    let configured = || {
        let mut child =
            Command::new("pg_config").arg("--bindir").stdout(Stdio::piped()).spawn().ok()?;
        let mut text = String::new();
        child.stdout.take()?.read_to_string(&mut text).ok()?;
        child.wait().ok()?;
        Some(PathBuf::from(text.trim()))
    };
    let has_server = |bin: &PathBuf| bin.join("initdb").exists();
    let found = configured().filter(has_server).or_else(|| debian().filter(has_server));
    found.unwrap_or_else(|| panic!("PostgreSQL is missing: apt-get install postgresql"))
}
