//! List users, oldest first.

use std::sync::Arc;

use gantry_contract::{
    access::Scope,
    page::{MAX_TOTAL, Page, PageRequest},
};

use super::{UserError, UserRepository};
use crate::domain::{User, UserId};

/// Lists users page by page, in the order of their ids, which is that of their
/// creation.
#[derive(Clone, Debug)]
pub struct ListUsers {
    /// Users and their password hashes.
    pub users: Arc<dyn UserRepository>,
}

impl ListUsers {
    /// Returns one page of the users that the caller may read: all, or themselves.
    ///
    /// # Errors
    /// [`UserError::BadPageToken`] if the page would begin after something else than a user;
    /// [`UserError::Storage`].
    pub async fn run(&self, scope: &Scope, page: &PageRequest) -> Result<Page<User>, UserError> {
        let after = match &page.after {
            Some(key) => Some(UserId::parse(key).ok_or(UserError::BadPageToken)?),
            None => None,
        };
        let only = match scope {
            Scope::All => None,
            // A subject that is no user has no user of its own.
            Scope::Own(subject) => match UserId::parse(subject) {
                Some(id) => Some(id),
                None => return Ok(empty(page)),
            },
        };
        let users = self.users.list(only, after, page.limit()).await?;
        let total = match page.include_total {
            true => Some(self.users.count(only, MAX_TOTAL).await?),
            false => None,
        };
        Ok(Page::cut(users, page, |last| last.id.to_string(), total))
    }
}

fn empty(page: &PageRequest) -> Page<User> {
    Page {
        items: Vec::new(),
        next_page_token: String::new(),
        total: page.include_total.then_some(0),
    }
}
