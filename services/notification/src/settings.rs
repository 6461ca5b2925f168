//! Settings. `config/default.toml` has the defaults.

use std::time::Duration;

use gantry_config::{Bound, Problems};
use gantry_process::OwnSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outbound::mail::{MailSettings, Transport};

/// Settings of the notification service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Way out for mails.
    pub mail: MailSettings,
    /// Pace of the sender.
    pub sender: SenderSettings,
}

/// Pace of the sender.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SenderSettings {
    /// Maximum number of mails sent at the same time: 1 to 100.
    pub parallel: u32,
    /// Interval of looks for mails that are due: 10 ms to 1 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub poll: Duration,
    /// Time after which another process may take over a mail whose sender died, 10 s to 1 h. At
    /// least six times `mail.smtp.timeout` and 5 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub lease: Duration,
    /// Pause after the first failure, 10 ms to 1 h. It doubles with each.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retry_min: Duration,
    /// Longest pause, `retry_min` to 1 day.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retry_max: Duration,
    /// Age from which on a mail that could not be sent has failed, 1 min to 30 days.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub give_up_after: Duration,
}

/// Time of an attempt beside SMTP: the call to the user service and the database.
const BESIDE_SMTP: Duration = Duration::from_secs(5);

impl OwnSettings for Settings {
    const BOUNDS: &'static [Bound] = &[
        Bound::count("sender.parallel", 1, 100),
        Bound::time("sender.poll", Duration::from_millis(10), Duration::from_mins(1)),
        Bound::time("sender.lease", Duration::from_secs(10), Duration::from_hours(1)),
        Bound::time("sender.retry_min", Duration::from_millis(10), Duration::from_hours(1)),
        Bound::time("sender.retry_max", Duration::from_millis(10), Duration::from_hours(24)),
        Bound::time("sender.give_up_after", Duration::from_mins(1), Duration::from_hours(30 * 24)),
        Bound::time("mail.smtp.timeout", Duration::from_secs(1), Duration::from_mins(10)),
    ];

    fn check(&self, problems: &mut Problems) {
        problems.within("mail", &self.mail);
        let SenderSettings { lease, retry_min, retry_max, .. } = &self.sender;
        if retry_max < retry_min {
            problems.expected("sender.retry_max", "at least sender.retry_min");
        }
        // Each of six steps of a session may take a timeout of its own.
        let least = self.mail.smtp.timeout * 6 + BESIDE_SMTP;
        if self.mail.transport == Transport::Smtp && *lease < least {
            let expected = format!("at least {least:?}: six times mail.smtp.timeout and 5 s");
            problems.expected("sender.lease", expected);
        }
    }

    fn check_production(&self, problems: &mut Problems) {
        let smtp = &self.mail.smtp;
        if self.mail.transport == Transport::Smtp && smtp.allow_plaintext {
            problems.expected("mail.smtp.allow_plaintext", "false in production");
        }
    }
}
