//! Policies of the methods: those of the contract, overridden by the settings.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gantry_contract::{Contract, Idempotency, MethodKind, MethodPolicy};
use gantry_resilience::retry::{HedgingPolicy, InvalidPolicy, Policy};

use crate::settings::{ClientSettings, InvalidSetting, MethodSettings};

/// Policy of one method.
#[derive(Debug)]
pub(crate) struct Method {
    /// True if the request is a single message, kept for further attempts. Otherwise it is passed
    /// through.
    pub(crate) whole: bool,
    /// True if either side streams.
    pub(crate) streams: bool,
    /// True if the response has exactly one message.
    pub(crate) one_response: bool,
    /// True if it may be executed more than once.
    pub(crate) repeatable: bool,
    pub(crate) repeats: Repeats,
    /// `None` for a method outside the contract.
    timeout: Option<Duration>,
}

/// Kind of repetition of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Repeats {
    /// Retries after a failure; a policy of one attempt means none.
    Retry(Policy),
    /// Hedges before a failure.
    Hedging(HedgingPolicy),
}

impl Repeats {
    fn new(policy: gantry_contract::Repeats) -> Result<Self, InvalidPolicy> {
        Ok(match policy {
            gantry_contract::Repeats::Never => Self::Retry(Policy::NEVER),
            gantry_contract::Repeats::Retry(retry) => Self::Retry(Policy::try_new(
                retry.max_attempts,
                retry.initial_backoff,
                retry.max_backoff,
                retry.backoff_multiplier,
            )?),
            gantry_contract::Repeats::Hedging(hedging) => {
                Self::Hedging(HedgingPolicy::try_new(hedging.max_attempts, hedging.delay)?)
            }
        })
    }

    /// Returns `true` if a call may have more than one attempt.
    pub(crate) fn are_many(&self) -> bool {
        !matches!(self, Self::Retry(policy) if policy.max_attempts() == 1)
    }
}

/// Returns true if the request is one message.
fn is_whole(kind: MethodKind) -> bool {
    matches!(kind, MethodKind::Unary | MethodKind::ServerStreaming)
}

/// Returns the reason why a method cannot be hedged, if there is one.
fn why_not_hedged(policy: &MethodPolicy) -> Option<&'static str> {
    if policy.idempotency == Idempotency::NotIdempotent {
        return Some("it must not be executed twice, so that it is never hedged");
    }
    (!is_whole(policy.kind)).then_some("a stream of requests cannot be sent twice")
}

impl Method {
    /// Policy of a method outside the contract: passed through.
    const UNKNOWN: Self = Self {
        whole: false,
        streams: true,
        one_response: false,
        repeatable: false,
        repeats: Repeats::Retry(Policy::NEVER),
        timeout: None,
    };

    fn new(policy: &MethodPolicy, settings: &ClientSettings) -> Result<Self, InvalidSetting> {
        let (mut timeout, mut repeats) = (policy.timeout, policy.repeats);
        let method = policy.path.trim_start_matches('/');
        let service = method.split_once('/').map_or(method, |(service, _)| service);
        // The narrower name comes last and prevails.
        for name in [service, method] {
            let Some(over) = settings.methods.get(name) else { continue };
            timeout = over.timeout.unwrap_or(timeout);
            // Settings of a whole service skip the methods that must not be hedged.
            if over.hedging.is_none() || why_not_hedged(policy).is_none() {
                over.change(name, &mut repeats)?;
            }
        }
        if let gantry_contract::Repeats::Hedging(hedging) = repeats
            && hedging.delay >= timeout
        {
            let key = format!("methods.{method:?}.hedging.delay");
            return Err(InvalidSetting::new(key, "must be shorter than the timeout"));
        }
        Ok(Self {
            whole: is_whole(policy.kind),
            streams: policy.kind != MethodKind::Unary,
            one_response: matches!(policy.kind, MethodKind::Unary | MethodKind::ClientStreaming),
            repeatable: policy.idempotency != Idempotency::NotIdempotent,
            repeats: Repeats::new(repeats)
                .map_err(|invalid| InvalidSetting::new(format!("methods.{method:?}"), invalid))?,
            timeout: Some(timeout),
        })
    }

    /// Returns true if the contract has it.
    pub(crate) fn is_known(&self) -> bool {
        self.timeout.is_some()
    }

    /// Returns the longest duration of the whole call.
    pub(crate) fn longest(&self, stream_max_age: Duration) -> Duration {
        match self.timeout {
            Some(timeout) if !self.streams => timeout,
            Some(_) | None => stream_max_age,
        }
    }

    /// Returns the idle timeout of a stream in the contract.
    pub(crate) fn silence(&self) -> Option<Duration> {
        self.timeout.filter(|_| self.streams)
    }

    /// Returns true if expiry of this time is the service's fault: it is at least half of the
    /// method's timeout.
    pub(crate) fn is_fair(&self, left: Duration) -> bool {
        self.timeout.is_some_and(|timeout| left >= timeout / 2)
    }
}

/// Methods of a contract by path.
#[derive(Debug)]
pub(crate) struct Methods {
    known: HashMap<&'static str, Arc<Method>>,
    unknown: Arc<Method>,
}

impl Methods {
    /// # Errors
    /// Every [`InvalidSetting`]: an unknown name, a repetition of a non-repeatable method, an
    /// invalid policy.
    pub(crate) fn new(
        contract: &'static Contract,
        settings: &ClientSettings,
    ) -> Result<Self, Vec<InvalidSetting>> {
        let mut problems: Vec<_> = settings
            .methods
            .iter()
            .filter_map(|(name, over)| {
                let why = unfit(contract, name, over)?;
                Some(InvalidSetting::new(format!("methods.{name:?}"), why))
            })
            .collect();
        let mut known = HashMap::new();
        for policy in contract.methods() {
            match Method::new(policy, settings) {
                Ok(method) => drop(known.insert(policy.path, Arc::new(method))),
                // A problem of a whole service is reported once.
                Err(problem) if problems.contains(&problem) => {}
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(Self { known, unknown: Arc::new(Method::UNKNOWN) })
        } else {
            Err(problems)
        }
    }

    pub(crate) fn get(&self, path: &str) -> Arc<Method> {
        Arc::clone(self.known.get(path).unwrap_or(&self.unknown))
    }
}

/// Returns the reason why the contract does not allow these settings of a method or service.
fn unfit(contract: &'static Contract, name: &str, over: &MethodSettings) -> Option<&'static str> {
    if contract.services.iter().any(|service| service.name == name) {
        return None;
    }
    let Some(policy) = contract.method(&format!("/{name}")) else {
        return Some("the contract has no such method");
    };
    if over.retries() && policy.idempotency == Idempotency::NotIdempotent {
        return Some("it must not be executed twice, so that it is never retried");
    }
    why_not_hedged(policy).filter(|_| over.hedging.is_some())
}

/// Returns the name of the method or service in the key of a setting: `methods."NAME".timeout`.
fn method(key: &str) -> Option<&str> {
    key.strip_prefix("methods.\"")?.split('"').next()
}

impl ClientSettings {
    /// Returns all problems, by key. The contract defines the valid names in `methods`, and the
    /// repeatable ones.
    pub fn problems(&self, contract: &'static Contract) -> Vec<InvalidSetting> {
        let mut problems = self.own_problems();
        let of_contract = Methods::new(contract, self).err().into_iter().flatten();
        // Invalid numbers of a method or service make its policies invalid too: report them once.
        let more = of_contract.filter(|problem| {
            let of_same =
                |own: &&str| method(&problem.key).is_some_and(|name| name.starts_with(own));
            !problems.iter().filter_map(|own| method(&own.key)).any(|own| of_same(&own))
        });
        let more: Vec<_> = more.collect();
        problems.extend(more);
        problems
    }
}
