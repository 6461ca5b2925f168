//! Get one user.

use std::sync::Arc;

use gantry_contract::Scope;

use super::{UserError, UserRepository};
use crate::domain::{User, UserId};

/// Reads one user.
#[derive(Clone, Debug)]
pub struct GetUser {
    /// Users and their password hashes.
    pub users: Arc<dyn UserRepository>,
}

impl GetUser {
    /// Returns the user with this id.
    ///
    /// # Errors
    /// [`UserError::NotOwner`] if the caller may read only themselves and this is another user,
    /// existing or not; [`UserError::NotFound`]; [`UserError::Storage`].
    pub async fn run(&self, id: UserId, scope: &Scope) -> Result<User, UserError> {
        if !scope.covers(&id.to_string()) {
            return Err(UserError::NotOwner);
        }
        self.users.find(id).await?.ok_or(UserError::NotFound(id))
    }
}
