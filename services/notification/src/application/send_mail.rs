//! Sends one claimed mail.

use std::{sync::Arc, time::Duration};

use super::{
    ClaimedMail, Ended, Jobs, Mailer, NewMail, Pace, Refusal, SendError, StaleClaim, Users,
    UsersError,
};
use crate::domain::Message;

/// Number of deliveries of unknown outcome after which a mail is given up. So a recipient never gets more
/// copies than this.
const MOST_DELIVERIES: u32 = 2;

/// Ports of the sender.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Written mails.
    pub jobs: Arc<dyn Jobs>,
    /// Recipients.
    pub users: Arc<dyn Users>,
    /// Way out.
    pub mailer: Arc<dyn Mailer>,
}

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailOutcome {
    /// The mail has ended.
    Ended(Ended),
    /// It is tried again after this pause.
    Postponed(Duration),
}

/// Use case: sends one claimed mail.
#[derive(Clone, Debug)]
pub struct SendMail {
    ports: Ports,
    pace: Pace,
    shop: String,
}

/// Next step for a mail.
enum Next {
    End(Ended),
    Postpone { asked: Option<Duration>, undelivered: bool },
}

impl SendMail {
    /// Creates the use case. `shop` is the shop's name in the text of mails.
    pub fn new(ports: Ports, pace: Pace, shop: String) -> Self {
        Self { ports, pace, shop }
    }

    /// Returns the written mails.
    pub fn jobs(&self) -> &Arc<dyn Jobs> {
        &self.ports.jobs
    }

    /// Sends the mail, and notes what became of it.
    ///
    /// # Errors
    /// [`StaleClaim`]: whoever claims the mail next decides.
    pub async fn run(&self, claimed: &ClaimedMail) -> Result<MailOutcome, StaleClaim> {
        let (id, epoch) = (claimed.mail.id, claimed.epoch);
        match self.attempt(claimed).await? {
            Next::End(ended) => {
                self.ports.jobs.end(id, epoch, ended).await?;
                Ok(MailOutcome::Ended(ended))
            }
            Next::Postpone { .. } if claimed.age >= self.pace.give_up_after => {
                let ended = Ended::Failed("not sent in time");
                self.ports.jobs.end(id, epoch, ended).await?;
                Ok(MailOutcome::Ended(ended))
            }
            Next::Postpone { asked, undelivered } => {
                let pause = self.pace.pause(claimed.failures).max(asked.unwrap_or_default());
                self.ports.jobs.postpone(id, epoch, pause, undelivered).await?;
                Ok(MailOutcome::Postponed(pause))
            }
        }
    }

    async fn attempt(&self, claimed: &ClaimedMail) -> Result<Next, StaleClaim> {
        let ClaimedMail { mail, epoch, deliveries, .. } = claimed;
        if *deliveries >= MOST_DELIVERIES {
            return Ok(Next::End(Ended::Failed("no answer from the mail server, twice")));
        }
        let recipient = match self.ports.users.recipient(mail.user, &mail.cause).await {
            Ok(recipient) => recipient,
            Err(UsersError::Gone) => return Ok(Next::End(Ended::Skipped)),
            Err(UsersError::Invalid(error)) => {
                tracing::warn!(%error, "the recipient of a mail cannot be written to");
                return Ok(Next::End(Ended::Failed("name or address cannot be used in a mail")));
            }
            Err(UsersError::Unanswered(cause)) => {
                tracing::warn!(cause, "the recipient of a mail is not known");
                return Ok(Next::Postpone { asked: None, undelivered: false });
            }
        };
        let message = Message::render(&mail.notice, &recipient, &self.shop);
        self.ports.jobs.begin_delivery(mail.id, *epoch, self.pace.lease).await?;
        Ok(decide(mail, self.ports.mailer.send(mail, &recipient, &message).await))
    }
}

fn decide(mail: &NewMail, sent: Result<(), SendError>) -> Next {
    match sent {
        Ok(()) => Next::End(Ended::Sent),
        Err(SendError::Refused(refusal)) => Next::End(Ended::Failed(match refusal {
            Refusal::Recipient => "the mail server refuses the recipient",
            Refusal::Mail => "the mail server refuses the mail",
        })),
        Err(SendError::NotSent { cause, retry_after }) => {
            tracing::warn!(mail = %mail.id, cause, "mail not sent");
            Next::Postpone { asked: retry_after, undelivered: true }
        }
        Err(error @ SendError::Unknown(_)) => {
            tracing::warn!(mail = %mail.id, %error, "mail may have been sent");
            Next::Postpone { asked: None, undelivered: false }
        }
    }
}
