//! List orders.

use std::sync::Arc;

use gantry_contract::{
    Scope,
    page::{Page, PageRequest},
};
use uuid::Uuid;

use super::{OrderError, OrderRepository, StoredOrder};
use crate::domain::UserId;

/// Lists orders page by page, newest first.
#[derive(Clone, Debug)]
pub struct ListOrders {
    /// Orders.
    pub orders: Arc<dyn OrderRepository>,
}

impl ListOrders {
    /// Returns one page of the orders within `scope`: all, or only the caller's.
    ///
    /// # Errors
    /// [`OrderError::NotOwner`] if the caller is limited to their own orders and is not a user;
    /// [`OrderError::Storage`].
    pub async fn run(
        &self,
        page: &PageRequest,
        scope: &Scope,
    ) -> Result<Page<StoredOrder>, OrderError> {
        let owner = match scope {
            Scope::All => None,
            // Only users own orders, and a user's subject is their id.
            Scope::Own(subject) => {
                Some(UserId(Uuid::parse_str(subject).map_err(|_| OrderError::NotOwner)?))
            }
        };
        Ok(self.orders.list(owner, page).await?)
    }
}
