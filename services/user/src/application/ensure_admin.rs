//! Make the first administrator.

use std::sync::Arc;

use gantry_contract::{Clock, Ids};

use super::{Created, NewUser, PasswordHasher, UserError, UserRepository};
use crate::domain::{Email, Name, Password, Role, User, UserId};

/// Makes sure that somebody can create users.
#[derive(Clone, Debug)]
pub struct EnsureAdmin {
    /// Where users are kept.
    pub users: Arc<dyn UserRepository>,
    /// Hashes the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Tells when the user is created.
    pub clock: Arc<dyn Clock>,
    /// Gives the user an id.
    pub ids: Arc<dyn Ids>,
}

impl EnsureAdmin {
    /// Returns whether a user has this address.
    ///
    /// # Errors
    /// [`UserError::Storage`].
    pub async fn has_user(&self, email: &Email) -> Result<bool, UserError> {
        Ok(self.users.find_account(email).await?.is_some())
    }

    /// Makes an administrator with this address, unless a user has it: who has it is
    /// left as they are, role and password included.
    ///
    /// # Errors
    /// Those of the ports.
    pub async fn run(&self, email: Email, name: Name, password: Password) -> Result<(), UserError> {
        if self.has_user(&email).await? {
            return Ok(());
        }
        let password_hash = self.hasher.hash(password).await?;
        let id = UserId(self.ids.next());
        let user = User::new(id, email, name, Role::Admin, self.clock.now());
        match self.users.create(NewUser { user, password_hash, request: None }).await {
            Ok(Created::Now) => tracing::info!(user_id = %id, "administrator created"),
            // Somebody else, starting at the same time, was first.
            Ok(Created::Before(_)) | Err(UserError::EmailTaken) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
