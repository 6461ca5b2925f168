//! Health of a service: circuit breaker, retry budget and ejections. One per channel, shared by all
//! of its calls.

use std::{fmt, net::SocketAddr, sync::Arc};

use gantry_resilience::{
    circuit_breaker::{CircuitBreaker, State, Transition},
    ejection::{self, Detector, Ejected},
    retry::Budget,
};
use tokio::time::Instant;

use crate::{
    metrics::Metrics,
    settings::{ClientSettings, InvalidSetting},
    verdict::Ejection,
};

/// Health of one service.
pub(crate) struct Health {
    pub(crate) breaker: CircuitBreaker,
    pub(crate) budget: Budget,
    pub(crate) detector: Detector<SocketAddr>,
    pub(crate) metrics: Option<Arc<dyn Metrics>>,
    service: Arc<str>,
}

impl Health {
    pub(crate) fn new(
        service: Arc<str>,
        settings: &ClientSettings,
        metrics: Option<Arc<dyn Metrics>>,
    ) -> Result<Self, InvalidSetting> {
        let (reported, name) = (metrics.clone(), Arc::clone(&service));
        let breaker = CircuitBreaker::observed(settings.breaker.config()?, move |transition| {
            log(&name, transition);
            if let Some(metrics) = &reported {
                metrics.breaker(&name, transition);
            }
        });
        let detector = Detector::new(settings.ejection.config()?, Instant::now());
        Ok(Self { breaker, budget: settings.retry.budget()?, detector, metrics, service })
    }

    /// Records an ended attempt of an endpoint.
    pub(crate) fn judge(
        &self,
        endpoint: &ejection::Endpoint<SocketAddr>,
        verdict: Ejection,
        now: Instant,
    ) {
        let ejected = match verdict {
            Ejection::Succeeded => self.detector.succeeded(endpoint, now),
            Ejection::Refused => self.detector.refused(endpoint, now),
            Ejection::Failed => self.detector.failed(endpoint, now),
            Ejection::Nothing => return,
        };
        ejected.iter().for_each(|ejected| self.report(ejected));
    }

    fn report(&self, ejected: &Ejected<SocketAddr>) {
        let Ejected { key, reason, time, times } = ejected;
        tracing::warn!(service = %self.service, endpoint = %key, ?reason, ?time, times,
            "endpoint ejected");
        if let Some(metrics) = &self.metrics {
            metrics.ejected(&self.service, ejected);
        }
    }
}

fn log(service: &str, transition: &Transition) {
    let Transition { from, to, cause, wait, .. } = transition;
    match to {
        State::Open => {
            tracing::warn!(service, %from, %cause, ?wait, "circuit breaker opened");
        }
        State::HalfOpen | State::Closed => {
            tracing::info!(service, %from, %to, %cause, "circuit breaker changed");
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("service", &self.service)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
