//! Settings of the Consul adapter.

use std::{path::PathBuf, time::Duration};

use derive_setters::Setters;
use gantry_tls::{ClientTls, InvalidTls};
use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    client::{Agent, Client},
    pace::jittered,
    token::TokenFile,
    transport::Transport,
};

/// Section `discovery.consul` of a service's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// HTTP API of the local agent: `http://HOST:PORT` or `https://HOST:PORT`.
    #[setters(into)]
    pub url: String,
    /// Only for `https`: certificate authorities (PEM) of the agent. This file and the next two are
    /// read at the start and again when they change; new connections use the current content.
    #[setters(into)]
    pub ca_file: Option<PathBuf>,
    /// Only for `https`: the client's certificate and its intermediate certificates (PEM), if the
    /// agent requires one.
    #[setters(into)]
    pub cert_file: Option<PathBuf>,
    /// Private key (PEM) of `cert_file`.
    #[setters(into)]
    pub key_file: Option<PathBuf>,
    /// File with the ACL token. Read for each request, so the token can be rotated.
    #[setters(into)]
    pub token_file: Option<PathBuf>,
    /// Allows the token to be sent without TLS to an agent on another machine. Default: false.
    pub allow_plaintext: bool,
    /// Datacenter of the watched instances. Default: that of the agent.
    #[setters(into)]
    pub datacenter: Option<String>,
    /// Health check of registered instances.
    pub check: Check,
    /// For `check = "ttl"`: time for which an instance stays healthy after it passed its check. At
    /// least 3 s. The instance passes the check three times as often.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub check_ttl: Duration,
    /// Interval of health checks by Consul. At least 1 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub check_interval: Duration,
    /// Timeout of a health check.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub check_timeout: Duration,
    /// Time after which Consul removes a critical instance. At least 1 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub deregister_critical_after: Duration,
    /// Interval of the requests that verify that the agent still knows an instance.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub verify_interval: Duration,
    /// Maximum time for which a query blocks, from 1 s to 10 min. An agent that dies silently is
    /// noticed after this time.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub wait: Duration,
    /// Timeout of a request, in addition to the time for which it blocks.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Time between two look-ups of an instance's host name, from 1 s to 1 h. Only for instances
    /// that are registered with a host name.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub name_refresh: Duration,
    /// Time for which empty answers are held back after a failure of Consul or a possible loss of
    /// its data.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub hold_empty: Duration,
}

/// Health check of registered instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The agent calls the instance's `grpc.health.v1.Health`, with TLS if the instance serves it.
    /// The agent's own settings decide which certificates it trusts: `ca_file`, `server_name` and
    /// `enable_agent_tls_for_checks`.
    #[default]
    Grpc,
    /// The instance passes the check itself, for agents that cannot reach it. Consul then knows
    /// only that the process lives and reaches the agent, not that it serves.
    Ttl,
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
            url: "http://127.0.0.1:8500".to_owned(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            token_file: None,
            allow_plaintext: false,
            datacenter: None,
            check: Check::Grpc,
            check_ttl: Duration::from_secs(15),
            check_interval: Duration::from_secs(5),
            check_timeout: Duration::from_secs(2),
            deregister_critical_after: Duration::from_secs(60),
            verify_interval: Duration::from_secs(3),
            wait: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            name_refresh: Duration::from_secs(10),
            hold_empty: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Returns the delay before the next request about a known instance. `random` is in 0..1 and
    /// spreads instances that started together.
    pub(super) fn verify_delay(&self, random: f64) -> Duration {
        let pause = jittered(self.verify_interval, random);
        match self.check {
            Check::Grpc => pause,
            // Tolerates two lost passes of the check.
            Check::Ttl => pause.min(self.check_ttl / 3),
        }
    }

    /// Returns all problems of the settings.
    pub(crate) fn problems(&self) -> Vec<InvalidSettings> {
        self.times().into_iter().chain(self.reaching().err()).collect()
    }

    pub(super) fn client(&self) -> Result<Client, InvalidSettings> {
        match self.times().into_iter().next() {
            Some(invalid) => Err(invalid),
            None => self.reaching(),
        }
    }

    /// Returns all problems of durations.
    fn times(&self) -> Vec<InvalidSettings> {
        let (instant, second) = (Duration::from_millis(1), Duration::from_secs(1));
        let (minute, ever) = (60 * second, Duration::MAX);
        let between = [
            ("check_interval", self.check_interval, second, ever),
            ("check_ttl", self.check_ttl, 3 * second, ever),
            ("check_timeout", self.check_timeout, instant, ever),
            ("deregister_critical_after", self.deregister_critical_after, minute, ever),
            ("verify_interval", self.verify_interval, 100 * instant, ever),
            ("wait", self.wait, second, 10 * minute),
            ("timeout", self.timeout, instant, ever),
            ("name_refresh", self.name_refresh, second, 60 * minute),
        ];
        let invalid = |(key, value, least, most)| {
            let why = if value < least {
                format!("expected at least {least:?}, got {value:?}")
            } else if value > most {
                format!("expected at most {most:?}, got {value:?}")
            } else {
                return None;
            };
            Some(InvalidSettings { key, why })
        };
        between.into_iter().filter_map(invalid).collect()
    }

    /// Creates the client of the agent.
    fn reaching(&self) -> Result<Client, InvalidSettings> {
        let agent = self.agent().map_err(|why| InvalidSettings { key: "url", why })?;
        let transport = self.transport(&agent)?;
        if self.token_file.is_some() && agent.is_open_to_others() && !self.allow_plaintext {
            let why = format!(
                "the token would be sent without TLS to {}: use an https:// url and ca_file, or \
                 set allow_plaintext = true",
                agent.authority
            );
            return Err(InvalidSettings { key: "token_file", why });
        }
        let token = self.token_file.clone().map(TokenFile::new);
        if let Some(token) = &token {
            let invalid = |error: super::token::TokenError| InvalidSettings {
                key: "token_file",
                why: error.to_string(),
            };
            token.read_blocking().map_err(invalid)?;
        }
        Ok(Client::new(agent, transport, token, self.timeout))
    }

    /// Returns true if the traffic to the agent is readable on the network: no TLS, and another machine.
    /// False for an invalid URL, which is a problem of its own.
    pub fn is_open_to_others(&self) -> bool {
        self.agent().is_ok_and(|agent| agent.is_open_to_others())
    }

    /// Parses the agent's address. An error does not quote the URL, which may contain a password.
    fn agent(&self) -> Result<Agent, String> {
        const EXPECTED: &str = "expected http://HOST:PORT or https://HOST:PORT";
        let uri: Uri = self.url.parse().map_err(|_| EXPECTED.to_owned())?;
        let scheme = match uri.scheme_str() {
            Some("http") => "http",
            Some("https") => "https",
            _ => return Err(EXPECTED.into()),
        };
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        if authority.contains('@') {
            return Err("a password in the URL is not used: see token_file".into());
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err("expected nothing behind HOST:PORT".into());
        }
        Ok(Agent { scheme, authority: authority.to_owned() })
    }

    /// Returns host and port of the agent. None for an invalid URL.
    pub(crate) fn host_and_port(&self) -> Option<(String, u16)> {
        let uri: Uri = self.url.parse().ok()?;
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), uri.port_u16().unwrap_or(default)))
    }

    fn transport(&self, agent: &Agent) -> Result<Transport, InvalidSettings> {
        let files = [
            ("ca_file", &self.ca_file),
            ("cert_file", &self.cert_file),
            ("key_file", &self.key_file),
        ];
        if agent.scheme == "http" {
            return match files.iter().find(|(_, file)| file.is_some()) {
                Some((key, _)) => {
                    let why = "has no effect without an https:// url".into();
                    Err(InvalidSettings { key, why })
                }
                None => Ok(Transport::plain(self.timeout)),
            };
        }
        let Some(ca_file) = &self.ca_file else {
            let why = "is required with an https:// url".into();
            return Err(InvalidSettings { key: "ca_file", why });
        };
        let (cert_file, key_file) = (self.cert_file.clone(), self.key_file.clone());
        let mut tls = ClientTls::trusting(ca_file);
        (tls.cert_file, tls.key_file) = (cert_file, key_file);
        let live = tls.load().map_err(|InvalidTls { key, why }| InvalidSettings { key, why })?;
        Ok(Transport::secure(live, self.timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.client().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_can_be_used() {
        Settings::default().client().unwrap();
    }

    #[test]
    fn an_invalid_url_is_rejected_without_quoting_it() {
        let url = |url: &str| refused(|settings| settings.url = url.to_owned());
        assert_eq!(
            url("http://me:hunter2@consul:8500"),
            "url: a password in the URL is not used: see token_file"
        );
        assert_eq!(url("http://consul/v1"), "url: expected nothing behind HOST:PORT");
        for wrong in ["", "consul", "consul:8500", "unix:///run/consul", "http://"] {
            let why = url(wrong);
            assert_eq!(why, "url: expected http://HOST:PORT or https://HOST:PORT", "{wrong:?}");
        }
    }

    #[test]
    fn a_url_has_a_host_and_a_port() {
        for (url, expected) in [
            ("http://consul:8500", Some(("consul", 8500))),
            ("https://10.0.0.7", Some(("10.0.0.7", 443))),
            ("http://[fd00::7]/", Some(("fd00::7", 80))),
            ("nonsense", Some(("nonsense", 80))),
            ("/", None),
        ] {
            let found = Settings::default().url(url).host_and_port();
            assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)), "{url}");
        }
    }

    #[test]
    fn durations_outside_of_consuls_limits_are_rejected() {
        let short = Duration::from_millis(999);
        let why = refused(|settings| settings.check_interval = short);
        assert_eq!(why, "check_interval: expected at least 1s, got 999ms");
        let why = refused(|settings| settings.deregister_critical_after = short);
        assert_eq!(why, "deregister_critical_after: expected at least 60s, got 999ms");
        let why = refused(|settings| settings.wait = Duration::from_secs(601));
        assert_eq!(why, "wait: expected at most 600s, got 601s");
        let why = refused(|settings| settings.wait = Duration::ZERO);
        assert_eq!(why, "wait: expected at least 1s, got 0ns");
    }

    #[test]
    fn a_ttl_check_is_passed_at_a_third_of_its_ttl() {
        let seconds = |check, check_ttl, random| {
            let check_ttl = Duration::from_secs(check_ttl);
            let settings = Settings { check, check_ttl, ..Settings::default() };
            settings.verify_delay(random).as_secs_f64()
        };
        for random in [0.0, 0.5, 1.0] {
            assert_eq!(seconds(Check::Ttl, 6, random), 2.0, "at {random}");
        }
        // An agent that lost its data must still be noticed within 10 s.
        assert_eq!(seconds(Check::Ttl, 3600, 0.5), 3.0);
        assert_eq!(seconds(Check::Grpc, 6, 1.0), 3.3);
    }

    /// A check starts once per interval and ends after its timeout at the latest.
    #[test]
    fn the_defaults_notice_losses_within_ten_seconds() {
        let settings = Settings::default();
        let ten = Duration::from_secs(10);
        assert!(settings.check_interval + settings.check_timeout < ten);
        assert!(settings.check_ttl <= Duration::from_secs(15));
        assert!(settings.verify_delay(1.0) + settings.timeout < ten);
        assert_eq!(settings.check_interval, Duration::from_secs(5));
        assert_eq!(settings.check_timeout, Duration::from_secs(2));
        assert_eq!(settings.hold_empty, Duration::from_secs(30));
    }

    #[test]
    fn unusable_tls_settings_are_reported_at_once() {
        let why = refused(|settings| settings.ca_file = Some("/nowhere".into()));
        assert_eq!(why, "ca_file: has no effect without an https:// url");

        let secure = |change: fn(&mut Settings)| {
            refused(|settings| {
                settings.url = "https://consul:8501".to_owned();
                change(settings);
            })
        };
        assert_eq!(secure(|_| {}), "ca_file: is required with an https:// url");
        let why = secure(|settings| settings.ca_file = Some("/nowhere".into()));
        assert!(why.starts_with("ca_file: /nowhere: "), "{why}");
        let why = secure(|settings| settings.ca_file = Some("/dev/null".into()));
        assert_eq!(why, "ca_file: /dev/null: it is a device or a pipe, not a file");
    }

    #[test]
    fn a_missing_token_file_is_reported_at_once() {
        let why = refused(|settings| settings.token_file = Some("/nowhere/token".into()));
        assert!(why.starts_with("token_file: /nowhere/token: "), "{why}");
    }
}
