//! Refresh tokens.

use std::time::Duration;

use async_trait::async_trait;
use gantry_sql::{Purge, StorageError, StoredTime};

use super::SqlRepository;
use crate::application::{RefreshGrant, RefreshTokens};

/// Purge of the tokens that have expired.
pub const EXPIRED_TOKENS: Purge = Purge {
    rows: "expired refresh tokens",
    kept: Duration::ZERO,
    statement: "DELETE FROM refresh_tokens WHERE hash IN
        (SELECT hash FROM refresh_tokens WHERE expire_time <= $1 LIMIT $2)",
};

#[async_trait]
impl RefreshTokens for SqlRepository {
    async fn add(&self, grant: RefreshGrant) -> Result<(), StorageError> {
        self.db
            .write(grant, |conn, grant| {
                Box::pin(async move {
                    conn.query(
                        "INSERT INTO refresh_tokens (hash, family, user_id, create_time, expire_time)
                         VALUES ($1, $2, $3, $4, $5)",
                    )
                    .bind(grant.hash.as_slice())
                    .bind(grant.family)
                    .bind(grant.user.0)
                    .bind(StoredTime(grant.create_time))
                    .bind(StoredTime(grant.expire_time))
                    .execute()
                    .await?;
                    Ok(())
                })
            })
            .await
    }
}
