//! Refresh tokens.

use std::time::Duration;

use async_trait::async_trait;
use gantry_sql::{Sqlite, StorageError, StoredTime};
use sqlx::SqliteConnection;
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;

use super::SqliteRepository;
use crate::application::{RefreshGrant, RefreshTokens};

/// How often [`keep_purged`] looks.
const PURGE_EVERY: Duration = Duration::from_secs(10 * 60);
/// Tokens deleted in one transaction, so that other writers wait a moment only.
const PURGE_AT_ONCE: u32 = 1000;

#[async_trait]
impl RefreshTokens for SqliteRepository {
    async fn add(&self, grant: RefreshGrant) -> Result<(), StorageError> {
        self.db
            .write(move |conn| {
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO refresh_tokens (hash, family, user_id, create_time, expire_time)
                         VALUES (?, ?, ?, ?, ?)",
                    )
                    .bind(grant.hash.as_slice())
                    .bind(grant.family)
                    .bind(grant.user.0)
                    .bind(StoredTime(grant.create_time))
                    .bind(StoredTime(grant.expire_time))
                    .execute(conn)
                    .await?;
                    Ok(())
                })
            })
            .await
    }
}

/// Deletes the tokens that have expired, now and then, until it is dropped. `now`
/// tells the time of day.
pub async fn keep_purged(db: Sqlite, now: impl Fn() -> OffsetDateTime) {
    let mut ticks = tokio::time::interval(PURGE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match purge(&db, now()).await {
            Ok(tokens) => tracing::debug!(tokens, "expired refresh tokens purged"),
            Err(error) => tracing::warn!(%error, "expired refresh tokens not purged"),
        }
    }
}

/// Deletes the tokens that have expired by `now`; returns how many.
async fn purge(db: &Sqlite, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let now = StoredTime(now);
    let mut purged = 0;
    loop {
        let deleted = db.write(move |conn| Box::pin(delete_expired(conn, now))).await?;
        purged += deleted;
        if deleted < u64::from(PURGE_AT_ONCE) {
            return Ok(purged);
        }
    }
}

async fn delete_expired(conn: &mut SqliteConnection, now: StoredTime) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query(
        "DELETE FROM refresh_tokens WHERE hash IN
         (SELECT hash FROM refresh_tokens WHERE expire_time <= ? LIMIT ?)",
    )
    .bind(now)
    .bind(PURGE_AT_ONCE)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected())
}
