//! The text of a mail.

use super::{
    Notice, Recipient,
    template::{Form, fill},
};

/// Subject and text of a mail, in plain text and in HTML.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Subject: one line without personal data.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// The text has the recipient's name.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Returns the subject and the two templates of a kind of mail.
macro_rules! templates {
    ($subject:literal, $file:literal) => {
        (
            $subject,
            include_str!(concat!("../../templates/", $file, ".txt")),
            include_str!(concat!("../../templates/", $file, ".html")),
        )
    };
}

impl Message {
    /// Renders the mail that tells this recipient the notice. `shop` is the name of the shop.
    pub fn render(notice: &Notice, recipient: &Recipient, shop: &str) -> Self {
        let (subject, text, html) = match notice {
            Notice::Welcome => templates!("Welcome to {shop}", "welcome"),
            Notice::OrderConfirmed { .. } => {
                templates!("Your order {order} is confirmed", "order_confirmed")
            }
            Notice::OrderRejected { .. } => {
                templates!("Your order {order} could not be accepted", "order_rejected")
            }
        };
        let (order, total, reason) = match notice {
            Notice::Welcome => (String::new(), String::new(), ""),
            Notice::OrderConfirmed { order, total } => (order.to_string(), total.to_string(), ""),
            Notice::OrderRejected { order, reason } => {
                (order.to_string(), String::new(), reason.sentence())
            }
        };
        let values = [
            ("name", recipient.name()),
            ("shop", shop),
            ("order", &*order),
            ("total", &*total),
            ("reason", reason),
        ];
        Self {
            subject: fill(subject, Form::Text, &values),
            text: fill(text, Form::Text, &values),
            html: fill(html, Form::Html, &values),
        }
    }
}
