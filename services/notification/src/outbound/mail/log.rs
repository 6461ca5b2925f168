//! Mailer that only logs.

use async_trait::async_trait;

use crate::{
    application::{Mailer, NewMail, SendError},
    domain::{Message, Recipient},
};

/// Logs that a mail would go out: its kind and its user's id, never its content or address.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogMailer;

#[async_trait]
impl Mailer for LogMailer {
    async fn send(&self, mail: &NewMail, _: &Recipient, _: &Message) -> Result<(), SendError> {
        let kind = mail.notice.kind();
        tracing::info!(mail = %mail.id, kind, user = %mail.user, "mail written to the log only");
        Ok(())
    }
}
