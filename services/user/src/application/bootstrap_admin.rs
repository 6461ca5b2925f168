//! Make the first administrator.

use std::sync::Arc;

use super::{Clock, Created, Ids, NewUser, PasswordHasher, UserError, UserRepository};
use crate::domain::{Email, Name, Password, Role, User, UserId};

/// Makes sure that somebody can create users: where nobody has the given address,
/// makes an administrator with it.
#[derive(Clone)]
pub struct BootstrapAdmin {
    /// Where users are kept.
    pub users: Arc<dyn UserRepository>,
    /// Hashes the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Tells when the user is created.
    pub clock: Arc<dyn Clock>,
    /// Gives the user an id.
    pub ids: Arc<dyn Ids>,
}

impl BootstrapAdmin {
    /// Makes the administrator; false where a user has the address, who is then left
    /// as they are, password included.
    ///
    /// # Errors
    /// Those of the ports.
    pub async fn run(
        &self,
        email: Email,
        name: Name,
        password: Password,
    ) -> Result<bool, UserError> {
        if self.users.find_account(&email).await?.is_some() {
            return Ok(false);
        }
        let password_hash = self.hasher.hash(password).await?;
        let id = UserId(self.ids.next());
        let user = User::new(id, email, name, Role::Admin, self.clock.now());
        match self.users.create(NewUser { user, password_hash, request: None }).await {
            Ok(Created::Now) => {
                tracing::info!(user_id = %id, "administrator created");
                Ok(true)
            }
            // Somebody else, starting at the same time, was first.
            Ok(Created::Before(_)) | Err(UserError::EmailTaken) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
