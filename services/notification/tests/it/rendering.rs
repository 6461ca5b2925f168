//! The text of each kind of mail.

use gantry_notification::domain::{Message, Notice, Recipient, RejectReason};
use uuid::Uuid;

use crate::support::euros;

const ORDER: Uuid = Uuid::from_u128(0x0198_c5f2_0000_7000_8000_0000_0000_0001);

fn render(notice: &Notice, name: &str) -> Message {
    Message::render(notice, &Recipient::new(name, "ann@example.org").unwrap(), "Gantry")
}

#[test]
fn a_welcome_greets_by_name() {
    let message = render(&Notice::Welcome, "Ann");
    assert_eq!(message.subject, "Welcome to Gantry");
    assert_eq!(message.text, "Hello Ann,\n\nwelcome to Gantry. Your account is ready.\n\nGantry\n");
    assert_eq!(
        message.html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<body>\n<p>Hello Ann,</p>\n\
         <p>welcome to Gantry. Your account is ready.</p>\n<p>Gantry</p>\n</body>\n</html>\n"
    );
}

#[test]
fn a_confirmation_has_order_and_total() {
    let message = render(&Notice::OrderConfirmed { order: ORDER, total: euros(12_30) }, "Ann");
    assert_eq!(message.subject, format!("Your order {ORDER} is confirmed"));
    assert_eq!(
        message.text,
        format!(
            "Hello Ann,\n\nthank you for your order {ORDER}. It is confirmed.\n\
             Total: 12.30 EUR\n\nGantry\n"
        )
    );
    assert!(message.html.contains("<p>Total: <strong>12.30 EUR</strong></p>"), "{}", message.html);
}

#[test]
fn a_rejection_says_why() {
    for (reason, sentence) in [
        (RejectReason::OutOfStock, "One of the products is out of stock."),
        (RejectReason::ProductGone, "One of the products is no longer sold."),
        (RejectReason::AccountNotActive, "Your account cannot place orders at the moment."),
        (RejectReason::Fault, "A fault on our side prevented it. Please try again."),
    ] {
        let message = render(&Notice::OrderRejected { order: ORDER, reason }, "Ann");
        assert_eq!(message.subject, format!("Your order {ORDER} could not be accepted"));
        let line = format!("we could not accept your order {ORDER}. {sentence}");
        assert!(message.text.contains(&line) && message.html.contains(&line), "{}", message.text);
    }
}

#[test]
fn no_placeholder_is_left() {
    let notices = [
        Notice::Welcome,
        Notice::OrderConfirmed { order: ORDER, total: euros(1) },
        Notice::OrderRejected { order: ORDER, reason: RejectReason::Fault },
    ];
    for notice in notices {
        let Message { subject, text, html } = render(&notice, "Ann");
        assert!(![&*subject, &*text, &*html].concat().contains(['{', '}']), "{notice:?}");
        assert!(!subject.contains("Ann") && !subject.contains('\n'), "{subject}");
    }
}

#[test]
fn markup_in_a_name_is_escaped_in_html_only() {
    let message = render(&Notice::Welcome, "<script>\"&'</script>");
    assert!(message.text.starts_with("Hello <script>\"&'</script>,\n"), "{}", message.text);
    let escaped = "<p>Hello &lt;script&gt;&quot;&amp;&#39;&lt;/script&gt;,</p>";
    assert!(message.html.contains(escaped), "{}", message.html);
}
