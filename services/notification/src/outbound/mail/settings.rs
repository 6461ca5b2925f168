//! Settings of mails.

use std::{path::PathBuf, time::Duration};

use gantry_config::{Check, Problems, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::letter::Sender;

/// Way out for mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// One line in the log, without content and address.
    Log,
    /// An SMTP server.
    Smtp,
}

/// Protection of the connection to the SMTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Begins in plaintext, and goes on with TLS or not at all (RFC 3207). The usual one of port 587.
    StartTls,
    /// TLS from the first byte (RFC 8314). The usual one of port 465.
    Tls,
    /// None. On loopback only, unless `allow_plaintext` is true.
    Plaintext,
}

/// Settings of mails.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// Way out.
    pub transport: Transport,
    /// Sender of all mails.
    pub from: From,
    /// Only for `smtp`: the server.
    pub smtp: SmtpSettings,
}

/// Sender of all mails.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// Name of the shop, which mails also have in their text.
    pub name: String,
    /// Address.
    pub address: String,
}

/// An SMTP server. The password is never shown.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    /// Host name or IP address. With TLS the server's certificate must contain it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Protection of the connection.
    pub security: Security,
    /// True if mails may cross the network in plaintext.
    pub allow_plaintext: bool,
    /// Certificate authorities (PEM) that are trusted to issue the server's certificate. No others are.
    /// Read for each connection.
    pub ca_file: PathBuf,
    /// User name. Empty: no authentication.
    pub user: String,
    /// Password.
    pub password: Secret,
    /// Longest time for the connection and all commands up to the mail's text, and again for the text: 1 s
    /// to 10 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

impl Check for MailSettings {
    fn check(&self, problems: &mut Problems) {
        if let Err(why) = Sender::new(&self.from.name, &self.from.address) {
            problems.add("from", why.to_string());
        }
        if self.transport == Transport::Smtp {
            problems.within("smtp", &self.smtp);
        }
    }
}

impl Check for SmtpSettings {
    fn check(&self, problems: &mut Problems) {
        if self.host.is_empty() {
            problems.expected("host", "a host name or an IP address");
        }
        if self.security == Security::Plaintext {
            if !self.is_local() && !self.allow_plaintext {
                problems.expected(
                    "security",
                    "starttls or tls to another machine, or allow_plaintext = true",
                );
            }
        } else if self.ca_file.as_os_str().is_empty() {
            problems.expected("ca_file", "a file: security is not plaintext");
        }
        if self.user.is_empty() != self.password.expose().is_empty() {
            problems.expected("password", "set if user is, and only then");
        }
    }
}

impl SmtpSettings {
    /// Returns true if the server is on this machine.
    pub fn is_local(&self) -> bool {
        gantry_tls::is_loopback(self.host.trim_end_matches('.'))
    }
}
