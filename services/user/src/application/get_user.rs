//! Get one user.

use std::sync::Arc;

use gantry_contract::access::Scope;

use super::{UserError, UserRepository};
use crate::domain::{User, UserId};

/// Gives one user.
#[derive(Clone, Debug)]
pub struct GetUser {
    /// Where users are kept.
    pub users: Arc<dyn UserRepository>,
}

impl GetUser {
    /// The user with this id.
    ///
    /// # Errors
    /// [`UserError::NotOwner`] where the caller may read only themselves and this is
    /// somebody else, existing or not; [`UserError::NotFound`]; those of the repository.
    pub async fn run(&self, scope: &Scope, id: UserId) -> Result<User, UserError> {
        if !scope.covers(&id.to_string()) {
            return Err(UserError::NotOwner);
        }
        self.users.find(id).await?.ok_or(UserError::NotFound(id))
    }
}
