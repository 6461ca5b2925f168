//! Standbys: servers that replay what another one writes.

use std::time::Instant;

use crate::{DEFAULT_PORT, Server, TIMEOUT};

impl Server {
    /// Starts a streaming replica of this server. It has all databases, and takes no writes.
    pub fn start_standby(&self) -> Self {
        let options = ["listen_addresses = ''".to_owned()];
        Self::start_in(tempfile::tempdir().unwrap(), DEFAULT_PORT, Some(self), &options)
    }

    /// Returns how a standby connects to this server.
    pub(crate) fn conninfo(&self) -> String {
        format!("host={} port={} user=gantry", self.folder.display(), self.port)
    }

    /// Returns the URL of a database of the primary on this standby.
    pub fn replica_of(&self, url: &str) -> String {
        self.url(url.rsplit_once('/').unwrap().1)
    }

    /// Pauses the replay of this standby: what it shows stays as it is.
    pub async fn pause_replay(&self) {
        self.execute("SELECT pg_wal_replay_pause()").await;
        let state = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
        self.until(state, None).await;
    }

    /// Resumes the replay of this standby.
    pub async fn resume_replay(&self) {
        self.execute("SELECT pg_wal_replay_resume()").await;
    }

    /// Waits until this standby shows what `primary` has committed so far.
    pub async fn catch_up(&self, primary: &Self) {
        let mut conn = primary.connect("postgres").await;
        let written = "SELECT pg_current_wal_lsn()::text";
        let written: String = sqlx::query_scalar(written).fetch_one(&mut conn).await.unwrap();
        let replayed = "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)";
        self.until(replayed, Some(&written)).await;
    }

    async fn execute(&self, statement: &'static str) {
        let mut conn = self.connect("postgres").await;
        sqlx::query(statement).execute(&mut conn).await.unwrap();
    }

    /// Waits until a query answers yes.
    async fn until(&self, query: &'static str, parameter: Option<&str>) {
        let mut conn = self.connect("postgres").await;
        let started = Instant::now();
        loop {
            let query = sqlx::query_scalar(query);
            let query = match parameter {
                Some(parameter) => query.bind(parameter.to_owned()),
                None => query,
            };
            if query.fetch_one(&mut conn).await.unwrap() {
                return;
            }
            assert!(started.elapsed() < TIMEOUT, "the standby does not replay");
            // The server waits: this crate has no timers.
            sqlx::query("SELECT pg_sleep(0.01)").execute(&mut conn).await.unwrap();
        }
    }
}
