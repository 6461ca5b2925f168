//! Create a user.

use std::sync::Arc;

use gantry_contract::{Clock, Ids, access::Scope, idempotency::RequestKey};

use super::{Created, NewUser, PasswordHasher, UserError, UserRepository};
use crate::domain::{Email, Name, Password, Role, User, UserId};

/// Creates users with the role `user`.
///
/// An equal request answers with the user whom the first one created, as that user
/// is now.
#[derive(Clone, Debug)]
pub struct CreateUser {
    /// Where users are kept.
    pub users: Arc<dyn UserRepository>,
    /// Hashes the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Tells when the user is created.
    pub clock: Arc<dyn Clock>,
    /// Gives the user an id.
    pub ids: Arc<dyn Ids>,
}

/// Who is to be created, and the request that asks for it.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Unique.
    pub email: Email,
    /// What they are called.
    pub name: Name,
    /// What they log in with.
    pub password: Password,
    /// Makes a repetition recognisable.
    pub request: RequestKey,
}

impl CreateUser {
    /// Creates a user.
    ///
    /// # Errors
    /// [`UserError::NotOwner`] where the caller may only write what is their own: a new
    /// user is nobody's yet. [`UserError::EmailTaken`], [`UserError::RequestIdReused`], and
    /// those of the ports.
    pub async fn run(&self, scope: &Scope, registration: Registration) -> Result<User, UserError> {
        if *scope != Scope::All {
            return Err(UserError::NotOwner);
        }
        let Registration { email, name, password, request } = registration;
        // Looked at before the unit of work, which looks again, so that repeating a
        // request does not cost a hash.
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
