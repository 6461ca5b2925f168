//! Mails: what is told to whom, and how it reads.

mod message;
mod notice;
mod recipient;
mod template;

pub use message::Message;
pub use notice::{Notice, RejectReason};
pub use recipient::{InvalidRecipient, Recipient};
