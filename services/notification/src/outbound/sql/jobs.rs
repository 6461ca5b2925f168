//! The queue of mails.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gantry_sql::{Connection, Database, Purge, StorageError};
use tokio::sync::Notify;
use uuid::Uuid;

use super::rows::{MailRow, NoticeColumns};
use crate::application::{Claims, Ended, Jobs, MailId, NewMail, StaleClaim};

/// Text of the database's clock, in microseconds: the one that `gantry-sql` replaces on SQLite.
macro_rules! clock {
    () => {
        "(extract(epoch FROM now()) * 1000000)::bigint"
    };
}

/// Ended mails, which are kept for 30 days.
pub const ENDED: Purge = Purge {
    rows: "ended mails",
    kept: Duration::from_secs(30 * 24 * 3600),
    statement: "DELETE FROM mails WHERE id IN
        (SELECT id FROM mails WHERE status <> 'waiting' AND update_time < $1 LIMIT $2)",
};

/// Mails in a database that has the [`MIGRATIONS`](super::MIGRATIONS). Clones share it.
#[derive(Clone, Debug)]
pub struct SqlJobs {
    database: Database,
    written: Arc<Notify>,
}

impl SqlJobs {
    /// Opens the mails of this database. If no other process can have the database open, all leases end:
    /// their holders are gone.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn open(database: Database) -> Result<Self, StorageError> {
        if !database.is_shared() {
            let ended: Result<u64, sqlx::Error> = database
                .write((), |conn, ()| {
                    let end = "UPDATE mails SET lease_expire_time = 0 WHERE status = 'waiting'";
                    Box::pin(conn.query(end).execute())
                })
                .await;
            ended?;
        }
        Ok(Self { database, written: Arc::new(Notify::new()) })
    }

    /// Returns the database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Writes a mail, in the unit of work in which its event takes effect. Wakes the sender, which sees
    /// the mail at its next look after the commit. Nothing happens if the mail is there.
    ///
    /// # Errors
    /// Error of the database.
    pub async fn insert(&self, conn: &mut Connection, mail: &NewMail) -> Result<(), sqlx::Error> {
        let NoticeColumns { order_id, total, currency, reason } = (&mail.notice).into();
        conn.query(INSERT)
            .bind(mail.id.0)
            .bind(mail.user)
            .bind(mail.notice.kind())
            .bind(order_id)
            .bind(total)
            .bind(currency)
            .bind(reason)
            .bind(mail.cause.trace.clone())
            .bind(mail.cause.request_id.clone())
            .execute()
            .await?;
        self.written.notify_one();
        Ok(())
    }

    /// Runs a statement of the lease's holder.
    async fn held(&self, statement: Statement) -> Result<(), StaleClaim> {
        let changed: Result<u64, sqlx::Error> = self
            .database
            .write_locked(statement, |conn, statement| Box::pin(statement.run(conn)))
            .await;
        if changed.map_err(StorageError::from)? == 0 { Err(StaleClaim::Stale) } else { Ok(()) }
    }
}

/// Statement of the holder of a lease.
struct Statement {
    id: Uuid,
    epoch: i64,
    change: Change,
}

enum Change {
    BeginDelivery { lease: i64 },
    Postpone { pause: i64, taken_back: i64 },
    End { status: &'static str, cause: Option<&'static str> },
}

impl Statement {
    async fn run(&self, conn: &mut Connection) -> Result<u64, sqlx::Error> {
        match self.change {
            Change::BeginDelivery { lease } => {
                conn.query(BEGIN_DELIVERY).bind(self.id).bind(self.epoch).bind(lease)
            }
            Change::Postpone { pause, taken_back } => {
                let query = conn.query(POSTPONE).bind(self.id).bind(self.epoch);
                query.bind(pause).bind(taken_back)
            }
            Change::End { status, cause } => {
                conn.query(END).bind(self.id).bind(self.epoch).bind(status).bind(cause)
            }
        }
        .execute()
        .await
    }
}

#[async_trait]
impl Jobs for SqlJobs {
    async fn claim(&self, limit: usize, lease: Duration) -> Result<Claims, StorageError> {
        let mut conn = self.database.reader().await?;
        // Polled often, mostly in vain: that must not occupy a writer.
        let any: bool = conn.query(ANY).fetch_value().await?;
        drop(conn);
        if !any {
            return Ok(Claims::default());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let lease = micros(lease);
        let rows: Result<Vec<MailRow>, sqlx::Error> = self
            .database
            .write_locked((), move |conn, ()| {
                Box::pin(conn.query(CLAIM).bind(limit).bind(lease).fetch_all())
            })
            .await;
        let mut claims = Claims::default();
        for row in rows? {
            let id = row.id;
            match row.claimed() {
                Ok(mail) => claims.mails.push(mail),
                Err(error) => {
                    tracing::error!(mail = %id, %error, "mail cannot be read");
                    claims.unreadable += 1;
                }
            }
        }
        Ok(claims)
    }

    async fn begin_delivery(
        &self,
        MailId(id): MailId,
        epoch: i64,
        lease: Duration,
    ) -> Result<(), StaleClaim> {
        let change = Change::BeginDelivery { lease: micros(lease) };
        self.held(Statement { id, epoch, change }).await
    }

    async fn postpone(
        &self,
        MailId(id): MailId,
        epoch: i64,
        pause: Duration,
        undelivered: bool,
    ) -> Result<(), StaleClaim> {
        let taken_back = i64::from(undelivered);
        let change = Change::Postpone { pause: micros(pause), taken_back };
        self.held(Statement { id, epoch, change }).await
    }

    async fn end(&self, MailId(id): MailId, epoch: i64, ended: Ended) -> Result<(), StaleClaim> {
        let (status, cause) = match ended {
            Ended::Sent => ("sent", None),
            Ended::Skipped => ("skipped", None),
            Ended::Failed(cause) => ("failed", Some(cause)),
        };
        self.held(Statement { id, epoch, change: Change::End { status, cause } }).await
    }

    async fn changed(&self, timeout: Duration) {
        // The sender looks again in both cases, woken or not.
        let _ = tokio::time::timeout(timeout, self.written.notified()).await;
    }
}

const INSERT: &str = concat!(
    "INSERT INTO mails (id, user_id, kind, order_id, total, currency, reason, trace, request_id,
                        status, failures, deliveries, epoch, due_time, lease_expire_time,
                        create_time, update_time)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', 0, 0, 0, 0, 0, ",
    clock!(),
    ", ",
    clock!(),
    ") ON CONFLICT (id) DO NOTHING"
);

const ANY: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM mails
      WHERE status = 'waiting' AND due_time <= ",
    clock!(),
    " AND lease_expire_time <= ",
    clock!(),
    ")"
);

/// Locks the mails that are due first, skipping those that another claimant has locked, and takes them if
/// they are still free. PostgreSQL may run a subquery with a limit more than once, but not `free`.
const CLAIM: &str = concat!(
    "WITH free AS MATERIALIZED (
         SELECT id FROM mails
          WHERE status = 'waiting' AND due_time <= ",
    clock!(),
    " AND lease_expire_time <= ",
    clock!(),
    "     ORDER BY due_time LIMIT $1 FOR UPDATE SKIP LOCKED)
     UPDATE mails SET epoch = epoch + 1, lease_expire_time = ",
    clock!(),
    " + $2
      WHERE id IN (SELECT id FROM free) AND status = 'waiting' AND lease_expire_time <= ",
    clock!(),
    " RETURNING id, user_id, kind, order_id, total, currency, reason, trace, request_id, failures,
                deliveries, epoch, ",
    clock!(),
    " - create_time AS age"
);

const BEGIN_DELIVERY: &str = concat!(
    "UPDATE mails SET deliveries = deliveries + 1, lease_expire_time = ",
    clock!(),
    " + $3 WHERE id = $1 AND epoch = $2 AND status = 'waiting'"
);

const POSTPONE: &str = concat!(
    "UPDATE mails SET due_time = ",
    clock!(),
    " + $3, lease_expire_time = 0, failures = failures + 1, deliveries = deliveries - $4,
            update_time = ",
    clock!(),
    " WHERE id = $1 AND epoch = $2 AND status = 'waiting'"
);

const END: &str = concat!(
    "UPDATE mails SET status = $3, cause = $4, update_time = ",
    clock!(),
    " WHERE id = $1 AND epoch = $2 AND status = 'waiting'"
);

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
