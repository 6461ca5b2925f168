//! Settings of the RabbitMQ adapter.

use std::{path::PathBuf, time::Duration};

use derive_setters::Setters;
use http::Uri;
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Expected form of [`Settings::url`].
const EXPECTED: &str = "expected amqp://USER@HOST:PORT/VHOST or amqps://USER@HOST:PORT/VHOST";

/// Longest user name and virtual host, in bytes: AMQP's short string.
const LONGEST_NAME: usize = 255;

/// Section `events.rabbitmq` of a service's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// Broker, user and virtual host: `amqp://USER@HOST:PORT/VHOST`, or `amqps` for TLS, without a
    /// password. `%2F` stands for a slash in a name. Without a virtual host it is the default one, `/`.
    #[setters(into)]
    pub url: String,
    /// File of the user's password, read for each connection, so that it can be changed. Default: the
    /// password of RabbitMQ's own user `guest`, which the broker accepts on its own machine only.
    #[setters(into)]
    pub password_file: Option<PathBuf>,
    /// Only for `amqps`: certificate authorities (PEM) of the broker. This file and the next two are read
    /// for each connection.
    #[setters(into)]
    pub ca_file: Option<PathBuf>,
    /// Only for `amqps`: the client's certificate and its intermediate certificates (PEM), if the broker
    /// requires one.
    #[setters(into)]
    pub cert_file: Option<PathBuf>,
    /// Private key (PEM) of `cert_file`.
    #[setters(into)]
    pub key_file: Option<PathBuf>,
    /// Allows the password and the events to be sent without TLS to another machine. Default: false.
    pub allow_plaintext: bool,
    /// Time within which a connection is ready: host name, TCP, TLS and the broker's answer. Default 5 s,
    /// from 10 ms to 5 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// Interval of heartbeats, in whole seconds. A broker that is silent for twice as long is taken for
    /// lost. Default 10 s, from 1 s to 10 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub heartbeat: Duration,
}

/// An unusable setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct InvalidSettings {
    /// Key of the setting, within its section.
    pub key: &'static str,
    /// Reason why the value cannot be used.
    pub why: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "amqp://guest@127.0.0.1:5672".to_owned(),
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            allow_plaintext: false,
            connect_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// Returns the problems of the values. [`RabbitMq::new`](crate::RabbitMq::new) also reads the files.
    pub fn problems(&self) -> Vec<InvalidSettings> {
        let invalid = |key, why| InvalidSettings { key, why };
        let mut problems = Vec::new();
        match self.endpoint() {
            Err(why) => problems.push(invalid("url", why)),
            Ok(endpoint) => {
                problems.extend(self.tls_problem(&endpoint));
                if endpoint.is_open_to_others() && !self.allow_plaintext {
                    let why = format!(
                        "the password and the events would be sent without TLS to {}: use an \
                         amqps:// url and ca_file, or set allow_plaintext = true",
                        endpoint.address()
                    );
                    problems.push(invalid("url", why));
                }
                if self.password_file.is_none() && endpoint.user != "guest" {
                    let why = format!("is required for the user {:?}", endpoint.user);
                    problems.push(invalid("password_file", why));
                }
            }
        }
        let second = Duration::from_secs(1);
        let times = [
            ("connect_timeout", self.connect_timeout, Duration::from_millis(10), 300 * second),
            ("heartbeat", self.heartbeat, second, 600 * second),
        ];
        for (key, value, least, most) in times {
            if value < least {
                problems.push(invalid(key, format!("expected at least {least:?}, got {value:?}")));
            } else if value > most {
                problems.push(invalid(key, format!("expected at most {most:?}, got {value:?}")));
            }
        }
        if self.heartbeat.subsec_nanos() != 0 {
            let why = format!("expected whole seconds, got {:?}", self.heartbeat);
            problems.push(invalid("heartbeat", why));
        }
        problems
    }

    /// Returns true if the password and the events are readable on the network: no TLS, and another
    /// machine. False for an invalid URL.
    pub fn is_open_to_others(&self) -> bool {
        self.endpoint().is_ok_and(|endpoint| endpoint.is_open_to_others())
    }

    /// Parses the URL. An error does not quote it, because it may contain a password.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, String> {
        let uri: Uri = self.url.parse().map_err(|_| EXPECTED.to_owned())?;
        let (is_secure, default_port) = match uri.scheme_str() {
            Some("amqp") => (false, 5672),
            Some("amqps") => (true, 5671),
            _ => return Err(EXPECTED.to_owned()),
        };
        if uri.query().is_some() {
            return Err(format!("{EXPECTED}, and no query: see the other settings"));
        }
        let authority = uri.authority().ok_or(EXPECTED)?;
        let (user, _) = authority.as_str().rsplit_once('@').ok_or(EXPECTED)?;
        if user.contains(':') {
            return Err("a password in the URL is not used: see password_file".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || authority.port_u16() == Some(0) {
            return Err(EXPECTED.to_owned());
        }
        let vhost = match uri.path().strip_prefix('/') {
            // A client library takes this for the virtual host with an empty name.
            Some("") if self.url.ends_with('/') => {
                return Err(format!("{EXPECTED}, or nothing behind PORT"));
            }
            None | Some("") => "/".to_owned(),
            Some(path) if path.contains('/') => {
                return Err(
                    "expected one virtual host, with %2F for a slash in its name".to_owned()
                );
            }
            Some(path) => decode(path)?,
        };
        Ok(Endpoint {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(default_port),
            user: decode(user)?,
            vhost,
            is_secure,
        })
    }

    fn tls_problem(&self, endpoint: &Endpoint) -> Option<InvalidSettings> {
        let files = [
            ("ca_file", &self.ca_file),
            ("cert_file", &self.cert_file),
            ("key_file", &self.key_file),
        ];
        let (key, why) = if endpoint.is_secure {
            match self.ca_file {
                Some(_) => return None,
                None => ("ca_file", "is required with an amqps:// url"),
            }
        } else {
            let (key, _) = files.into_iter().find(|(_, file)| file.is_some())?;
            (key, "has no effect without an amqps:// url")
        };
        Some(InvalidSettings { key, why: why.to_owned() })
    }
}

/// Parts of the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) vhost: String,
    pub(crate) is_secure: bool,
}

impl Endpoint {
    /// Returns host and port, for messages.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn is_open_to_others(&self) -> bool {
        !self.is_secure && !gantry_tls::is_loopback(self.host.trim_end_matches('.'))
    }
}

/// Decodes the name of a user or a virtual host.
fn decode(name: &str) -> Result<String, String> {
    let decoded = percent_decode_str(name).decode_utf8().map_err(|_| EXPECTED.to_owned())?;
    // The separator of AMQP's authentication would end the user's name.
    if decoded.is_empty() || decoded.len() > LONGEST_NAME || decoded.contains('\0') {
        return Err(EXPECTED.to_owned());
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, String> {
        Settings::default().url(url).endpoint()
    }

    fn problems(settings: &Settings) -> Vec<String> {
        settings.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(problems(&Settings::default()), Vec::<String>::new());
    }

    #[test]
    fn a_url_names_the_broker_the_user_and_the_vhost() {
        for (url, host, port, user, vhost, is_secure) in [
            ("amqp://guest@localhost", "localhost", 5672, "guest", "/", false),
            ("amqps://order@broker/shop", "broker", 5671, "order", "shop", true),
            ("amqp://a%40b@[::1]:7/%2Fshop", "::1", 7, "a@b", "/shop", false),
        ] {
            let (host, user, vhost) = (host.to_owned(), user.to_owned(), vhost.to_owned());
            assert_eq!(endpoint(url), Ok(Endpoint { host, port, user, vhost, is_secure }), "{url}");
        }
    }

    #[test]
    fn an_invalid_url_is_rejected_without_quoting_it() {
        for url in
            ["", "broker", "amqp://", "amqp://broker", "http://a@b", "amqp://@b", "amqp://a@"]
        {
            assert_eq!(endpoint(url).unwrap_err(), EXPECTED, "{url:?}");
        }
        for (url, why) in [
            ("amqp://me:hunter2@b", "a password in the URL is not used: see password_file"),
            ("amqp://a@b/c/d", "expected one virtual host, with %2F for a slash in its name"),
            ("amqp://a%00b@c/d", EXPECTED),
            ("amqp://a@b:0", EXPECTED),
        ] {
            assert_eq!(endpoint(url).unwrap_err(), why, "{url}");
        }
        assert!(endpoint("amqp://a@b/?heartbeat=1").unwrap_err().contains("no query"));
        assert!(endpoint("amqp://a@b/").unwrap_err().ends_with("or nothing behind PORT"));
        let long = format!("amqp://a@b/{}", "v".repeat(256));
        assert_eq!(endpoint(&long).unwrap_err(), EXPECTED);
    }

    #[test]
    fn plaintext_to_another_machine_is_refused() {
        let settings = Settings::default().url("amqp://guest@broker");
        assert!(settings.is_open_to_others());
        assert_eq!(
            problems(&settings),
            ["url: the password and the events would be sent without TLS to broker:5672: use an \
              amqps:// url and ca_file, or set allow_plaintext = true"]
        );
        assert_eq!(problems(&settings.allow_plaintext(true)), Vec::<String>::new());
        for own in ["amqp://guest@[::1]", "amqp://guest@127.9.9.9", "amqps://guest@broker"] {
            assert!(!Settings::default().url(own).is_open_to_others(), "{own}");
        }
    }

    #[test]
    fn files_must_fit_the_url() {
        let named = Settings::default().url("amqp://order@localhost");
        assert_eq!(problems(&named), ["password_file: is required for the user \"order\""]);
        let plain = Settings::default().key_file("/key");
        assert_eq!(problems(&plain), ["key_file: has no effect without an amqps:// url"]);
        let secure = Settings::default().url("amqps://guest@broker");
        assert_eq!(problems(&secure), ["ca_file: is required with an amqps:// url"]);
    }

    #[test]
    fn times_have_bounds() {
        let settings = Settings::default()
            .connect_timeout(Duration::ZERO)
            .heartbeat(Duration::from_millis(1500));
        assert_eq!(
            problems(&settings),
            [
                "connect_timeout: expected at least 10ms, got 0ns",
                "heartbeat: expected whole seconds, got 1.5s"
            ]
        );
        let settings = Settings::default().heartbeat(Duration::from_secs(601));
        assert_eq!(problems(&settings), ["heartbeat: expected at most 600s, got 601s"]);
    }
}
