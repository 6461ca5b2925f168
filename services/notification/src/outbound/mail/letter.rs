//! A mail as it goes over the wire.

use std::time::SystemTime;

use lettre::{
    Address, Message as Letter,
    address::AddressError,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};
use time::OffsetDateTime;

use crate::{
    application::NewMail,
    domain::{InvalidRecipient, Message, Recipient},
};

/// Sender of all mails.
#[derive(Clone, Debug)]
pub struct Sender {
    mailbox: Mailbox,
}

/// A sender that no mail can have.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSender {
    /// Name or address has characters that no header can hold.
    #[error(transparent)]
    Text(#[from] InvalidRecipient),
    /// The address cannot be parsed.
    #[error("the address: {0}")]
    Address(#[from] AddressError),
}

impl Sender {
    /// Creates a sender.
    ///
    /// # Errors
    /// [`InvalidSender`].
    pub fn new(name: &str, address: &str) -> Result<Self, InvalidSender> {
        Ok(Self { mailbox: mailbox(&Recipient::new(name, address)?)? })
    }

    /// Returns the domain of the address.
    pub(super) fn domain(&self) -> &str {
        self.mailbox.email.domain()
    }

    /// Returns the address.
    pub(super) fn address(&self) -> &Address {
        &self.mailbox.email
    }

    /// Makes the letter: a plain and an HTML part, and headers without line breaks. Its Message-ID follows
    /// from the mail's id, so that copies have the same (RFC 5322, section 3.6.4).
    pub(super) fn letter(
        &self,
        mail: &NewMail,
        recipient: &Mailbox,
        message: &Message,
        now: OffsetDateTime,
    ) -> Result<Letter, lettre::error::Error> {
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Letter::builder()
            .message_id(Some(format!("<{}@{}>", mail.id, self.domain())))
            .date(SystemTime::from(now))
            .from(self.mailbox.clone())
            .to(recipient.clone())
            .subject(&message.subject)
            // Keeps vacation notices away (RFC 3834).
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(
                message.text.clone(),
                message.html.clone(),
            ))
    }
}

/// Converts a recipient.
pub(super) fn mailbox(recipient: &Recipient) -> Result<Mailbox, AddressError> {
    let name = Some(recipient.name().trim()).filter(|name| !name.is_empty());
    Ok(Mailbox::new(name.map(str::to_owned), recipient.address().parse()?))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::{
        application::{Cause, MailId},
        domain::Notice,
    };

    fn letter(name: &str) -> String {
        let mail = NewMail {
            id: MailId(Uuid::from_u128(7)),
            user: Uuid::from_u128(8),
            notice: Notice::Welcome,
            cause: Cause::default(),
        };
        let ann = Recipient::new(name, "ann@example.org").unwrap();
        let message = Message::render(&mail.notice, &ann, "Gantry");
        let sender = Sender::new("Gantry", "shop@gantry.example").unwrap();
        let now = datetime!(2026-01-02 03:04:05 UTC);
        let letter = sender.letter(&mail, &mailbox(&ann).unwrap(), &message, now).unwrap();
        String::from_utf8(letter.formatted()).unwrap()
    }

    #[test]
    fn headers_name_both_ends_and_the_event() {
        let letter = letter("Ann");
        for header in [
            "Message-ID: <00000000-0000-0000-0000-000000000007@gantry.example>\r\n",
            "Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n",
            "From: Gantry <shop@gantry.example>\r\n",
            "To: Ann <ann@example.org>\r\n",
            "Subject: Welcome to Gantry\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: multipart/alternative;",
        ] {
            assert!(letter.contains(header), "{header} in {letter}");
        }
    }

    #[test]
    fn names_are_encoded_and_end_no_header() {
        for name in ["Änn 李", "Ann, Eve <eve@example.org>", "\"Ann\"", "A\\B"] {
            let letter = letter(name);
            let (headers, _) = letter.split_once("\r\n\r\n").unwrap();
            assert!(headers.is_ascii(), "{headers}");
            let to: Vec<_> = headers.lines().filter(|line| line.starts_with("To:")).collect();
            assert_eq!(to.len(), 1, "{headers}");
        }
    }

    #[test]
    fn a_sender_with_a_line_break_is_refused() {
        assert!(Sender::new("Gantry\r\nBcc: eve@example.org", "shop@gantry.example").is_err());
        assert!(Sender::new("Gantry", "shop").is_err());
    }
}
