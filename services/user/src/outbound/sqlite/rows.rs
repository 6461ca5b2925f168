//! Rows, and what they stand for.

use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    application::{Account, UserError},
    domain::{Email, Name, PasswordHash, Role, Status, Tier, User, UserId},
};

/// Parts the names in `roles`.
const COMMA: char = ',';

#[derive(FromRow)]
pub(super) struct UserRow {
    id: Uuid,
    email: String,
    name: String,
    status: String,
    tier: String,
    roles: String,
    version: u32,
    created_at: i64,
    updated_at: i64,
}

#[derive(FromRow)]
pub(super) struct AccountRow {
    #[sqlx(flatten)]
    user: UserRow,
    hash: String,
}

/// A row that no user was ever stored as. Says which column of whom, not what it
/// holds.
#[derive(Debug, thiserror::Error)]
#[error("column {column} of user {id} cannot be read")]
struct Corrupt {
    id: Uuid,
    column: &'static str,
}

impl TryFrom<UserRow> for User {
    type Error = UserError;

    fn try_from(row: UserRow) -> Result<Self, UserError> {
        let corrupt = |column| move || UserError::failed(Corrupt { id: row.id, column });
        let roles: Option<_> = row.roles.split(COMMA).map(Role::parse).collect();
        Ok(Self {
            id: UserId(row.id),
            email: Email::try_new(&row.email).ok().ok_or_else(corrupt("email"))?,
            name: Name::try_new(&row.name).ok().ok_or_else(corrupt("name"))?,
            status: Status::parse(&row.status).ok_or_else(corrupt("status"))?,
            tier: Tier::parse(&row.tier).ok_or_else(corrupt("tier"))?,
            roles: roles.ok_or_else(corrupt("roles"))?,
            version: row.version,
            created_at: time(row.created_at).ok_or_else(corrupt("created_at"))?,
            updated_at: time(row.updated_at).ok_or_else(corrupt("updated_at"))?,
        })
    }
}

impl TryFrom<AccountRow> for Account {
    type Error = UserError;

    fn try_from(row: AccountRow) -> Result<Self, UserError> {
        Ok(Self { user: row.user.try_into()?, password_hash: PasswordHash::new(row.hash) })
    }
}

/// The column `roles`.
pub(super) fn roles(user: &User) -> String {
    let names: Vec<_> = user.roles.iter().map(|role| role.as_str()).collect();
    names.join(&COMMA.to_string())
}

/// Microseconds since 1970. Years have four digits, which is far inside an `i64`.
pub(super) fn micros(at: OffsetDateTime) -> i64 {
    let micros = at.unix_timestamp_nanos() / 1000;
    i64::try_from(micros).unwrap_or(i64::MAX)
}

fn time(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()
}
