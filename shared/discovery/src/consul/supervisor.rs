//! Keeps an instance registered until its [`Registration`] ends.
//!
//! The task registers, then asks the agent now and then whether it still knows the
//! instance, and registers again where it does not: after a restart without data, or
//! after Consul forgot an instance that was critical for too long. Registering an
//! instance that is known would begin its health checks anew, so that is never done.
//! Where the health check is a TTL, passing it is that question: an agent that knows
//! the check knows the instance.
//! A registration under way is not broken off when it is no longer wanted: Consul
//! might carry it out after the deregistration.

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

/// How long a deregistration is tried: a shutdown must not hang on Consul.
const GIVE_UP: Duration = Duration::from_secs(3);

struct Supervisor {
    client: Arc<Client>,
    service: String,
    id: ServiceId,
    body: Registering,
    settings: Settings,
    state: watch::Sender<RegistrationState>,
    stop: oneshot::Receiver<()>,
    backoff: Backoff,
    /// Whether former selves have been looked for.
    swept: bool,
}

/// Starts a supervisor and waits for its first attempt.
pub(super) async fn register(
    client: Arc<Client>,
    instance: Instance,
    id: ServiceId,
    settings: &Settings,
) -> Result<Registration, RegisterError> {
    let untried = RegistrationState::Retrying { why: "consul has not answered yet".to_owned() };
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
        swept: false,
    };
    let task = tokio::spawn(supervisor.run(attempted));
    let release = move || {
        // The receiver is gone only where the task has ended already.
        let _ = ending.send(());
        async move {
            if let Err(error) = task.await {
                tracing::error!(%error, "the registration's supervisor did not end well");
            }
        }
    };
    // Made before the first wait, so that a caller who stops waiting deregisters.
    let registration = Registration::new(move || stated.borrow().clone(), release);
    match attempt.await {
        Ok(Some(why)) => Err(RegisterError::Refused { service: instance.service, why }),
        Ok(None) | Err(_) => Ok(registration),
    }
}

impl Supervisor {
    /// `attempted` is told once: of a refusal, which also ends this, or of nothing.
    async fn run(mut self, attempted: oneshot::Sender<Option<String>>) {
        let first = self.register().await;
        if let Err(refusal) = &first
            && refusal.is_refusal()
        {
            // A caller who no longer waits has given up the registration as well.
            let _ = attempted.send(Some(refusal.to_string()));
            return;
        }
        let known = self.stated(first);
        let _ = attempted.send(None);
        self.keep(known).await;
        self.deregister().await;
    }

    /// Until the registration ends.
    async fn keep(&mut self, mut known: bool) {
        loop {
            let until_next_word = self.settings.until_next_word(fastrand::f64());
            let pause = if known {
                until_next_word
            } else {
                self.backoff.failed(fastrand::f64()).min(until_next_word)
            };
            let (client, id, check) = (&self.client, &self.id, self.settings.check);
            let sweep = known && !self.swept;
            let service = self.service.as_str();
            let swept = &mut self.swept;
            let verify = async {
                if sweep {
                    *swept = sweep_away(client, service, id).await;
                }
                sleep(pause).await;
                // Who passes the check by itself learns from it whether it is known.
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
            known = self.stated(outcome);
        }
    }

    async fn register(&mut self) -> Result<(), ClientError> {
        self.client.register(&self.body).await?;
        if self.settings.check == Check::Ttl {
            // Critical until the first beat: there is nothing to wait for.
            self.client.beat(&self.id).await?;
        }
        tracing::info!(service = self.service, id = %self.id, "registered at consul");
        Ok(())
    }

    /// Makes the outcome known; gives whether it is good.
    fn stated(&mut self, outcome: Result<(), ClientError>) -> bool {
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
            tracing::warn!(service = self.service, why, "not registered at consul, trying again");
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
        if timeout(GIVE_UP, trying).await == Ok(true) {
            tracing::info!(service = self.service, id, "deregistered at consul");
        } else {
            let why = last.unwrap_or_else(|| format!("no answer within {GIVE_UP:?}"));
            // Its health check now fails, after which Consul forgets it by itself.
            tracing::warn!(service = self.service, id, why, "not deregistered at consul");
        }
    }
}

/// Deregisters former selves that were killed: their health checks reach this instance
/// and pass, so that Consul would never forget them, not even once this one deregisters
/// to drain. Gives whether that is done.
async fn sweep_away(client: &Client, service: &str, id: &ServiceId) -> bool {
    let sweeping = async {
        for former in client.registered(service).await? {
            if id.replaces(&former) {
                client.deregister(&former).await?;
                tracing::info!(service, former, "deregistered a former self");
            }
        }
        Ok::<_, ClientError>(())
    };
    let swept = sweeping.await;
    if let Err(error) = &swept {
        tracing::warn!(service, %error, "former selves were not looked for");
    }
    swept.is_ok()
}
