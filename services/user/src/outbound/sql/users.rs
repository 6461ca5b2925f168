//! Users, their passwords, and the requests that created them.

use async_trait::async_trait;
use gantry_contract::{
    idempotency::RequestKey,
    page::{MAX_TOTAL, Page, PageRequest},
};
use gantry_sql::{Connection, StorageError, StoredTime, requests};
use uuid::Uuid;

use super::{
    SqlRepository,
    rows::{AccountRow, UserRow, roles},
};
use crate::{
    application::{Account, Created, NewUser, UserError, UserRepository},
    domain::{Email, PasswordHash, User, UserId},
};

/// A statement that reads a whole [`UserRow`], and more columns after it.
macro_rules! users {
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT id, email, name, status, tier, roles, version, create_time, update_time",
            $more,
            " FROM users ",
            $rest
        )
    };
    ($rest:literal) => {
        users!("", $rest)
    };
}

#[async_trait]
impl UserRepository for SqlRepository {
    async fn create(&self, new: NewUser) -> Result<Created, UserError> {
        self.db.write(new, |conn, new| Box::pin(create(conn, new))).await
    }

    async fn created_by(&self, request: &RequestKey) -> Result<Option<UserId>, UserError> {
        created_by(&mut self.db.reader().await?, request).await
    }

    async fn find(&self, id: UserId) -> Result<Option<User>, StorageError> {
        let mut conn = self.db.reader().await?;
        let row: Option<UserRow> =
            conn.query(users!("WHERE id = $1")).bind(id.0).fetch_optional().await?;
        row.map(User::try_from).transpose()
    }

    async fn find_account(&self, email: &Email) -> Result<Option<Account>, StorageError> {
        let mut conn = self.db.reader().await?;
        let row: Option<AccountRow> = conn
            .query(users!(", hash", "JOIN passwords ON user_id = id WHERE email_key = $1"))
            .bind(email.key())
            .fetch_optional()
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
        let mut conn = self.db.replica().await?;
        let query = match only {
            None => conn
                .query(users!("WHERE id > $1 ORDER BY id LIMIT $2"))
                .bind(after)
                .bind(i64::from(page.limit())),
            Some(id) => conn.query(users!("WHERE id > $1 AND id = $2")).bind(after).bind(id.0),
        };
        let rows: Vec<UserRow> = query.fetch_all().await?;
        let users = rows.into_iter().map(User::try_from).collect::<Result<_, _>>()?;
        let total = if page.include_total {
            let query = match only {
                None => conn
                    .query("SELECT count(*) FROM (SELECT 1 FROM users LIMIT $1) AS counted")
                    .bind(i64::from(MAX_TOTAL)),
                Some(id) => conn.query("SELECT count(*) FROM users WHERE id = $1").bind(id.0),
            };
            let total: i64 = query.fetch_value().await?;
            Some(u32::try_from(total).map_err(StorageError::corrupt)?)
        } else {
            None
        };
        Ok(Page::cut(users, page, |last| last.id.to_string(), total))
    }
}

async fn create(conn: &mut Connection, new: &NewUser) -> Result<Created, UserError> {
    let NewUser { user, password_hash, request } = new;
    if let Some(request) = request {
        // Before the address: the repetition of a request finds it
        // taken, by the user whom the request created.
        if let Some(id) = created_by(conn, request).await? {
            return Ok(Created::Before(id));
        }
        requests::insert(conn, request, &user.id.to_string(), user.create_time).await?;
    }
    insert_user(conn, user).await?;
    insert_password(conn, user.id, password_hash).await?;
    Ok(Created::Now)
}

async fn created_by(
    conn: &mut Connection,
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

async fn insert_user(conn: &mut Connection, user: &User) -> Result<(), UserError> {
    let inserted = conn
        .query(
            "INSERT INTO users (id, email, email_key, name, status, tier, roles, version, create_time,
             update_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (email_key) DO NOTHING",
        )
        .bind(user.id.0)
        .bind(user.email.as_str())
        .bind(user.email.key())
        .bind(user.name.as_str())
        .bind(user.status.as_str())
        .bind(user.tier.as_str())
        .bind(roles(user))
        .bind(i64::from(user.version))
        .bind(StoredTime(user.create_time))
        .bind(StoredTime(user.update_time))
        .execute()
        .await?;
    if inserted == 0 { Err(UserError::EmailTaken) } else { Ok(()) }
}

async fn insert_password(
    conn: &mut Connection,
    user: UserId,
    hash: &PasswordHash,
) -> Result<(), StorageError> {
    conn.query("INSERT INTO passwords (user_id, hash) VALUES ($1, $2)")
        .bind(user.0)
        .bind(hash.as_str())
        .execute()
        .await?;
    Ok(())
}
