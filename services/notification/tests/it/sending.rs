//! The whole service, with a real SMTP server and a fake user service.

use gantry_notification::domain::Notice;
use gantry_test_authority::Authority;
use uuid::Uuid;

use crate::{
    sink::Sink,
    support::{ANN, Running, euros, smtp, state, until, welcome},
};

#[tokio::test(flavor = "multi_thread")]
async fn each_event_makes_exactly_one_mail() {
    let sink = Sink::start(None);
    let running = Running::start(&smtp(sink.port)).await;
    for event in 1..=5 {
        running.write(welcome(event)).await;
        running.write(welcome(event)).await;
    }
    for event in 1..=5 {
        assert_eq!(until(running.database(), event, "sent").await.1, 0);
    }
    let mails = sink.mails();
    let mut ids: Vec<_> = mails.iter().flat_map(|mail| mail.header("Message-ID")).collect();
    ids.sort_unstable();
    let expected = (1..=5).map(|event| format!("<{}@gantry.example>", Uuid::from_u128(event)));
    assert_eq!(ids, expected.collect::<Vec<_>>());
    for mail in mails {
        assert_eq!(mail.0["to"], serde_json::json!(["ann@example.org"]));
        assert_eq!(mail.0["from"], "shop@gantry.example");
        assert!(mail.content().contains("Hello Ann,"), "{mail:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_recipient_ends_the_mail_without_a_word_about_it() {
    let sink = Sink::start(None);
    let running = Running::start(&smtp(sink.port)).await;
    sink.behave("refuse");
    running.write(welcome(1)).await;
    let (_, failures, cause) = until(running.database(), 1, "failed").await;
    assert_eq!(failures, 0);
    // The server's answer has the address.
    assert_eq!(cause.as_deref(), Some("the mail server refuses the recipient"));
    assert!(sink.mails().is_empty());
}

/// Waits until the first mail has failed so often.
async fn until_failures(running: &Running, failures: i64) {
    gantry_common_testing::eventually("failures", async || {
        (state(running.database(), 1).await.1 >= failures).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_gets_the_mail_later() {
    let sink = Sink::start(None);
    let running = Running::start(&smtp(sink.port)).await;
    sink.behave("busy");
    running.write(welcome(1)).await;
    until_failures(&running, 2).await;
    sink.behave("take");
    until(running.database(), 1, "sent").await;
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_gets_two_copies_at_most() {
    let sink = Sink::start(None);
    let running = Running::start(&smtp(sink.port)).await;
    sink.behave("die");
    running.write(welcome(1)).await;
    let (_, _, cause) = until(running.database(), 1, "failed").await;
    assert_eq!(cause.as_deref(), Some("no answer from the mail server, twice"));
    let mails = sink.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_line_break_is_never_sent() {
    let sink = Sink::start(None);
    let running = Running::start(&smtp(sink.port)).await;
    running.users.put(ANN, "Ann\r\nBcc: eve@example.org", "ann@example.org");
    running.write(welcome(1)).await;
    let (_, _, cause) = until(running.database(), 1, "failed").await;
    assert_eq!(cause.as_deref(), Some("name or address cannot be used in a mail"));
    running.users.put(ANN, "Ann, <eve@example.org> \"Änn\"", "ann@example.org");
    running.write(welcome(2)).await;
    until(running.database(), 2, "sent").await;
    let mails = sink.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].0["to"], serde_json::json!(["ann@example.org"]));
    assert!(mails[0].header("Bcc").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_is_gone_gets_no_mail() {
    let sink = Sink::start(None);
    let running = Running::start(&smtp(sink.port)).await;
    let mut mail = welcome(1);
    mail.user = Uuid::from_u128(0xdead);
    running.write(mail).await;
    until(running.database(), 1, "skipped").await;
    assert!(sink.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_mailer_needs_no_server() {
    let running = Running::start("").await;
    let mut mail = welcome(1);
    mail.notice = Notice::OrderConfirmed { order: Uuid::from_u128(7), total: euros(100) };
    running.write(mail).await;
    until(running.database(), 1, "sent").await;
}

/// Returns the settings of a server with STARTTLS.
fn starttls(port: u16, ca_file: &std::path::Path, password: &str) -> String {
    format!(
        "mail.transport = 'smtp'
        mail.smtp.host = 'localhost'
        mail.smtp.port = {port}
        mail.smtp.ca_file = '{}'
        mail.smtp.user = 'gantry'
        mail.smtp.password = '{password}'
        mail.smtp.timeout = '2s'",
        ca_file.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_protects_mail_and_password() {
    let authority = Authority::new();
    let issued = authority.issue("smtp", &["localhost"]);
    let sink = Sink::start(Some(&issued));
    let settings = starttls(sink.port, &authority.ca_file(), "correct");
    let running = Running::start(&settings).await;
    running.write(welcome(1)).await;
    until(running.database(), 1, "sent").await;
    let mail = &sink.mails()[0].0;
    assert_eq!((&mail["tls"], &mail["user"]), (&true.into(), &"gantry".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_authority_gets_no_mail() {
    let (authority, other) = (Authority::new(), Authority::new());
    let issued = authority.issue("smtp", &["localhost"]);
    let sink = Sink::start(Some(&issued));
    let running = Running::start(&starttls(sink.port, &other.ca_file(), "correct")).await;
    running.write(welcome(1)).await;
    until_failures(&running, 1).await;
    assert!(sink.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_starttls_gets_no_mail() {
    let authority = Authority::new();
    let sink = Sink::start(None);
    let running = Running::start(&starttls(sink.port, &authority.ca_file(), "correct")).await;
    running.write(welcome(1)).await;
    until_failures(&running, 1).await;
    assert!(sink.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_delays_mails_and_loses_none() {
    let authority = Authority::new();
    let sink = Sink::start(Some(&authority.issue("smtp", &["localhost"])));
    let settings = starttls(sink.port, &authority.ca_file(), "wrong");
    let running = Running::start(&settings).await;
    running.write(welcome(1)).await;
    until_failures(&running, 1).await;
    assert_eq!(state(running.database(), 1).await.0, "waiting");
    assert!(sink.mails().is_empty());
}
