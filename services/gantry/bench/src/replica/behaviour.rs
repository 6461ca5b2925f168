//! Server stack and behaviour of a replica.

use std::{fmt, str::FromStr, time::Duration};

use clap::ValueEnum;

/// Server stack of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Served {
    /// tonic's server, unchanged
    #[default]
    Tonic,
    /// Our whole server stack, until SIGTERM and its drain
    Ours,
    /// Ours without a concurrency limit
    Unlimited,
    /// tonic's server with the users of a database, read by one statement a call
    Users,
}

/// Behaviour of a replica, written `delay=5ms` or `fail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers after a delay.
    Delay(Duration),
    /// Answers UNAVAILABLE at once.
    Fail,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::Delay(Duration::ZERO)
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => write!(f, "delay={}ms", delay.as_millis()),
            Self::Fail => f.write_str("fail"),
        }
    }
}

impl FromStr for Behaviour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let delay = match text {
            "fail" => return Ok(Self::Fail),
            text => text.strip_prefix("delay=").map(|delay| delay.trim_end_matches("ms")),
        };
        let delay = delay.and_then(|delay| delay.parse().ok());
        delay
            .map(|delay| Self::Delay(Duration::from_millis(delay)))
            .ok_or_else(|| format!("expected delay=5ms or fail, not {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_behaviour_parses_to_itself() {
        for behaviour in [Behaviour::Fail, Behaviour::Delay(Duration::from_millis(105))] {
            assert_eq!(behaviour.to_string().parse(), Ok(behaviour));
        }
        assert_eq!("delay=0".parse(), Ok(Behaviour::default()));
    }

    #[test]
    fn invalid_behaviours_are_rejected() {
        for text in ["", "delay", "delay=", "delay=x", "fail=1", "5ms"] {
            assert!(text.parse::<Behaviour>().is_err(), "{text}");
        }
    }
}
