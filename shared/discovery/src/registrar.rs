//! The port through which a server makes itself known.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;

use crate::instance::{Instance, InvalidInstance};

/// Makes instances known to callers.
#[async_trait]
pub trait Registrar: Send + Sync + fmt::Debug {
    /// Registers an instance until the [`Registration`] ends. A registry that is out of
    /// reach is no error: the adapter keeps trying, and [`Registration::state`] says so.
    ///
    /// # Errors
    /// [`RegisterError`] for an instance that can never be registered.
    async fn register(&self, instance: Instance) -> Result<Registration, RegisterError>;
}

/// Why an instance was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The instance itself is wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidInstance),
    /// The registry answered, and will answer the same for as long as the settings stay.
    #[error("the registry refuses service {service}: {why}")]
    Refused {
        /// The service's name.
        service: String,
        /// What the registry said.
        why: String,
    },
}

/// Whether the registry knows the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// It does.
    Registered,
    /// Not now; it is being tried again.
    Retrying {
        /// What went wrong last.
        why: String,
    },
}

type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;
type Release = Box<dyn FnOnce() -> Ending + Send + Sync>;

/// The proof of a registration. Dropping it deregisters in the background;
/// [`deregister`](Self::deregister) also waits until that is done.
#[must_use = "dropping a registration ends it"]
pub struct Registration {
    state: Arc<dyn Fn() -> RegistrationState + Send + Sync>,
    release: Option<Release>,
}

impl Registration {
    /// For adapters. Calling `release` must start the deregistration at once, without
    /// being polled; the future it gives only waits for its end.
    pub fn new<S, R, F>(state: S, release: R) -> Self
    where
        S: Fn() -> RegistrationState + Send + Sync + 'static,
        R: FnOnce() -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self { state: Arc::new(state), release: Some(Box::new(|| Box::pin(release()))) }
    }

    /// Whether the registry knows the instance now.
    pub fn state(&self) -> RegistrationState {
        (self.state)()
    }

    /// The same, to be asked by somebody else; after the registration's end, the last
    /// state it had.
    pub fn stating(&self) -> Arc<dyn Fn() -> RegistrationState + Send + Sync> {
        Arc::clone(&self.state)
    }

    /// Deregisters. Bounded by the adapter: a registry that is out of reach does not
    /// hold up a shutdown.
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
