//! Ports.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use gantry_sql::StorageError;
use uuid::Uuid;

use crate::domain::{Message, Notice, Recipient};

/// Id of a mail: that of the event that caused it. An event causes one mail at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailId(pub Uuid);

impl fmt::Display for MailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Context of the call that caused a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// A W3C `traceparent`.
    pub trace: Option<String>,
    /// Id that connects log lines and calls.
    pub request_id: Option<String>,
}

/// Mail to be written. It has no personal data: those are asked for when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMail {
    /// Its id.
    pub id: MailId,
    /// Id of the recipient.
    pub user: Uuid,
    /// Its message.
    pub notice: Notice,
    /// Its cause.
    pub cause: Cause,
}

/// Mail that this process may send until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedMail {
    /// The mail.
    pub mail: NewMail,
    /// Epoch of the lease, which every write of its holder carries.
    pub epoch: i64,
    /// Number of failed attempts so far.
    pub failures: u32,
    /// Number of times that it was handed to the mailer, and may have been sent.
    pub deliveries: u32,
    /// Age.
    pub age: Duration,
}

/// Claimed mails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Mails to be sent.
    pub mails: Vec<ClaimedMail>,
    /// Number of claimed rows that cannot be read. They are left until their leases end.
    pub unreadable: u64,
}

/// End of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The mail server took it.
    Sent,
    /// There is nobody to send it to any more.
    Skipped,
    /// It is never sent, for this reason, which names no person.
    Failed(&'static str),
}

/// Another process has claimed the mail meanwhile.
#[derive(Debug, thiserror::Error)]
pub enum StaleClaim {
    /// The lease has ended, and the mail was claimed again.
    #[error("the mail was claimed by another process")]
    Stale,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Written mails that wait to be sent.
#[async_trait]
pub trait Jobs: fmt::Debug + Send + Sync + 'static {
    /// Claims mails that are due, oldest first, by the database's clock.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn claim(&self, limit: usize, lease: Duration) -> Result<Claims, StorageError>;

    /// Notes that the mail is about to be handed to the mailer, and extends its lease. If the process
    /// dies afterwards, the mail may have been sent.
    ///
    /// # Errors
    /// [`StaleClaim`].
    async fn begin_delivery(
        &self,
        id: MailId,
        epoch: i64,
        lease: Duration,
    ) -> Result<(), StaleClaim>;

    /// Makes the mail due again after this pause. `undelivered` takes back one noted delivery, if the
    /// mail was certainly not sent.
    ///
    /// # Errors
    /// [`StaleClaim`].
    async fn postpone(
        &self,
        id: MailId,
        epoch: i64,
        pause: Duration,
        undelivered: bool,
    ) -> Result<(), StaleClaim>;

    /// Ends the mail.
    ///
    /// # Errors
    /// [`StaleClaim`].
    async fn end(&self, id: MailId, epoch: i64, ended: Ended) -> Result<(), StaleClaim>;

    /// Waits until this process has written a mail, or for `timeout` at most.
    async fn changed(&self, timeout: Duration);
}

/// Failure to learn the recipient.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// No such user, or one that gets no mail any more.
    #[error("the user is gone")]
    Gone,
    /// Name or address cannot be used in a mail.
    #[error("the user cannot be written to: {0}")]
    Invalid(#[from] crate::domain::InvalidRecipient),
    /// The user service did not answer, or not by the contract.
    #[error("{0}")]
    Unanswered(String),
}

/// Users of the user service.
#[async_trait]
pub trait Users: fmt::Debug + Send + Sync + 'static {
    /// Returns name and address of a user.
    ///
    /// # Errors
    /// [`UsersError`].
    async fn recipient(&self, user: Uuid, cause: &Cause) -> Result<Recipient, UsersError>;
}

/// Reason of a mail server to refuse a mail for good. Its own words may name the recipient, so they are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not take mail for this address.
    Recipient,
    /// It does not take this mail: its sender, its size or its content.
    Mail,
}

/// Failure to send a mail.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server refuses it for good. It was not sent.
    #[error("refused for good ({0:?})")]
    Refused(Refusal),
    /// It was not sent, and may be later: the server is away, is busy, or refuses us. Not tried before
    /// `retry_after`, if there is one.
    #[error("not sent: {cause}")]
    NotSent {
        /// The cause, without personal data.
        cause: String,
        /// Wait that the mailer asks for.
        retry_after: Option<Duration>,
    },
    /// The connection ended after the mail was written and before the server answered.
    #[error("no answer after the mail was written: {0}")]
    Unknown(String),
}

/// Way out for mails.
#[async_trait]
pub trait Mailer: fmt::Debug + Send + Sync + 'static {
    /// Sends one mail. The id names it in each attempt, so that a receiver can tell copies.
    ///
    /// # Errors
    /// [`SendError`].
    async fn send(
        &self,
        mail: &NewMail,
        recipient: &Recipient,
        message: &Message,
    ) -> Result<(), SendError>;
}
