//! PostgreSQL server of the benchmark.

use std::{
    fs, io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::error::BenchError;

const TOOL: &str = "PostgreSQL";

/// Timeout of a start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts a server in a folder, and stops it at the end of standard input, however the holder ended.
/// PostgreSQL refuses to run as root. It waits for the disk at each commit, as in production.
const SCRIPT: &str = r#"
set -eu
bin=$1 folder=$2
as=
if [ "$(id -u)" = 0 ]; then
    as='setpriv --reuid=postgres --regid=postgres --init-groups'
    chown postgres "$folder"
fi
cd "$folder"
if $as "$bin/initdb" -D data -U gantry --auth=trust -E UTF8 --locale=C.UTF-8 --no-sync >log 2>&1
then
    $as "$bin/postgres" -D data -k "$folder" -c listen_addresses= -c max_connections=200 \
        -c shared_buffers=256MB -c max_wal_size=4GB >>log 2>&1 &
    server=$!
    cat >/dev/null
    kill -INT "$server" 2>/dev/null && wait "$server" || true
fi
cat >/dev/null
rm -rf "$folder"
"#;

/// Server on a Unix socket in a folder of its own. Stopped when dropped.
#[derive(Debug)]
pub(super) struct Server {
    /// Shell that stops the server.
    keeper: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub(super) async fn start() -> Result<Self, BenchError> {
        let bin = binaries()?;
        let folder = tempfile::tempdir().map_err(BenchError::Replica)?.keep();
        let keeper = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .args([&bin, &folder])
            .stdin(Stdio::piped())
            // Ctrl-C is for the benchmark: its end stops the server.
            .process_group(0)
            .spawn()
            .map_err(BenchError::Replica)?;
        let server = Self { keeper, folder };
        server.ready().await?;
        Ok(server)
    }

    /// Waits for the state that the server writes to a file.
    async fn ready(&self) -> Result<(), BenchError> {
        const STATE: usize = 7;
        let until = Instant::now() + START_TIMEOUT;
        let is_ready = || {
            let file = fs::read_to_string(self.folder.join("data/postmaster.pid"));
            file.is_ok_and(|file| file.lines().nth(STATE).is_some_and(|now| now.trim() == "ready"))
        };
        while !is_ready() {
            if Instant::now() > until {
                let why = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(BenchError::Tool { tool: TOOL, why });
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Returns the URL of a database.
    pub(super) fn url(&self, database: &str) -> String {
        let host = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://gantry@{host}/{database}")
    }

    /// Returns the server's socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // The server stops, whoever waits for it.
        let _stopped = self.keeper.wait();
    }
}

/// Returns the folder of the server's programs: that of `pg_config`, or Debian's newest.
fn binaries() -> Result<PathBuf, BenchError> {
    let debian = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
        let newest = versions.max_by_key(|entry| {
            entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        });
        Some(newest?.path().join("bin"))
    };
    let configured = || -> io::Result<PathBuf> {
        let output = Command::new("pg_config").arg("--bindir").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().into())
    };
    let has_server = |bin: &PathBuf| bin.join("initdb").exists();
    let found = configured().ok().filter(has_server).or_else(|| debian().filter(has_server));
    found.ok_or(BenchError::Missing { tool: TOOL, install: "apt-get install postgresql" })
}
