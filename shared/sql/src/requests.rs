//! Records of mutations that were made, so that a repeated request is recognised.
//!
//! A record holds what the mutation was about and an HMAC of the request, never a
//! body. It is written in the transaction that makes the mutation, and kept for
//! [`KEPT`]. The table is part of each service's own migrations:
//!
//! ```sql
//! CREATE TABLE request_records (
//!     subject     TEXT    NOT NULL,
//!     method      TEXT    NOT NULL,
//!     request_id  BLOB    NOT NULL,
//!     fingerprint BLOB    NOT NULL,
//!     resource_id TEXT    NOT NULL,
//!     create_time INTEGER NOT NULL,
//!     PRIMARY KEY (subject, method, request_id)
//! ) STRICT, WITHOUT ROWID;
//!
//! CREATE INDEX request_records_by_create_time ON request_records (create_time);
//! ```
//!
//! In a unit of work, [`find`] first and [`insert`] where it is [`Found::New`]. To
//! look before the unit as well, on a reader, saves costly work on a repetition, but
//! decides nothing: two repetitions may run at the same time.

use std::time::Duration;

use gantry_contract::idempotency::RequestKey;
use sqlx::SqliteConnection;
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;

use crate::{Sqlite, StoredTime};

/// Time for which a record is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Interval of [`keep_purged`].
const PURGE_EVERY: Duration = Duration::from_secs(10 * 60);
/// Records deleted in one transaction, so that other writers wait a moment only.
const PURGE_AT_ONCE: u32 = 1000;

/// Record of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: it was not made before, or so long ago that it is forgotten.
    New,
    /// It was made, and was about this resource.
    Same {
        /// As it was given to [`insert`].
        resource_id: String,
    },
    /// Another request was made under its id.
    Reused,
}

/// Looks whether the request was made before.
///
/// # Errors
/// What the database said.
pub async fn find(conn: &mut SqliteConnection, key: &RequestKey) -> Result<Found, sqlx::Error> {
    let record: Option<(Vec<u8>, String)> = sqlx::query_as(
        "SELECT fingerprint, resource_id FROM request_records
         WHERE subject = ? AND method = ? AND request_id = ?",
    )
    .bind(&key.subject)
    .bind(key.method)
    .bind(key.request_id)
    .fetch_optional(conn)
    .await?;
    Ok(match record {
        None => Found::New,
        Some((fingerprint, resource_id)) if fingerprint == key.fingerprint => {
            Found::Same { resource_id }
        }
        Some(_) => Found::Reused,
    })
}

/// Records that the request was made, at `now`, and was about `resource_id`.
///
/// # Errors
/// What the database said: a unique violation where there is a record already.
pub async fn insert(
    conn: &mut SqliteConnection,
    key: &RequestKey,
    resource_id: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO request_records VALUES (?, ?, ?, ?, ?, ?)")
        .bind(&key.subject)
        .bind(key.method)
        .bind(key.request_id)
        .bind(key.fingerprint.as_slice())
        .bind(resource_id)
        .bind(StoredTime(now))
        .execute(conn)
        .await
        .map(drop)
}

/// Deletes the records that at `now` are older than [`KEPT`]; returns how many.
///
/// # Errors
/// What the database said; what was deleted before stays deleted.
pub async fn purge(db: &Sqlite, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let oldest = StoredTime(now - KEPT);
    let mut purged = 0;
    loop {
        let deleted = db.write(move |conn| Box::pin(delete_before(conn, oldest))).await?;
        purged += deleted;
        if deleted < u64::from(PURGE_AT_ONCE) {
            return Ok(purged);
        }
    }
}

/// Purges now and then, until it is dropped. `now` tells the time of day.
pub async fn keep_purged(db: Sqlite, now: impl Fn() -> OffsetDateTime) {
    let mut ticks = tokio::time::interval(PURGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match purge(&db, now()).await {
            Ok(records) => tracing::debug!(records, "old request records purged"),
            Err(error) => tracing::warn!(%error, "old request records not purged"),
        }
    }
}

async fn delete_before(
    conn: &mut SqliteConnection,
    oldest: StoredTime,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(
        "DELETE FROM request_records WHERE (subject, method, request_id) IN
         (SELECT subject, method, request_id FROM request_records WHERE create_time < ? LIMIT ?)",
    )
    .bind(oldest)
    .bind(PURGE_AT_ONCE)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected())
}
