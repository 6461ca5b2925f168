//! Records of mutations that were made, so that a repeated request is recognised.
//!
//! A record holds what the mutation was about and an HMAC of the request, never a body. It is written in
//! the transaction that makes the mutation, and kept for a day: see [`PURGE`]. A service that has
//! mutations names [`TABLES`] in its [`Migrations`](crate::Migrations).
//!
//! In a unit of work, [`find`] first and [`insert`] if it is [`Found::New`]. To look before the unit as
//! well, on a reader, saves costly work on a repetition, but decides nothing: two repetitions may run
//! at the same time.

use std::time::Duration;

use gantry_contract::idempotency::RequestKey;
use time::OffsetDateTime;

use crate::{Connection, Purge, SharedTables, StoredTime};

/// Table of the records.
pub static TABLES: SharedTables = SharedTables {
    history: "_sqlx_request_migrations",
    sqlite: sqlx::migrate!("migrations/requests/sqlite"),
    postgres: sqlx::migrate!("migrations/requests/postgres"),
};

/// Purge of the records that are a day old.
pub const PURGE: Purge = Purge {
    rows: "old request records",
    kept: Duration::from_secs(24 * 60 * 60),
    statement: "DELETE FROM request_records WHERE (subject, method, request_id) IN
        (SELECT subject, method, request_id FROM request_records WHERE create_time < $1 LIMIT $2)",
};

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
/// Error of the database.
pub async fn find(conn: &mut Connection, key: &RequestKey) -> Result<Found, sqlx::Error> {
    let record: Option<(Vec<u8>, String)> = conn
        .query(
            "SELECT fingerprint, resource_id FROM request_records
             WHERE subject = $1 AND method = $2 AND request_id = $3",
        )
        .bind(&key.subject)
        .bind(key.method)
        .bind(key.request_id)
        .fetch_optional()
        .await?;
    Ok(match record {
        None => Found::New,
        Some((fingerprint, resource_id)) if fingerprint == key.fingerprint => {
            Found::Same { resource_id }
        }
        Some(_) => Found::Reused,
    })
}

/// Records that the request was made, at `now`, and was about `resource_id`. Call it in a unit in
/// which [`find`] returned [`Found::New`].
///
/// # Errors
/// Error of the database. If another unit has recorded the request meanwhile, this one runs again.
pub async fn insert(
    conn: &mut Connection,
    key: &RequestKey,
    resource_id: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let inserted = conn
        .query(
            "INSERT INTO request_records
                 (subject, method, request_id, fingerprint, resource_id, create_time)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (subject, method, request_id) DO NOTHING",
        )
        .bind(&key.subject)
        .bind(key.method)
        .bind(key.request_id)
        .bind(key.fingerprint.as_slice())
        .bind(resource_id)
        .bind(StoredTime(now))
        .execute()
        .await?;
    if inserted == 0 { Err(conn.conflict()) } else { Ok(()) }
}
