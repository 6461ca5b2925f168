//! Users, their passwords, and the requests that created them.

use async_trait::async_trait;
use gantry_contract::{
    idempotency::RequestKey,
    page::{MAX_TOTAL, Page, PageRequest},
};
use gantry_sql::{StorageError, StoredTime, requests, unique_violation};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    SqliteRepository,
    rows::{AccountRow, UserRow, roles},
};
use crate::{
    application::{Account, Created, NewUser, UserError, UserRepository},
    domain::{Email, PasswordHash, User, UserId},
};

#[async_trait]
impl UserRepository for SqliteRepository {
    async fn create(&self, new: NewUser) -> Result<Created, UserError> {
        self.db
            .write(|conn| {
                Box::pin(async move {
                    let NewUser { user, password_hash, request } = new;
                    if let Some(request) = &request {
                        // Before the address: the repetition of a request finds it
                        // taken, by the user whom the request created.
                        if let Some(id) = created_by(conn, request).await? {
                            return Ok(Created::Before(id));
                        }
                        let id = user.id.to_string();
                        requests::insert(conn, request, &id, user.create_time).await?;
                    }
                    insert_user(conn, &user).await?;
                    insert_password(conn, user.id, &password_hash).await?;
                    Ok(Created::Now)
                })
            })
            .await
    }

    async fn created_by(&self, request: &RequestKey) -> Result<Option<UserId>, UserError> {
        let mut conn = self.db.reader().acquire().await?;
        created_by(&mut conn, request).await
    }

    async fn find(&self, id: UserId) -> Result<Option<User>, StorageError> {
        let row: Option<UserRow> = sqlx::query_as("SELECT * FROM users WHERE id = ?")
            .bind(id.0)
            .fetch_optional(self.db.reader())
            .await?;
        row.map(User::try_from).transpose()
    }

    async fn find_account(&self, email: &Email) -> Result<Option<Account>, StorageError> {
        let row: Option<AccountRow> = sqlx::query_as(
            "SELECT users.*, hash FROM users JOIN passwords ON user_id = id WHERE email_key = ?",
        )
        .bind(email.key())
        .fetch_optional(self.db.reader())
        .await?;
        row.map(Account::try_from).transpose()
    }

    async fn list(
        &self,
        only: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<User>, StorageError> {
        // Every id comes after the nil UUID.
        let after = match &page.after {
            Some(key) => Uuid::parse_str(key).map_err(StorageError::corrupt)?,
            None => Uuid::nil(),
        };
        let reader = self.db.reader();
        let query = match only {
            None => sqlx::query_as("SELECT * FROM users WHERE id > ? ORDER BY id LIMIT ?")
                .bind(after)
                .bind(page.limit()),
            Some(id) => {
                sqlx::query_as("SELECT * FROM users WHERE id > ? AND id = ?").bind(after).bind(id.0)
            }
        };
        let rows: Vec<UserRow> = query.fetch_all(reader).await?;
        let users = rows.into_iter().map(User::try_from).collect::<Result<_, _>>()?;
        let total = if page.include_total {
            let query = match only {
                None => sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM users LIMIT ?)")
                    .bind(MAX_TOTAL),
                Some(id) => {
                    sqlx::query_scalar("SELECT count(*) FROM users WHERE id = ?").bind(id.0)
                }
            };
            Some(query.fetch_one(reader).await?)
        } else {
            None
        };
        Ok(Page::cut(users, page, |last| last.id.to_string(), total))
    }
}

async fn created_by(
    conn: &mut SqliteConnection,
    request: &RequestKey,
) -> Result<Option<UserId>, UserError> {
    match requests::find(conn, request).await? {
        requests::Found::New => Ok(None),
        requests::Found::Reused => Err(UserError::RequestIdReused),
        requests::Found::Same { resource_id } => match UserId::parse(&resource_id) {
            Some(id) => Ok(Some(id)),
            None => Err(StorageError::corrupt("a request record names no user").into()),
        },
    }
}

async fn insert_user(conn: &mut SqliteConnection, user: &User) -> Result<(), UserError> {
    let inserted = sqlx::query(
        "INSERT INTO users (id, email, email_key, name, status, tier, roles, version, create_time,
         update_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(user.id.0)
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(user.name.as_str())
    .bind(user.status.as_str())
    .bind(user.tier.as_str())
    .bind(roles(user))
    .bind(user.version)
    .bind(StoredTime(user.create_time))
    .bind(StoredTime(user.update_time))
    .execute(conn)
    .await;
    match inserted {
        Ok(_row) => Ok(()),
        Err(error) if unique_violation(&error) == Some("users.email_key") => {
            Err(UserError::EmailTaken)
        }
        Err(error) => Err(error.into()),
    }
}

async fn insert_password(
    conn: &mut SqliteConnection,
    user: UserId,
    hash: &PasswordHash,
) -> Result<(), StorageError> {
    sqlx::query("INSERT INTO passwords (user_id, hash) VALUES (?, ?)")
        .bind(user.0)
        .bind(hash.as_str())
        .execute(conn)
        .await?;
    Ok(())
}
