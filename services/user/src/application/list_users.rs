//! List users.

use std::sync::Arc;

use gantry_contract::{
    Scope,
    page::{Page, PageRequest},
};

use super::{UserError, UserRepository};
use crate::domain::{User, UserId};

/// Lists users page by page, oldest first.
#[derive(Clone, Debug)]
pub struct ListUsers {
    /// Users and their password hashes.
    pub users: Arc<dyn UserRepository>,
}

impl ListUsers {
    /// Returns one page of the users within `scope`: all, or only the caller.
    ///
    /// # Errors
    /// [`UserError::Storage`].
    pub async fn run(&self, page: &PageRequest, scope: &Scope) -> Result<Page<User>, UserError> {
        let only = match scope {
            Scope::All => None,
            Scope::Own(subject) => match UserId::parse(subject) {
                Some(id) => Some(id),
                // No user has this subject as their id, so the list is empty.
                None => return Ok(empty(page)),
            },
        };
        Ok(self.users.list(only, page).await?)
    }
}

fn empty(page: &PageRequest) -> Page<User> {
    Page {
        items: Vec::new(),
        next_page_token: String::new(),
        total: page.include_total.then_some(0),
    }
}
