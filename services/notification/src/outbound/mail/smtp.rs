//! Mailer that speaks to an SMTP server.

use std::{fmt, future::Future, sync::Arc};

use async_trait::async_trait;
use gantry_contract::Clock;
use gantry_resilience::circuit_breaker::{CircuitBreaker, Config, Outcome};
use lettre::{
    Address,
    message::Mailbox,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsVersion},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailParameter},
    },
};
use tokio::time::{Instant, timeout};

use super::{
    classify::{Stage, failure, not_sent, timed_out},
    letter::{Sender, mailbox},
    settings::{Security, SmtpSettings},
};
use crate::{
    application::{Mailer, NewMail, Refusal, SendError},
    domain::{Message, Recipient},
};

/// Settings with which no mail can be sent.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSmtp {
    /// The file of the authorities cannot be read.
    #[error("smtp.ca_file: {0}")]
    Authorities(#[from] std::io::Error),
    /// The file has no certificates, or the host is no name of a certificate.
    #[error("smtp.ca_file: {0}")]
    Tls(#[from] Error),
}

/// SMTP server. Each mail has a connection of its own. A circuit breaker spares a server that is away.
pub struct SmtpMailer {
    settings: SmtpSettings,
    sender: Sender,
    clock: Arc<dyn Clock>,
    breaker: CircuitBreaker,
}

impl SmtpMailer {
    /// Creates the mailer. Does not connect.
    ///
    /// # Errors
    /// [`InvalidSmtp`].
    pub fn new(
        settings: SmtpSettings,
        sender: Sender,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidSmtp> {
        tls(&settings)?;
        let breaker = CircuitBreaker::new(Config::default());
        Ok(Self { settings, sender, clock, breaker })
    }

    async fn attempt(
        &self,
        recipient: &Mailbox,
        letter: &lettre::Message,
    ) -> Result<(), (SendError, Outcome)> {
        let tls = tls(&self.settings).map_err(|error| {
            // A file of ours: no evidence of the server's health.
            (not_sent(error.to_string()), Outcome::Neutral)
        })?;
        let mut conn = self.within(Stage::Session, self.session(tls)).await?;
        let to = &recipient.email;
        let ascii = [to, self.sender.address()].iter().all(|it| it.to_string().is_ascii());
        let international = conn.server_info().supports_feature(Extension::SmtpUtfEight);
        if !ascii && !international {
            conn.abort().await;
            return Err((SendError::Refused(Refusal::Recipient), Outcome::Success));
        }
        let options = if ascii { Vec::new() } else { vec![MailParameter::SmtpUtfEight] };
        let sender = Some(self.sender.address().clone());
        let mail = Mail::new(sender, options);
        self.within(Stage::Session, conn.command(mail)).await?;
        let sent = self.recipient_and_text(&mut conn, to, letter).await;
        // Sent or refused: a server that does not take leave is not waited for long.
        let _ = timeout(self.settings.timeout, conn.abort()).await;
        sent
    }

    async fn recipient_and_text(
        &self,
        conn: &mut AsyncSmtpConnection,
        to: &Address,
        letter: &lettre::Message,
    ) -> Result<(), (SendError, Outcome)> {
        let recipient = Rcpt::new(to.clone(), Vec::new());
        self.within(Stage::Recipient, conn.command(recipient)).await?;
        self.within(Stage::Data, conn.command(Data)).await?;
        self.within(Stage::Text, conn.message(&letter.formatted())).await?;
        Ok(())
    }

    /// Connects, and authenticates if there is a user.
    async fn session(&self, tls: Option<TlsParameters>) -> Result<AsyncSmtpConnection, Error> {
        let SmtpSettings { host, port, security, user, password, timeout, .. } = &self.settings;
        let name = ClientId::Domain(self.sender.domain().to_owned());
        let at = (host.as_str(), *port);
        let wrapped = tls.clone().filter(|_| *security == Security::Tls);
        let mut conn =
            AsyncSmtpConnection::connect_tokio1(at, Some(*timeout), &name, wrapped, None).await?;
        if let (Some(tls), Security::StartTls) = (tls, security) {
            conn.starttls(tls, &name).await?;
        }
        if !user.is_empty() {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            conn.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(conn)
    }

    async fn within<T>(
        &self,
        stage: Stage,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, (SendError, Outcome)> {
        match timeout(self.settings.timeout, step).await {
            Ok(done) => done.map_err(|error| failure(stage, &error)),
            Err(_elapsed) => Err(timed_out(stage)),
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(
        &self,
        mail: &NewMail,
        recipient: &Recipient,
        message: &Message,
    ) -> Result<(), SendError> {
        let Ok(recipient) = mailbox(recipient) else {
            return Err(SendError::Refused(Refusal::Recipient));
        };
        let letter = self.sender.letter(mail, &recipient, message, self.clock.now());
        let Ok(letter) = letter else { return Err(SendError::Refused(Refusal::Mail)) };
        let permit = self.breaker.admit(Instant::now()).map_err(|rejected| SendError::NotSent {
            cause: "the mail server was away a moment ago".to_owned(),
            retry_after: Some(rejected.retry_after),
        })?;
        let (sent, outcome) = match self.attempt(&recipient, &letter).await {
            Ok(()) => (Ok(()), Outcome::Success),
            Err((error, outcome)) => (Err(error), outcome),
        };
        permit.record(outcome, Instant::now());
        sent
    }
}

/// Returns the parameters of TLS, if the settings ask for it: the named authorities only, and the host's
/// name. Reads the file anew, so a replaced one takes effect.
fn tls(settings: &SmtpSettings) -> Result<Option<TlsParameters>, InvalidSmtp> {
    if settings.security == Security::Plaintext {
        return Ok(None);
    }
    let authorities = gantry_files::read_trusted(&settings.ca_file)?;
    let authorities = Certificate::from_pem(authorities.as_bytes())?;
    let parameters = TlsParameters::builder(settings.host.clone())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(authorities)
        .set_min_tls_version(TlsVersion::Tlsv12)
        .build()?;
    Ok(Some(parameters))
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpMailer").field("settings", &self.settings).finish_non_exhaustive()
    }
}
