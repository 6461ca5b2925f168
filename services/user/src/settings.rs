//! Settings. `config/default.toml` has the defaults.

use std::{fmt, time::Duration};

use gantry_config::{Bound, Check, Problems, Secret};
use gantry_process::{FileChecks, OwnSettings, weakness};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Email, Password},
    outbound::{argon2id::HashSettings, tokens::TokenSettings},
};

/// Settings of the user service.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// User tokens.
    pub tokens: TokenSettings,
    /// Password hashes.
    pub passwords: HashSettings,
    /// First administrator.
    pub bootstrap: Bootstrap,
}

/// First administrator. `Debug` shows neither key.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// E-mail address. Empty: no administrator is created.
    pub admin_email: String,
    /// Password of the first login.
    pub admin_password: Secret,
}

impl OwnSettings for Settings {
    const BOUNDS: &'static [Bound] = &[
        Bound::time("tokens.access_ttl", Duration::from_mins(1), Duration::from_hours(24)),
        Bound::time("tokens.refresh_ttl", Duration::from_mins(1), Duration::from_hours(365 * 24)),
        Bound::count("passwords.memory_kib", 8, 1024 * 1024),
        Bound::count("passwords.iterations", 1, 1000),
        Bound::count("passwords.lanes", 1, 64),
        Bound::count("passwords.parallel", 1, 1024),
        Bound::count("passwords.waiting", 0, 1_000_000),
    ];

    fn check(&self, problems: &mut Problems) {
        problems.within("tokens", &self.tokens);
        problems.within("passwords", &self.passwords);
        problems.within("bootstrap", &self.bootstrap);
    }

    fn check_production(&self, problems: &mut Problems) {
        let Bootstrap { admin_email, admin_password } = &self.bootstrap;
        if !admin_email.is_empty()
            && let Some(why) = weakness(admin_password.expose())
        {
            problems.add("bootstrap.admin_password", format!("the password {why}"));
        }
        let least = self.passwords.least_memory_kib();
        if self.passwords.memory_kib < least {
            let iterations = self.passwords.iterations;
            let expected = format!("at least {least} in production with iterations = {iterations}");
            problems.expected("passwords.memory_kib", expected);
        }
    }

    fn check_files(&self, files: &mut FileChecks<'_>) {
        files.private_key("tokens.key_file", &self.tokens.key_file);
        files.public_keys("tokens.published_key_files", &self.tokens.published_key_files);
    }
}

impl Check for Bootstrap {
    fn check(&self, problems: &mut Problems) {
        if self.admin_email.is_empty() {
            return;
        }
        if let Err(invalid) = Email::try_new(&self.admin_email) {
            problems.add("admin_email", invalid.rule);
        }
        if let Err(invalid) = Password::try_new(self.admin_password.expose()) {
            problems.add("admin_password", invalid.rule);
        }
    }
}

impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bootstrap").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
