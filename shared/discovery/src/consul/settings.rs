//! How Consul is reached and what it is asked to do.

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

/// The `discovery.consul` section of a service's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// The local agent's HTTP API: `http://HOST:PORT` or `https://HOST:PORT`.
    #[setters(into)]
    pub url: String,
    /// With `https`: the authorities (PEM) that may vouch for the agent. This and the
    /// two below are read at the start and followed: new connections use what they hold.
    #[setters(into)]
    pub ca_file: Option<PathBuf>,
    /// With `https`: our own certificate (PEM, with its chain), where the agent asks
    /// for one.
    #[setters(into)]
    pub cert_file: Option<PathBuf>,
    /// The private key (PEM) of `cert_file`.
    #[setters(into)]
    pub key_file: Option<PathBuf>,
    /// The file that holds the ACL token. Read again for every request, so that a
    /// token can be rotated.
    #[setters(into)]
    pub token_file: Option<PathBuf>,
    /// Lets the token be sent without TLS to an agent on another machine. Default: it is refused.
    pub allow_plaintext: bool,
    /// The datacenter whose instances are watched; none is the agent's own.
    #[setters(into)]
    pub datacenter: Option<String>,
    /// How Consul learns an instance's health.
    pub check: Check,
    /// With `check = "ttl"`: how long an instance that says nothing is healthy, at
    /// least 3 s; it speaks three times as often.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub check_ttl: Duration,
    /// How often Consul checks an instance's health: at least 1 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub check_interval: Duration,
    /// How long an instance may take to answer a check.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub check_timeout: Duration,
    /// After how long in critical health Consul forgets an instance: at least 1 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub deregister_critical_after: Duration,
    /// How often the agent is asked whether it still knows an instance.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub verify_interval: Duration,
    /// How long a watch waits for a change before it asks again; Consul's silent
    /// death is noticed that late. From 1 s to 10 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub wait: Duration,
    /// How long a request may take, besides the waiting asked for.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Time between two look-ups of an instance's host name, where it is registered with one:
    /// from 1 s to 1 h.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub name_refresh: Duration,
    /// How long no empty answer is believed after Consul failed or may have lost its
    /// data.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub hold_empty: Duration,
}

/// Who tells Consul of an instance's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The agent asks the instance's `grpc.health.v1.Health`, through TLS where the
    /// instance speaks it. Whom the agent trusts then is its own setting: its `ca_file`,
    /// `server_name` and `enable_agent_tls_for_checks`.
    #[default]
    Grpc,
    /// The instance, where the agent cannot reach it. Then Consul knows only that the
    /// process lives and reaches the agent, not whether it says that it serves.
    Ttl,
}

/// A key whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct InvalidSettings {
    /// The key, within the section.
    pub key: &'static str,
    /// What is wrong with it.
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
    /// How long to leave the agent alone while it knows the instance; `random` is in
    /// 0..1 and spreads those that started together.
    pub(super) fn until_next_word(&self, random: f64) -> Duration {
        let pause = jittered(self.verify_interval, random);
        match self.check {
            Check::Grpc => pause,
            // Two beats may be lost on the way.
            Check::Ttl => pause.min(self.check_ttl / 3),
        }
    }

    /// Everything that is wrong with them.
    pub(crate) fn problems(&self) -> Vec<InvalidSettings> {
        self.times().into_iter().chain(self.reaching().err()).collect()
    }

    pub(super) fn client(&self) -> Result<Client, InvalidSettings> {
        match self.times().into_iter().next() {
            Some(invalid) => Err(invalid),
            None => self.reaching(),
        }
    }

    /// The times that cannot be.
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

    /// How the agent is reached.
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

    /// Where the agent is. A refusal never repeats what could hold a password.
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

    fn transport(&self, agent: &Agent) -> Result<Transport, InvalidSettings> {
        let files = [
            ("ca_file", &self.ca_file),
            ("cert_file", &self.cert_file),
            ("key_file", &self.key_file),
        ];
        if agent.scheme == "http" {
            return match files.iter().find(|(_, file)| file.is_some()) {
                Some((key, _)) => {
                    let why = "is of no use without an https:// url".into();
                    Err(InvalidSettings { key, why })
                }
                None => Ok(Transport::plain(self.timeout)),
            };
        }
        let Some(ca_file) = &self.ca_file else {
            let why = "is needed beside an https:// url".into();
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
    fn a_url_that_cannot_be_used_is_refused_without_repeating_it() {
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
    fn durations_that_consul_would_not_keep_are_refused() {
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
    fn a_ttl_check_is_beaten_at_a_third_of_its_time_to_live() {
        let seconds = |check, check_ttl, random| {
            let check_ttl = Duration::from_secs(check_ttl);
            let settings = Settings { check, check_ttl, ..Settings::default() };
            settings.until_next_word(random).as_secs_f64()
        };
        for random in [0.0, 0.5, 1.0] {
            assert_eq!(seconds(Check::Ttl, 6, random), 2.0, "at {random}");
        }
        // An agent that lost its data is to be noticed within 10 s all the same.
        assert_eq!(seconds(Check::Ttl, 3600, 0.5), 3.0);
        assert_eq!(seconds(Check::Grpc, 6, 1.0), 3.3);
    }

    /// A check begins every interval, and is over after its timeout.
    #[test]
    fn the_defaults_notice_a_killed_instance_and_a_lost_registration_within_ten_seconds() {
        let settings = Settings::default();
        let ten = Duration::from_secs(10);
        assert!(settings.check_interval + settings.check_timeout < ten);
        assert!(settings.check_ttl <= Duration::from_secs(15));
        assert!(settings.until_next_word(1.0) + settings.timeout < ten);
        assert_eq!(settings.check_interval, Duration::from_secs(5));
        assert_eq!(settings.check_timeout, Duration::from_secs(2));
        assert_eq!(settings.hold_empty, Duration::from_secs(30));
    }

    #[test]
    fn what_tls_needs_is_found_wrong_at_once() {
        let why = refused(|settings| settings.ca_file = Some("/nowhere".into()));
        assert_eq!(why, "ca_file: is of no use without an https:// url");

        let secure = |change: fn(&mut Settings)| {
            refused(|settings| {
                settings.url = "https://consul:8501".to_owned();
                change(settings);
            })
        };
        assert_eq!(secure(|_| {}), "ca_file: is needed beside an https:// url");
        let why = secure(|settings| settings.ca_file = Some("/nowhere".into()));
        assert!(why.starts_with("ca_file: /nowhere: "), "{why}");
        let why = secure(|settings| settings.ca_file = Some("/dev/null".into()));
        assert_eq!(why, "ca_file: /dev/null: it is a device or a pipe, not a file");
    }

    #[test]
    fn a_token_file_that_is_missing_is_found_at_once() {
        let why = refused(|settings| settings.token_file = Some("/nowhere/token".into()));
        assert!(why.starts_with("token_file: /nowhere/token: "), "{why}");
    }
}
