//! Health of one PostgreSQL server: circuit breaker, and the reason why it cannot be reached.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gantry_resilience::circuit_breaker::{
    CircuitBreaker, Config, Outcome, Permit, State, Transition,
};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::error::{Unreachable, is_lost, is_stale, is_unavailable};

/// Time that a caller waits for a connection before the server is checked.
const CHECK_AFTER: Duration = Duration::from_millis(50);
/// Time for which the answer of a check is reused.
const RECHECK: Duration = Duration::from_secs(1);
/// Limit of a check. Longer than a server under load takes to start a session.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Health of one server, which all pools of connections to it share.
///
/// The breaker counts uses of a connection: one fails if the server cannot be reached or does not
/// answer the first statement. A full pool, a statement that fails and a deadline that passes say
/// nothing about the server.
#[derive(Debug)]
pub(super) struct Health {
    breaker: CircuitBreaker,
    options: PgConnectOptions,
    /// Number of uses that the server answered.
    answers: AtomicU64,
    /// Time and result of the last check.
    last: Mutex<Option<(Instant, Result<(), Unreachable>)>>,
}

impl Health {
    /// `url` names the server in the log.
    pub(super) fn new(url: &str, options: &PgConnectOptions) -> Arc<Self> {
        let url = url.to_owned();
        let breaker =
            CircuitBreaker::observed(Config::default(), move |transition| log(&url, transition));
        Arc::new(Self {
            breaker,
            options: options.clone(),
            answers: AtomicU64::new(0),
            last: Mutex::default(),
        })
    }

    /// Waits for a connection of a pool, if the breaker admits the use.
    ///
    /// A pool retries a refused connection for as long as it may wait, and its error does not tell a
    /// full pool from a server that is away. So a wait that takes long ends with the answer of a check.
    pub(super) async fn connect<T>(
        self: &Arc<Self>,
        acquire: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<(T, Admitted), sqlx::Error> {
        let admitted = self.breaker.admit(Instant::now());
        let permit =
            admitted.map_err(|rejected| sqlx::Error::AnyDriverError(Box::new(rejected)))?;
        let connected = tokio::select! {
            biased;
            acquired = acquire => acquired,
            unreachable = self.unreachable() => Err(unreachable.into()),
        };
        match connected {
            Ok(conn) => Ok((conn, Admitted { permit, health: Arc::clone(self) })),
            Err(error) => {
                if is_unavailable(&error) {
                    permit.record(Outcome::Failed, Instant::now());
                }
                Err(error)
            }
        }
    }

    /// Returns once a check fails.
    async fn unreachable(&self) -> Unreachable {
        let mut pause = CHECK_AFTER;
        loop {
            sleep(pause).await;
            if let Err(unreachable) = self.check().await {
                return unreachable;
            }
            pause = RECHECK;
        }
    }

    async fn check(&self) -> Result<(), Unreachable> {
        // Callers that come meanwhile wait for the same answer.
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < RECHECK
        {
            return answer.clone();
        }
        let answers = self.answers.load(Ordering::Relaxed);
        let connect = async { self.options.connect().await?.close().await };
        let answer = match timeout(CHECK_TIMEOUT, connect).await {
            Ok(Err(error)) if is_lost(&error) => Err(Unreachable::new(&error)),
            // A refusal is an answer: the server has no session left, for example.
            Ok(_) => Ok(()),
            // Under load a new session takes long, and others still work.
            Err(_) if answers != self.answers.load(Ordering::Relaxed) => Ok(()),
            Err(elapsed) => Err(Unreachable::new(&elapsed)),
        };
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

/// An admitted use of a connection, before the server's first answer.
#[derive(Debug)]
pub(super) struct Admitted {
    permit: Permit,
    health: Arc<Health>,
}

impl Admitted {
    /// Records the result of the first statement.
    pub(super) fn record<T>(self, result: &Result<T, sqlx::Error>) {
        let outcome = match result {
            // The server closed the connection earlier. That says nothing of it now.
            Err(error) if is_stale(error) => Outcome::Neutral,
            Err(error) if is_lost(error) => Outcome::Failed,
            Ok(_) | Err(_) => {
                self.health.answers.fetch_add(1, Ordering::Relaxed);
                Outcome::Success
            }
        };
        self.permit.record(outcome, Instant::now());
    }
}

fn log(url: &str, transition: &Transition) {
    let Transition { from, to, cause, wait, .. } = transition;
    match to {
        State::Open => {
            tracing::warn!(url, %from, %cause, ?wait, "circuit breaker of the database opened");
        }
        State::HalfOpen | State::Closed => {
            tracing::info!(url, %from, %to, %cause, "circuit breaker of the database changed");
        }
    }
}
