//! Create the first administrator.

use std::sync::Arc;

use gantry_contract::{Clock, Ids};

use super::{Created, NewUser, PasswordHasher, Ports, UserError, UserRepository};
use crate::domain::{Email, Invalid, Name, Password, Role, User, UserId};

/// Name of the first administrator.
const NAME: &str = "Administrator";

/// Failure to create the administrator. Contains neither address nor password.
#[derive(Debug, thiserror::Error)]
pub enum EnsureAdminError {
    /// The address or the password breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The users could not be read or written.
    #[error(transparent)]
    Failed(#[from] UserError),
}

/// Creates the first administrator, so that other users can be created.
#[derive(Clone, Debug)]
pub struct EnsureAdmin {
    /// Users and their password hashes.
    pub users: Arc<dyn UserRepository>,
    /// Hasher of the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Time of creation.
    pub clock: Arc<dyn Clock>,
    /// Source of the user's id.
    pub ids: Arc<dyn Ids>,
}

impl EnsureAdmin {
    /// Creates the use case.
    pub fn new(ports: &Ports) -> Self {
        Self {
            users: ports.users.clone(),
            hasher: ports.hasher.clone(),
            clock: ports.clock.clone(),
            ids: ports.ids.clone(),
        }
    }

    /// Creates an administrator with this address. If a user has the address, changes nothing: neither
    /// role nor password of that user.
    ///
    /// # Errors
    /// [`EnsureAdminError`]
    pub async fn run(&self, email: &str, password: &str) -> Result<(), EnsureAdminError> {
        let (email, password) = (Email::try_new(email)?, Password::try_new(password)?);
        if self.has_user(&email).await? {
            return Ok(());
        }
        let password_hash = self.hasher.hash(password).await?;
        let id = UserId(self.ids.next());
        let user = User::new(id, email, Name::try_new(NAME)?, Role::Admin, self.clock.now());
        match self.users.create(NewUser { user, password_hash, request: None }).await {
            Ok(Created::Now) => tracing::info!(user_id = %id, "administrator created"),
            // Another process that starts at the same time was first.
            Ok(Created::Before(_)) | Err(UserError::EmailTaken) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Returns true if a user has this address.
    ///
    /// # Errors
    /// [`EnsureAdminError`]
    pub async fn exists(&self, email: &str) -> Result<bool, EnsureAdminError> {
        Ok(self.has_user(&Email::try_new(email)?).await?)
    }

    async fn has_user(&self, email: &Email) -> Result<bool, UserError> {
        Ok(self.users.find_account(email).await?.is_some())
    }
}
