//! The loop that sends written mails.

use std::{future::Future, sync::Arc};

use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use super::{ClaimedMail, Ended, MailOutcome, Pace, SendMail};

/// Sends written mails until it is stopped.
#[derive(Debug)]
pub struct Sender {
    send: Arc<SendMail>,
    pace: Pace,
    /// Makes a span part of a trace, given as `traceparent`.
    join_trace: fn(&Span, &str),
}

impl Sender {
    /// Creates a sender.
    pub fn new(send: SendMail, pace: Pace, join_trace: fn(&Span, &str)) -> Self {
        Self { send: Arc::new(send), pace, join_trace }
    }

    /// Claims and sends mails until `stopped`. Then it claims no more, and returns once the mails in hand
    /// are done with.
    pub async fn run(self, stopped: impl Future<Output = ()>) {
        let jobs = Arc::clone(self.send.jobs());
        let mut stopped = std::pin::pin!(stopped);
        let mut sending = JoinSet::new();
        loop {
            let free = self.pace.parallel.saturating_sub(sending.len());
            let claimed = if free == 0 { 0 } else { self.claim(free, &mut sending).await };
            tokio::select! {
                biased;
                () = &mut stopped => break,
                // One that is done makes room for the next.
                Some(done) = sending.join_next() => report(done),
                // Without room nothing can be claimed.
                () = jobs.changed(self.pace.poll), if claimed < free => {}
            }
        }
        while let Some(done) = sending.join_next().await {
            report(done);
        }
    }

    /// Claims mails and begins to send them. Returns their number.
    async fn claim(&self, limit: usize, sending: &mut JoinSet<()>) -> usize {
        let claims = match self.send.jobs().claim(limit, self.pace.lease).await {
            Ok(claims) => claims,
            Err(error) => {
                tracing::warn!(%error, "mails cannot be claimed");
                return 0;
            }
        };
        if claims.unreadable > 0 {
            tracing::error!(mails = claims.unreadable, "written mails cannot be read");
        }
        let number = claims.mails.len();
        for mail in claims.mails {
            let span = self.span(&mail);
            let send = Arc::clone(&self.send);
            sending.spawn(async move { attempt(&send, &mail).await }.instrument(span));
        }
        number
    }

    /// Returns the span of an attempt, in the trace of the call that caused the mail.
    fn span(&self, claimed: &ClaimedMail) -> Span {
        let mail = &claimed.mail;
        let span = tracing::info_span!(
            "send mail",
            otel.kind = "producer",
            mail = %mail.id,
            kind = mail.notice.kind(),
            user = %mail.user,
            request_id = mail.cause.request_id.as_deref(),
        );
        if let Some(trace) = &mail.cause.trace {
            (self.join_trace)(&span, trace);
        }
        span
    }
}

async fn attempt(send: &SendMail, claimed: &ClaimedMail) {
    match send.run(claimed).await {
        Ok(MailOutcome::Ended(Ended::Sent)) => tracing::info!("mail sent"),
        Ok(MailOutcome::Ended(Ended::Skipped)) => {
            tracing::info!("mail not sent: the user is gone");
        }
        Ok(MailOutcome::Ended(Ended::Failed(cause))) => {
            tracing::error!(cause, "mail failed for good");
        }
        Ok(MailOutcome::Postponed(pause)) => {
            tracing::info!(?pause, failures = claimed.failures + 1, "mail postponed");
        }
        Err(error) => tracing::warn!(%error, "what became of a mail cannot be noted"),
    }
}

/// A task that panicked leaves its mail to the next claim, after its lease.
fn report(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done {
        tracing::error!(%error, "an attempt to send a mail was cut off");
    }
}
