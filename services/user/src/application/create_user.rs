//! Create a user.

use std::sync::Arc;

use gantry_contract::{Clock, Ids, Scope, idempotency::RequestKey};

use super::{Created, NewUser, PasswordHasher, UserError, UserRepository};
use crate::domain::{Email, Name, Password, Role, User, UserId};

/// Creates users with the role `user`.
///
/// An equal request returns the user that the first one created, as that user is now.
#[derive(Clone, Debug)]
pub struct CreateUser {
    /// Users and their password hashes.
    pub users: Arc<dyn UserRepository>,
    /// Hasher of the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Time of creation.
    pub clock: Arc<dyn Clock>,
    /// Source of the user's id.
    pub ids: Arc<dyn Ids>,
}

/// User to be created.
#[derive(Clone, Debug)]
pub struct Registration {
    /// E-mail address, unique.
    pub email: Email,
    /// Name.
    pub name: Name,
    /// Password of the first login.
    pub password: Password,
    /// Request of the caller. Identifies repetitions.
    pub request: RequestKey,
}

impl CreateUser {
    /// Creates a user.
    ///
    /// # Errors
    /// [`UserError::NotOwner`] if the caller may write only their own data, which a new user is not. [`UserError::EmailTaken`], [`UserError::RequestIdReused`], errors of the ports.
    pub async fn run(&self, registration: Registration, scope: &Scope) -> Result<User, UserError> {
        if *scope != Scope::All {
            return Err(UserError::NotOwner);
        }
        let Registration { email, name, password, request } = registration;
        // `create` decides. Looking first saves the hash of a repetition.
        if let Some(id) = self.users.created_by(&request).await? {
            return self.as_it_is_now(id).await;
        }
        let password_hash = self.hasher.hash(password).await?;
        let id = UserId(self.ids.next());
        let user = User::new(id, email, name, Role::User, self.clock.now());
        let new = NewUser { user: user.clone(), password_hash, request: Some(request) };
        match self.users.create(new).await? {
            Created::Now => {
                tracing::info!(user_id = %user.id, "user created");
                Ok(user)
            }
            Created::Before(id) => self.as_it_is_now(id).await,
        }
    }

    async fn as_it_is_now(&self, id: UserId) -> Result<User, UserError> {
        self.users.find(id).await?.ok_or(UserError::NotFound(id))
    }
}
