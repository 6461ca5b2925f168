//! Settings for the agents of the tests.

use std::time::Duration;

use gantry_consul_agent::Agent;
use gantry_discovery::consul::Settings;

pub(super) trait Reached {
    /// Returns settings for this agent with short intervals.
    fn settings(&self) -> Settings;

    /// Returns the same settings with TLS, but without certificates.
    fn secure_settings(&self) -> Settings;
}

impl Reached for Agent {
    fn settings(&self) -> Settings {
        let check_interval = Duration::from_secs(1);
        Settings::default().url(self.url()).check_interval(check_interval)
    }

    fn secure_settings(&self) -> Settings {
        self.settings().url(self.secure_url())
    }
}
