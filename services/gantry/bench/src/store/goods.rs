//! Stored users, products and drafts, and the choice among them for each call.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use uuid::Uuid;

use super::seed::Seed;

/// Kind of a stored row; the first half of its id.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    User,
    /// Confirmed order.
    Order,
    Draft,
}

impl Kind {
    /// Returns the id of a row. Ids are older than those of new rows.
    pub(super) fn id(self, number: u64) -> Uuid {
        let first: u128 = match self {
            Self::User => 0x0180_0000_0000_7000_8000,
            Self::Order => 0x0181_0000_0000_7000_8000,
            Self::Draft => 0x0182_0000_0000_7000_8000,
        };
        Uuid::from_u128((first << 48) | u128::from(number))
    }
}

/// Returns the SKU of a product.
pub(super) fn sku(number: u64) -> String {
    format!("SKU-{number}")
}

/// Returns the microseconds since 1970, as tables store times.
pub(super) fn now() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

/// Choice of rows. Its calls share it.
#[derive(Debug)]
pub(super) struct Goods {
    seed: Seed,
    calls: AtomicU64,
    drafts: AtomicU64,
}

impl Goods {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, calls: AtomicU64::new(0), drafts: AtomicU64::new(0) }
    }

    /// Returns the number of a call: the users and the products take turns.
    pub(super) fn next(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the number of a stored order. Its user is that of a call of this number.
    pub(super) fn order(&self) -> u64 {
        self.next() % self.seed.orders.max(1)
    }

    /// Returns the number of the user of a call.
    pub(super) fn user(&self, call: u64) -> u64 {
        call % self.seed.users
    }

    /// Returns the SKU of a call.
    pub(super) fn sku(&self, call: u64) -> String {
        sku(call % self.seed.products)
    }

    /// Returns the number of the next draft, which no other call gets. Its user is that of a call of this
    /// number. None if all drafts are placed.
    pub(super) fn draft(&self) -> Option<u64> {
        let draft = self.drafts.fetch_add(1, Ordering::Relaxed);
        (draft < self.seed.drafts).then_some(draft)
    }
}
