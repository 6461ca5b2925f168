//! Meanings of the failures of SMTP.

use gantry_resilience::circuit_breaker::Outcome;
use lettre::transport::smtp::Error;

use crate::application::{Refusal, SendError};

/// Part of a session (RFC 5321, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connection, TLS, authentication, sender.
    Session,
    /// The recipient's address.
    Recipient,
    /// Begin of the text.
    Data,
    /// The text, and the answer that takes the mail.
    Text,
}

/// Returns what a failure at this stage means for the mail, and for the server's breaker. The text of the
/// server is left out: it may name the recipient.
pub(super) fn failure(stage: Stage, error: &Error) -> (SendError, Outcome) {
    let Some(code) = error.status() else {
        // No answer: only after the text the server may have taken the mail.
        let cause = cause(error);
        return match stage {
            Stage::Text => (SendError::Unknown(cause), Outcome::Failed),
            Stage::Session | Stage::Recipient | Stage::Data => (not_sent(cause), Outcome::Failed),
        };
    };
    let cause = format!("the mail server answers {code} to the {}", stage.name());
    match stage {
        // The same for every mail: only an operator can change it.
        Stage::Session => (not_sent(cause), Outcome::Failed),
        _ if error.is_transient() => {
            // The server closes the session (RFC 5321, section 3.8).
            let closes = code.to_string() == "421";
            (not_sent(cause), if closes { Outcome::Failed } else { Outcome::Success })
        }
        Stage::Recipient => (SendError::Refused(Refusal::Recipient), Outcome::Success),
        Stage::Data | Stage::Text => (SendError::Refused(Refusal::Mail), Outcome::Success),
    }
}

/// Returns the error of a stage that took too long.
pub(super) fn timed_out(stage: Stage) -> (SendError, Outcome) {
    let cause = format!("the mail server does not answer the {} in time", stage.name());
    match stage {
        Stage::Text => (SendError::Unknown(cause), Outcome::Failed),
        _ => (not_sent(cause), Outcome::Failed),
    }
}

pub(super) fn not_sent(cause: String) -> SendError {
    SendError::NotSent { cause, retry_after: None }
}

/// Describes an error that is no answer of the server.
fn cause(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Recipient => "recipient",
            Self::Data => "begin of the text",
            Self::Text => "text",
        }
    }
}
