//! Log lines contain no secret and no personal data.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{filter::EnvFilter, fmt::MakeWriter};

use super::{PASSWORD, Running, new, refused};

/// Captured log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Captures the log of all tests in this process. A subscriber of one thread would miss events: tracing
/// caches that no subscriber was interested in them when another thread reached them first.
#[tokio::test]
async fn no_log_line_has_an_address_a_password_or_a_token() {
    let log = Log::default();
    // Without telemetry's filters and redaction: this checks the events themselves.
    let filter = EnvFilter::new("trace,h2=debug");
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone());
    subscriber.init();

    let running = Running::start().await;
    let admin = running.admin().await;
    admin.create(new("needle-ann@example.org")).await.unwrap();
    refused(admin.create(new("needle-ann@example.org")), tonic::Code::AlreadyExists, "EMAIL_TAKEN")
        .await;
    let pair = running.login("needle-ann@example.org", PASSWORD).await.unwrap();
    let wrong = running.login("needle-ann@example.org", "needle-password");
    refused(wrong, tonic::Code::Unauthenticated, "BAD_CREDENTIALS").await;
    let unknown = running.login("needle-bob@example.org", "needle-password");
    refused(unknown, tonic::Code::Unauthenticated, "BAD_CREDENTIALS").await;
    drop(running.restart().await);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in ["user created", "user logged in", "login refused", "administrator created"] {
        assert!(log.contains(expected), "{expected:?} is not in the log");
    }
    let secrets = [
        "needle",
        "Ann Smith",
        PASSWORD,
        "first administrator",
        "gantry.local",
        "$argon2id$",
        &pair.access_token,
        &pair.refresh_token,
    ];
    for secret in secrets {
        let line = log.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
        assert_eq!(line, None, "{secret:?} is in the log");
    }
}
