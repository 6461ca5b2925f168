//! Use cases and ports.
//!
//! An event becomes a [`NewMail`], written in the transaction in which the event takes effect. The
//! [`Sender`] claims written mails, asks for the recipient and sends. So a mail is personal only while it
//! is sent.

mod pace;
mod ports;
mod send_mail;
mod sender;

pub use self::{
    pace::Pace,
    ports::{
        Cause, ClaimedMail, Claims, Ended, Jobs, MailId, Mailer, NewMail, Refusal, SendError,
        StaleClaim, Users, UsersError,
    },
    send_mail::{MailOutcome, Ports, SendMail},
    sender::Sender,
};
