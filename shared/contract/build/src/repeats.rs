//! Retries and hedging of a method (gRFC A6).

use std::time::Duration;

use prost_reflect::DynamicMessage;

use crate::{
    methods::{Idempotency, Method},
    options::{Fields, positive, span},
    problems::Problems,
};

/// Defaults; equal to `gantry_contract::RetryPolicy::DEFAULT`.
const MAX_ATTEMPTS: u32 = 3;
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
const BACKOFF_MULTIPLIER: f64 = 2.0;

/// Default number of attempts of a hedged call.
const HEDGED_ATTEMPTS: u32 = 2;

/// Retries or hedging of a method.
pub(crate) enum Repeats {
    Never,
    Retry { attempts: u32, initial_backoff: Duration, max_backoff: Duration, multiplier: f64 },
    Hedging { attempts: u32, delay: Duration },
}

impl Repeats {
    /// Default of methods that can be retried.
    const DEFAULT: Self = Self::Retry {
        attempts: MAX_ATTEMPTS,
        initial_backoff: INITIAL_BACKOFF,
        max_backoff: MAX_BACKOFF,
        multiplier: BACKOFF_MULTIPLIER,
    };
}

impl Method<'_> {
    /// Reads the declarations of the method.
    pub(crate) fn repeats(
        &self,
        idempotency: Idempotency,
        timeout: Duration,
        problems: &mut Problems,
    ) -> Repeats {
        let set = |name| self.policy.as_ref().and_then(|policy| policy.message(name));
        match (set("retry"), set("hedging")) {
            (None, None) if self.why_not(idempotency).is_some() => Repeats::Never,
            (None, None) => Repeats::DEFAULT,
            (Some(retry), None) => self.retry(&retry, idempotency, problems),
            (None, Some(hedging)) => self.hedging(&hedging, idempotency, timeout, problems),
            (Some(_), Some(_)) => {
                problems
                    .add(&self.descriptor, "retry and hedging: a method may have only one of them");
                Repeats::Never
            }
        }
    }

    /// Returns the reason against a second attempt, if there is one.
    fn why_not(&self, idempotency: Idempotency) -> Option<&'static str> {
        if idempotency == Idempotency::NotIdempotent {
            return Some("a method that is not idempotent must not be");
        }
        self.descriptor.is_client_streaming().then_some("a stream of requests cannot be")
    }

    fn retry(
        &self,
        retry: &DynamicMessage,
        idempotency: Idempotency,
        problems: &mut Problems,
    ) -> Repeats {
        let mut problem =
            |what: &str| problems.add(&self.descriptor, format_args!("retry: {what}"));
        let attempts = retry.set("max_attempts").and_then(|value| value.as_u32());
        let attempts = attempts.unwrap_or(MAX_ATTEMPTS);
        if !(1..=5).contains(&attempts) {
            problem("max_attempts must be 1 to 5");
        }
        if let (Some(why), true) = (self.why_not(idempotency), attempts > 1) {
            problem(&format!("{why} retried: max_attempts must be 1"));
        }
        let mut backoff = |name: &str, default| match retry.span(name) {
            None => default,
            Some(span) => positive(span).unwrap_or_else(|| {
                problem(&format!("{name} must be longer than 0"));
                default
            }),
        };
        let initial = backoff("initial_backoff", INITIAL_BACKOFF);
        let max = backoff("max_backoff", MAX_BACKOFF.max(initial));
        if max < initial {
            problem("max_backoff must not be shorter than initial_backoff");
        }
        let multiplier = retry.set("backoff_multiplier").and_then(|value| value.as_f64());
        let multiplier = multiplier.unwrap_or(BACKOFF_MULTIPLIER);
        if !multiplier.is_finite() || multiplier < 1.0 {
            problem("backoff_multiplier must be at least 1");
            return Repeats::Never;
        }
        if attempts == 1 {
            return Repeats::Never;
        }
        Repeats::Retry { attempts, initial_backoff: initial, max_backoff: max, multiplier }
    }

    fn hedging(
        &self,
        hedging: &DynamicMessage,
        idempotency: Idempotency,
        timeout: Duration,
        problems: &mut Problems,
    ) -> Repeats {
        let mut problem =
            |what: &str| problems.add(&self.descriptor, format_args!("hedging: {what}"));
        if let Some(why) = self.why_not(idempotency) {
            problem(&format!("{why} hedged"));
        }
        let attempts = hedging.set("max_attempts").and_then(|value| value.as_u32());
        let attempts = attempts.unwrap_or(HEDGED_ATTEMPTS);
        if !(2..=5).contains(&attempts) {
            problem("max_attempts must be 2 to 5");
        }
        let declared = hedging.span("delay");
        let delay = declared.and_then(span);
        match (declared, delay) {
            (None, _) => problem("delay is required"),
            (Some(_), None) => problem("delay must be at least 0"),
            (Some(_), Some(delay)) if delay >= timeout => {
                problem("delay must be shorter than the timeout");
            }
            (Some(_), Some(_)) => {}
        }
        Repeats::Hedging { attempts, delay: delay.unwrap_or_default() }
    }
}
