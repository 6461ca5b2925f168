//! Rows, and what they stand for.

use gantry_sql::{StorageError, StoredTime};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    application::Account,
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
    version: i64,
    create_time: StoredTime,
    update_time: StoredTime,
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
    type Error = StorageError;

    fn try_from(row: UserRow) -> Result<Self, StorageError> {
        let corrupt = |column| move || StorageError::corrupt(Corrupt { id: row.id, column });
        let roles: Option<_> = row.roles.split(COMMA).map(Role::parse).collect();
        Ok(Self {
            id: UserId(row.id),
            email: Email::try_new(&row.email).ok().ok_or_else(corrupt("email"))?,
            name: Name::try_new(&row.name).ok().ok_or_else(corrupt("name"))?,
            status: Status::parse(&row.status).ok_or_else(corrupt("status"))?,
            tier: Tier::parse(&row.tier).ok_or_else(corrupt("tier"))?,
            roles: roles.ok_or_else(corrupt("roles"))?,
            version: row.version.try_into().ok().ok_or_else(corrupt("version"))?,
            create_time: row.create_time.0,
            update_time: row.update_time.0,
        })
    }
}

impl TryFrom<AccountRow> for Account {
    type Error = StorageError;

    fn try_from(row: AccountRow) -> Result<Self, StorageError> {
        Ok(Self { user: row.user.try_into()?, password_hash: PasswordHash::new(row.hash) })
    }
}

/// The column `roles`.
pub(super) fn roles(user: &User) -> String {
    let names: Vec<_> = user.roles.iter().map(|role| role.as_str()).collect();
    names.join(&COMMA.to_string())
}
