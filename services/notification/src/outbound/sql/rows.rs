//! Rows of mails.

use std::time::Duration;

use gantry_money::{Currency, Money};
use gantry_sql::StorageError;
use uuid::Uuid;

use crate::{
    application::{Cause, ClaimedMail, MailId, NewMail},
    domain::{Notice, RejectReason},
};

/// Columns of a mail that depend on its kind.
#[derive(Default)]
pub(super) struct NoticeColumns {
    pub(super) order_id: Option<Uuid>,
    pub(super) total: Option<i64>,
    pub(super) currency: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
}

impl From<&Notice> for NoticeColumns {
    fn from(notice: &Notice) -> Self {
        match notice {
            Notice::Welcome => Self::default(),
            Notice::OrderConfirmed { order, total } => Self {
                order_id: Some(*order),
                total: Some(total.minor()),
                currency: Some(total.currency().code()),
                ..Self::default()
            },
            Notice::OrderRejected { order, reason } => {
                Self { order_id: Some(*order), reason: Some(reason.as_str()), ..Self::default() }
            }
        }
    }
}

/// A claimed mail.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct MailRow {
    pub(super) id: Uuid,
    user_id: Uuid,
    kind: String,
    order_id: Option<Uuid>,
    total: Option<i64>,
    currency: Option<String>,
    reason: Option<String>,
    trace: Option<String>,
    request_id: Option<String>,
    failures: i64,
    deliveries: i64,
    epoch: i64,
    /// Microseconds.
    age: i64,
}

impl MailRow {
    pub(super) fn claimed(self) -> Result<ClaimedMail, StorageError> {
        let notice = self.notice()?;
        Ok(ClaimedMail {
            mail: NewMail {
                id: MailId(self.id),
                user: self.user_id,
                notice,
                cause: Cause { trace: self.trace, request_id: self.request_id },
            },
            epoch: self.epoch,
            failures: u32::try_from(self.failures).map_err(StorageError::corrupt)?,
            deliveries: u32::try_from(self.deliveries).map_err(StorageError::corrupt)?,
            // Negative after the clock was set back.
            age: Duration::from_micros(u64::try_from(self.age).unwrap_or(0)),
        })
    }

    fn notice(&self) -> Result<Notice, StorageError> {
        match self.kind.as_str() {
            "welcome" => Ok(Notice::Welcome),
            "order_confirmed" => {
                let currency = set("currency", self.currency.as_deref())?;
                let currency = Currency::parse(currency).map_err(StorageError::corrupt)?;
                let total = Money::new(set("total", self.total)?, currency);
                let total = total.map_err(StorageError::corrupt)?;
                Ok(Notice::OrderConfirmed { order: set("order_id", self.order_id)?, total })
            }
            "order_rejected" => {
                let reason = set("reason", self.reason.as_deref())?;
                let reason = RejectReason::parse(reason)
                    .ok_or_else(|| StorageError::corrupt(format!("reason {reason:?}")))?;
                Ok(Notice::OrderRejected { order: set("order_id", self.order_id)?, reason })
            }
            other => Err(StorageError::corrupt(format!("a mail of the kind {other:?}"))),
        }
    }
}

fn set<T>(column: &str, value: Option<T>) -> Result<T, StorageError> {
    value.ok_or_else(|| StorageError::corrupt(format!("a mail without {column}")))
}
