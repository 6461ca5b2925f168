//! Secrets that all processes on a database must share.
//!
//! Replicas with different secrets each work alone and fail together: one rejects what another one
//! accepted. So a start compares its secrets with those of the processes that used the database
//! before: [`agree`]. The table has check values, which do not reveal the secrets. It is a part of
//! every database, and reverting its migration forgets the secrets.

use crate::{Connection, Database, SharedTables, StorageError, query::clock};

/// Table of the secrets.
pub(crate) static TABLES: SharedTables = SharedTables {
    history: "_sqlx_secret_migrations",
    sqlite: sqlx::migrate!("migrations/secrets/sqlite"),
    postgres: sqlx::migrate!("migrations/secrets/postgres"),
};

/// Secret that all processes on a database must share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSecret {
    name: &'static str,
    used: String,
    accepted: Vec<String>,
}

impl SharedSecret {
    /// Creates a secret. `name` is the setting of its file, unique within the service. `check` is the
    /// same for equal secrets, and does not reveal them: the id of a public key, or a MAC under the
    /// secret.
    pub fn new(name: &'static str, check: impl Into<String>) -> Self {
        Self { name, used: check.into(), accepted: Vec::new() }
    }

    /// Adds check values of further secrets that this process accepts from others. They allow a
    /// rotation with overlap: accepted everywhere first, then used.
    #[must_use]
    pub fn accepting(mut self, checks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.accepted.extend(checks.into_iter().map(Into::into));
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn accepts(&self, other: &Self) -> bool {
        self.used == other.used || self.accepted.contains(&other.used)
    }
}

/// Compares the secret with the one that was recorded last. Returns true if there was none, or if each
/// accepts the other.
///
/// If so, the secret is recorded. A secret that differs is recorded on SQLite only, where no other
/// process uses the database.
///
/// # Errors
/// [`StorageError`].
pub async fn agree(database: &Database, secret: SharedSecret) -> Result<bool, StorageError> {
    let is_shared = database.is_shared();
    let agreed = database.write_locked(secret, move |conn, secret| {
        Box::pin(async move {
            let recorded = recorded(conn, secret.name).await?;
            let agrees = recorded.is_none_or(|it| it.accepts(secret) && secret.accepts(&it));
            if agrees || !is_shared {
                record(conn, secret).await?;
            }
            Ok::<_, StorageError>(agrees)
        })
    });
    agreed.await
}

/// Returns the recorded secret of this name, locked until the end of the unit.
async fn recorded(
    conn: &mut Connection,
    name: &'static str,
) -> Result<Option<SharedSecret>, StorageError> {
    // The first processes may start at the same time: the row of one is there to be locked by all.
    let insert = concat!(
        "INSERT INTO shared_secrets (name, used, accepted, update_time) VALUES ($1, '', '[]', ",
        clock!(),
        ") ON CONFLICT (name) DO NOTHING"
    );
    if conn.query(insert).bind(name).execute().await? > 0 {
        return Ok(None);
    }
    let (used, accepted): (String, String) = conn
        .query("SELECT used, accepted FROM shared_secrets WHERE name = $1 FOR UPDATE")
        .bind(name)
        .fetch_one()
        .await?;
    let accepted = serde_json::from_str(&accepted).map_err(StorageError::corrupt)?;
    Ok(Some(SharedSecret { name, used, accepted }))
}

async fn record(conn: &mut Connection, secret: &SharedSecret) -> Result<(), StorageError> {
    let accepted = serde_json::to_string(&secret.accepted).map_err(StorageError::failed)?;
    conn.query(concat!(
        "UPDATE shared_secrets SET used = $2, accepted = $3, update_time = ",
        clock!(),
        " WHERE name = $1"
    ))
    .bind(secret.name)
    .bind(&secret.used)
    .bind(accepted)
    .execute()
    .await?;
    Ok(())
}
