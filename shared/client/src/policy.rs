//! How each method is called: what the contract says, and the configuration over it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gantry_contract::{Contract, Idempotency, MethodKind, MethodPolicy, Repeats, RetryPolicy};
use gantry_resilience::retry::Policy;

use crate::settings::{ClientSettings, InvalidSetting};

/// How one method is called.
#[derive(Debug)]
pub(crate) struct Method {
    /// Whether the request is one message, kept so that it can be sent again. What is not
    /// is passed through.
    pub(crate) whole: bool,
    /// Whether either side streams.
    pub(crate) streams: bool,
    /// Whether it may be executed more than once.
    pub(crate) repeatable: bool,
    pub(crate) retry: Policy,
    /// `None` for a method that the contract does not know.
    timeout: Option<Duration>,
}

impl Method {
    /// A method that the contract does not know: passed through.
    const UNKNOWN: Self = Self {
        whole: false,
        streams: true,
        repeatable: false,
        retry: Policy::NEVER,
        timeout: None,
    };

    fn new(policy: &MethodPolicy, settings: &ClientSettings) -> Result<Self, InvalidSetting> {
        let mut timeout = policy.timeout;
        let mut retry = match policy.repeats {
            Repeats::Retry(retry) => retry,
            Repeats::Never | Repeats::Hedging(_) => {
                RetryPolicy { max_attempts: 1, ..RetryPolicy::DEFAULT }
            }
        };
        let method = policy.path.trim_start_matches('/');
        let service = method.split_once('/').map_or(method, |(service, _)| service);
        // The narrower name last, so that it prevails.
        for name in [service, method] {
            if let Some(over) = settings.methods.get(name) {
                timeout = over.timeout.unwrap_or(timeout);
                over.change(&mut retry);
            }
        }
        let retry = Policy::try_new(
            retry.max_attempts,
            retry.initial_backoff,
            retry.max_backoff,
            retry.backoff_multiplier,
        )
        .map_err(|invalid| InvalidSetting::new(format!("methods.{method:?}"), invalid))?;
        Ok(Self {
            whole: matches!(policy.kind, MethodKind::Unary | MethodKind::ServerStreaming),
            streams: policy.kind != MethodKind::Unary,
            repeatable: match policy.idempotency {
                Idempotency::NoSideEffects | Idempotency::Idempotent => true,
                Idempotency::NotIdempotent => false,
            },
            retry,
            timeout: Some(timeout),
        })
    }

    /// The longest the whole call may take.
    pub(crate) fn longest(&self, stream_max_age: Duration) -> Duration {
        match self.timeout {
            Some(timeout) if !self.streams => timeout,
            Some(_) | None => stream_max_age,
        }
    }

    /// The longest silence of a stream that the contract knows.
    pub(crate) fn silence(&self) -> Option<Duration> {
        self.timeout.filter(|_| self.streams)
    }

    /// Whether so much time is enough that running out of it is the service's fault: half
    /// of what the method is given.
    pub(crate) fn is_fair(&self, left: Duration) -> bool {
        self.timeout.is_some_and(|timeout| left >= timeout / 2)
    }
}

/// The methods of a contract by their paths.
#[derive(Debug)]
pub(crate) struct Methods {
    known: HashMap<&'static str, Arc<Method>>,
    unknown: Arc<Method>,
}

impl Methods {
    /// # Errors
    /// [`InvalidSetting`] where the configuration names what the contract does not have,
    /// has retries of a method that must not be executed twice, or makes a policy that
    /// cannot be.
    pub(crate) fn new(
        contract: &'static Contract,
        settings: &ClientSettings,
    ) -> Result<Self, InvalidSetting> {
        for (name, over) in &settings.methods {
            let key = || format!("methods.{name:?}");
            if contract.services.iter().any(|service| service.name == name) {
                continue;
            }
            let Some(policy) = contract.method(&format!("/{name}")) else {
                return Err(InvalidSetting::new(key(), "the contract has no such method"));
            };
            if over.retries() && policy.idempotency == Idempotency::NotIdempotent {
                let why = "it must not be executed twice, so that it is never retried";
                return Err(InvalidSetting::new(key(), why));
            }
        }
        let known = contract
            .methods()
            .map(|policy| Ok((policy.path, Arc::new(Method::new(policy, settings)?))))
            .collect::<Result<_, InvalidSetting>>()?;
        Ok(Self { known, unknown: Arc::new(Method::UNKNOWN) })
    }

    pub(crate) fn get(&self, path: &str) -> Arc<Method> {
        Arc::clone(self.known.get(path).unwrap_or(&self.unknown))
    }
}
