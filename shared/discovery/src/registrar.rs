//! Port for the registration of servers.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;

use crate::instance::{Instance, InvalidInstance};

/// Registers instances.
#[async_trait]
pub trait Registrar: Send + Sync + fmt::Debug {
    /// Registers an instance until the [`Registration`] ends. An unreachable registry is not an
    /// error: the adapter retries, and [`Registration::state`] reports it.
    ///
    /// # Errors
    /// [`RegisterError`] if the instance can never be registered.
    async fn register(&self, instance: Instance) -> Result<Registration, RegisterError>;
}

/// Reason why an instance was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The instance is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidInstance),
    /// The registry rejects the instance. A retry with the same settings is useless.
    #[error("the registry refuses service {service}: {why}")]
    Refused {
        /// Service name.
        service: String,
        /// Answer of the registry.
        why: String,
    },
}

/// State of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// The registry knows the instance.
    Registered,
    /// The registry does not know the instance. The adapter retries.
    Retrying {
        /// Last error.
        why: String,
    },
}

type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;
type Release = Box<dyn FnOnce() -> Ending + Send + Sync>;

/// Active registration. Dropping it deregisters in the background. [`deregister`](Self::deregister)
/// also waits until that is done.
#[must_use = "dropping a registration ends it"]
pub struct Registration {
    state: Arc<dyn Fn() -> RegistrationState + Send + Sync>,
    release: Option<Release>,
}

impl Registration {
    /// Creates a registration, for adapters. `release` must start the deregistration when it is
    /// called, even if its future is never polled. The future only waits for the end.
    pub fn new<S, R, F>(state: S, release: R) -> Self
    where
        S: Fn() -> RegistrationState + Send + Sync + 'static,
        R: FnOnce() -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self { state: Arc::new(state), release: Some(Box::new(|| Box::pin(release()))) }
    }

    /// Returns the current state.
    pub fn state(&self) -> RegistrationState {
        (self.state)()
    }

    /// Returns a function that gives the current state. After the end of the registration, it gives
    /// the last state.
    pub fn stating(&self) -> Arc<dyn Fn() -> RegistrationState + Send + Sync> {
        Arc::clone(&self.state)
    }

    /// Deregisters the instance. The adapter limits the time, so an unreachable registry does not
    /// block a shutdown.
    pub async fn deregister(mut self) {
        if let Some(release) = self.release.take() {
            release().await;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            drop(release());
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("state", &self.state()).finish_non_exhaustive()
    }
}
