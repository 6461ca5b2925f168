//! Supervision of a registration until its [`Registration`] ends.
//!
//! The task registers the instance and then regularly verifies that the agent still knows it. If
//! not, it registers again: the agent restarted without its data, or Consul removed the instance
//! after a long critical time. A known instance is never registered again, because that would
//! restart its health checks. With a TTL check, passing the check is the verification: an agent
//! that knows the check knows the instance.
//!
//! A running registration request is not cancelled when the registration ends. Consul might execute
//! it after the deregistration.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::{sleep, timeout},
};

use super::{
    client::{Client, ClientError},
    pace::Backoff,
    settings::{Check, Settings},
    wire::{Registering, ServiceId},
};
use crate::{
    instance::Instance,
    registrar::{RegisterError, Registration, RegistrationState},
};

/// Maximum time of a deregistration, so that a shutdown does not hang on Consul.
const DEREGISTER_TIMEOUT: Duration = Duration::from_secs(3);

struct Supervisor {
    client: Arc<Client>,
    service: String,
    id: ServiceId,
    body: Registering,
    settings: Settings,
    state: watch::Sender<RegistrationState>,
    stop: oneshot::Receiver<()>,
    backoff: Backoff,
    /// True if earlier registrations of this instance were removed.
    cleaned: bool,
}

/// Starts a supervisor and waits for its first attempt.
pub(super) async fn register(
    client: Arc<Client>,
    instance: Instance,
    id: ServiceId,
    settings: &Settings,
) -> Result<Registration, RegisterError> {
    let untried = RegistrationState::Retrying { why: "no response of consul yet".to_owned() };
    let (state, stated) = watch::channel(untried);
    let (ending, stop) = oneshot::channel();
    let (attempted, attempt) = oneshot::channel();
    let body = Registering::new(&instance, &id, settings);
    let supervisor = Supervisor {
        client,
        service: instance.service.clone(),
        id,
        body,
        settings: settings.clone(),
        state,
        stop,
        backoff: Backoff::default(),
        cleaned: false,
    };
    let task = tokio::spawn(supervisor.run(attempted));
    let release = move || {
        // Sending fails only if the task has already ended.
        let _ = ending.send(());
        async move {
            if let Err(error) = task.await {
                tracing::error!(%error, "registration task failed");
            }
        }
    };
    // Created before the first wait, so that a cancelled caller deregisters.
    let registration = Registration::new(move || stated.borrow().clone(), release);
    match attempt.await {
        Ok(Some(why)) => Err(RegisterError::Refused { service: instance.service, why }),
        Ok(None) | Err(_) => Ok(registration),
    }
}

impl Supervisor {
    /// Runs the supervisor. Sends to `attempted` once: a refusal, which also ends it, or None.
    async fn run(mut self, attempted: oneshot::Sender<Option<String>>) {
        let first = self.register().await;
        if let Err(refusal) = &first
            && refusal.is_refusal()
        {
            // A cancelled caller has also dropped the registration.
            let _ = attempted.send(Some(refusal.to_string()));
            return;
        }
        let known = self.record(first);
        let _ = attempted.send(None);
        self.keep(known).await;
        self.deregister().await;
    }

    /// Keeps the instance registered until the registration ends.
    async fn keep(&mut self, mut known: bool) {
        loop {
            let verify_delay = self.settings.verify_delay(fastrand::f64());
            let pause = if known {
                verify_delay
            } else {
                self.backoff.failed(fastrand::f64()).min(verify_delay)
            };
            let (client, id, check) = (&self.client, &self.id, self.settings.check);
            let clean = known && !self.cleaned;
            let service = self.service.as_str();
            let cleaned = &mut self.cleaned;
            let verify = async {
                if clean {
                    *cleaned = remove_previous(client, service, id).await;
                }
                sleep(pause).await;
                // Passing the check also verifies that the instance is known.
                match check {
                    Check::Grpc => client.knows(id).await,
                    Check::Ttl => client.beat(id).await,
                }
            };
            let outcome = tokio::select! {
                _ = &mut self.stop => return,
                outcome = verify => match outcome {
                    Ok(true) => Ok(()),
                    Ok(false) => self.register().await,
                    Err(error) => Err(error),
                },
            };
            known = self.record(outcome);
        }
    }

    async fn register(&mut self) -> Result<(), ClientError> {
        self.client.register(&self.body).await?;
        if self.settings.check == Check::Ttl {
            // The check is critical until it is first passed, so pass it at once.
            self.client.beat(&self.id).await?;
        }
        tracing::info!(service = self.service, id = %self.id, "registered at consul");
        Ok(())
    }

    /// Publishes the outcome. Returns true if the instance is registered.
    fn record(&mut self, outcome: Result<(), ClientError>) -> bool {
        let state = match outcome {
            Ok(()) => {
                self.backoff.succeeded();
                RegistrationState::Registered
            }
            Err(error) => RegistrationState::Retrying { why: error.to_string() },
        };
        let known = state == RegistrationState::Registered;
        let changed = self.state.send_replace(state.clone()) != state;
        if let RegistrationState::Retrying { why } = state
            && changed
        {
            tracing::warn!(service = self.service, why, "not registered at consul, will retry");
        }
        known
    }

    async fn deregister(self) {
        let (client, id) = (&self.client, self.id.to_string());
        let mut last = None;
        let trying = async {
            while let Err(error) = client.deregister(&id).await {
                let hopeless = error.is_refusal();
                last = Some(error.to_string());
                if hopeless {
                    return false;
                }
                sleep(Duration::from_millis(200)).await;
            }
            true
        };
        if timeout(DEREGISTER_TIMEOUT, trying).await == Ok(true) {
            tracing::info!(service = self.service, id, "deregistered at consul");
        } else {
            let why = last.unwrap_or_else(|| format!("no answer within {DEREGISTER_TIMEOUT:?}"));
            // The health check fails from now on, and Consul will remove the instance.
            tracing::warn!(service = self.service, id, why, "not deregistered at consul");
        }
    }
}

/// Deregisters earlier registrations of this instance, whose processes were killed. Their health
/// checks reach this process and pass, so Consul would never remove them, not even after this
/// registration is removed for a drain. Returns true if successful.
async fn remove_previous(client: &Client, service: &str, id: &ServiceId) -> bool {
    let cleaning = async {
        for former in client.registered(service).await? {
            if id.replaces(&former) {
                client.deregister(&former).await?;
                tracing::info!(service, former, "removed an earlier registration");
            }
        }
        Ok::<_, ClientError>(())
    };
    let cleaned = cleaning.await;
    if let Err(error) = &cleaned {
        tracing::warn!(service, %error, "earlier registrations not removed");
    }
    cleaned.is_ok()
}
