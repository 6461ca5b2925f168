//! Schedule of the attempts of a hedged call: further ones are sent while none has answered, and the
//! first good answer is the call's.
//!
//! All attempts are part of the call's own future. Those that lose are dropped, which resets their
//! streams and returns their places. The load of their endpoints learns that an answer would have
//! taken at least so long. Their health learns nothing: being slower than another is no failure.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use gantry_resilience::retry::{Failure, Hedges, HedgingPolicy};
use http::HeaderMap;
use tokio::time::{Instant, sleep_until};

use crate::{
    attempt::{Again, Answered, AttemptOutcome, Exchanged, finish, late, send},
    call_state::{Attempt, CallState},
    call_timer::CallTimer,
    error::Error,
    payload::RequestBody,
    pool::{Lease, PickError, PickRequest},
    verdict::Retry,
};

/// Makes attempts until one has answered well or no further answer is worth waiting for.
///
/// # Errors
/// The last one got no response.
pub(crate) async fn run(
    call: &mut CallState,
    headers: &HeaderMap,
    body: Bytes,
    timer: &mut CallTimer,
    policy: HedgingPolicy,
) -> Result<Answered, Error> {
    let first = Runner { previous: 0, refused: false };
    let (first, picked) = pick(call, first, Vec::new()).await;
    // The delay begins once there is an attempt that could answer.
    let hedges = Hedges::begin(policy, call.deadline, Instant::now());
    let mut race = Race::new(call, headers, body, hedges);
    race.picked(first, picked);
    while !race.hedges.is_over() {
        let next_at = race.hedges.next_at();
        tokio::select! {
            // Late answers count: what has arrived is not thrown away.
            biased;
            event = poll_fn(|cx| race.poll_next(cx)) => match event {
                Event::Picked(runner, picked) => race.picked(runner, picked),
                Event::Exchanged(runner, attempt, exchanged) => {
                    if exchanged.is_ok() {
                        timer.record_activity();
                    }
                    if race.exchanged(runner, attempt, exchanged) {
                        break;
                    }
                }
            },
            () = timer.over() => {
                race.late();
                break;
            }
            () = at(next_at) => race.due(),
        }
    }
    race.end()
}

/// State that all attempts of a call share.
struct Race<'a> {
    call: &'a mut CallState,
    headers: &'a HeaderMap,
    body: Bytes,
    hedges: Hedges,
    /// Those that wait for a place.
    picking: Vec<Wait<(Runner, Picked)>>,
    /// Those that wait for an answer.
    sent: Vec<Sent>,
    /// Endpoints that have had the call.
    tried: Vec<SocketAddr>,
    /// Outcome for the caller if nothing better comes.
    last: AttemptOutcome,
}

/// One of the attempts.
struct Runner {
    /// Number of attempts before it.
    previous: u32,
    /// True if an endpoint did not take it, after which it is sent again once.
    refused: bool,
}

/// An attempt that waits for its answer.
struct Sent {
    runner: Runner,
    attempt: Attempt,
    exchange: Wait<Exchanged>,
}

enum Event {
    Picked(Runner, Picked),
    Exchanged(Runner, Attempt, Exchanged),
}

type Wait<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Picked = Result<Lease, PickError>;

impl<'a> Race<'a> {
    fn new(call: &'a mut CallState, headers: &'a HeaderMap, body: Bytes, hedges: Hedges) -> Self {
        let (picking, sent, tried) = (Vec::new(), Vec::new(), Vec::new());
        Self { call, headers, body, hedges, picking, sent, tried, last: AttemptOutcome::Late }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let exchanges = self.sent.iter_mut().map(|sent| &mut sent.exchange);
        if let Some((index, exchanged)) = first(exchanges, cx) {
            let Sent { runner, attempt, .. } = self.sent.swap_remove(index);
            return Poll::Ready(Event::Exchanged(runner, attempt, exchanged));
        }
        if let Some((index, (runner, picked))) = first(self.picking.iter_mut(), cx) {
            drop(self.picking.swap_remove(index));
            return Poll::Ready(Event::Picked(runner, picked));
        }
        Poll::Pending
    }

    /// Another attempt may be due.
    fn due(&mut self) {
        let previous = self.hedges.sent();
        if self.hedges.due(Instant::now(), &self.call.pool.health.budget) {
            self.call.hedging();
            self.pick(Runner { previous, refused: false });
        }
    }

    /// Looks for a place.
    fn pick(&mut self, runner: Runner) {
        self.picking.push(Box::pin(pick(self.call, runner, self.tried.clone())));
    }

    /// An attempt has a place, or will have none.
    fn picked(&mut self, runner: Runner, picked: Picked) {
        let lease = match picked {
            Ok(lease) => lease,
            Err(error) => {
                self.hedges.not_sent();
                self.call.unanswered();
                self.last = AttemptOutcome::NotPlaced(error);
                return;
            }
        };
        let endpoint = lease.address();
        let body = RequestBody::Whole(self.body.clone());
        match send(self.call, self.headers, runner.previous, lease, body) {
            Some((attempt, exchange)) => {
                self.tried.push(endpoint);
                self.sent.push(Sent { runner, attempt, exchange: Box::pin(exchange) });
            }
            None => self.hedges.not_sent(),
        }
    }

    /// An attempt has ended. Returns true if its answer is the call's.
    fn exchanged(&mut self, runner: Runner, attempt: Attempt, exchanged: Exchanged) -> bool {
        let Runner { previous, refused } = runner;
        let (outcome, retry) = match finish(self.call, attempt, exchanged, || !refused) {
            Err(again) => {
                let refused = refused || matches!(again, Again::Refused);
                self.pick(Runner { previous, refused });
                return false;
            }
            Ok(ended) => ended,
        };
        let failure = match retry {
            Retry::Never => None,
            Retry::Failed(failure) => Some(failure),
            Retry::Elsewhere if self.looks_elsewhere() => {
                self.pick(Runner { previous, refused });
                return false;
            }
            Retry::Elsewhere => Some(Failure::Final),
        };
        self.last = outcome;
        if let Some(failure) = failure {
            self.hedges.failed(Instant::now(), failure);
        }
        failure.is_none()
    }

    /// Returns true if a call of a method that an endpoint does not know goes to another one.
    fn looks_elsewhere(&mut self) -> bool {
        self.call.pool.has_untried(&self.tried) && self.hedges.elsewhere()
    }

    /// The time is over for all of them.
    fn late(&mut self) {
        self.call.unanswered();
        self.last = AttemptOutcome::Late;
        for Sent { attempt, .. } in self.sent.drain(..) {
            let (endpoint, took) = (attempt.lease.address(), attempt.lease.started().elapsed());
            self.call.note(endpoint, format!("no answer within {} ms", took.as_millis()));
            (self.last, _) = late(self.call, attempt);
        }
    }

    /// The others have lost, or nothing more is to be had.
    fn end(self) -> Result<Answered, Error> {
        let Self { call, hedges, sent, last, .. } = self;
        sent.into_iter().for_each(|Sent { attempt, .. }| call.outrun(attempt));
        if !matches!(last, AttemptOutcome::NotPlaced(_) | AttemptOutcome::Late) {
            hedges.gave_up().into_iter().for_each(|why| call.give_up(why));
        }
        last.last(call)
    }
}

fn pick(
    call: &CallState,
    runner: Runner,
    tried: Vec<SocketAddr>,
) -> impl Future<Output = (Runner, Picked)> + Send + use<> {
    let pool = Arc::clone(&call.pool);
    let mut request = PickRequest::new(call.deadline, true, false);
    request.tried = tried;
    async move {
        let picked = pool.pick(&mut request).await;
        (runner, picked)
    }
}

/// Returns the first that is ready, and which.
fn first<'a, T: 'a>(
    waits: impl Iterator<Item = &'a mut Wait<T>>,
    cx: &mut Context<'_>,
) -> Option<(usize, T)> {
    waits.enumerate().find_map(|(index, wait)| match wait.as_mut().poll(cx) {
        Poll::Ready(value) => Some((index, value)),
        Poll::Pending => None,
    })
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
