//! Schedule of a hedged call: further attempts start while none has a response, and the first
//! successful response wins.
//!
//! All attempts are part of the call's own future. Losing attempts are dropped, which resets their
//! streams and returns their places. The load of their endpoints records that a response would have
//! taken at least this long. Their health records nothing: slower than another is no failure.

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
    attempt::{Again, Answered, AttemptOutcome, finish, late, send},
    call_state::{Attempt, CallState},
    call_timer::CallTimer,
    error::Error,
    exchange::Exchanged,
    payload::RequestBody,
    pool::{Lease, PickError, PickRequest},
    verdict::Retry,
};

/// Makes attempts until one succeeds or no further response is worth the wait.
///
/// # Errors
/// The last attempt got no response.
pub(crate) async fn run(
    call: &mut CallState,
    headers: &HeaderMap,
    body: Bytes,
    timer: &mut CallTimer,
    policy: HedgingPolicy,
) -> Result<Answered, Error> {
    let first = Runner { previous: 0, refused: false };
    let (first, picked) = pick(call, first, Vec::new()).await;
    // The delay starts with the first attempt that can get a response.
    let hedges = Hedges::begin(policy, call.deadline, Instant::now());
    let mut race = Race::new(call, headers, body, hedges);
    race.picked(first, picked);
    while !race.hedges.is_over() {
        let next_at = race.hedges.next_at();
        tokio::select! {
            // A late response counts: it has arrived already.
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
    /// Attempts that wait for an endpoint.
    picking: Vec<Wait<(Runner, Picked)>>,
    /// Attempts that wait for a response.
    sent: Vec<Sent>,
    /// Endpoints that have had the call.
    tried: Vec<SocketAddr>,
    /// Outcome for the caller unless a better one comes.
    last: AttemptOutcome,
}

/// One attempt, sent or not.
struct Runner {
    /// Number of attempts before it.
    previous: u32,
    /// True if an endpoint refused it. It is repeated once after that.
    refused: bool,
}

/// Attempt that waits for its response.
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

    /// Starts another attempt, if it is due.
    fn due(&mut self) {
        let previous = self.hedges.sent();
        if self.hedges.due(Instant::now(), &self.call.pool.health.budget) {
            self.call.hedging();
            self.pick(Runner { previous, refused: false });
        }
    }

    /// Starts the pick of an endpoint.
    fn pick(&mut self, runner: Runner) {
        self.picking.push(Box::pin(pick(self.call, runner, self.tried.clone())));
    }

    /// Sends a picked attempt, or records that it got no endpoint.
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

    /// Ends an attempt. Returns true if its answer is the call's.
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

    /// Returns true if the call goes to another endpoint, because this one does not know the
    /// method.
    fn looks_elsewhere(&mut self) -> bool {
        self.call.pool.has_untried(&self.tried) && self.hedges.elsewhere()
    }

    /// Ends all attempts at the deadline.
    fn late(&mut self) {
        self.call.unanswered();
        self.last = AttemptOutcome::Late;
        for Sent { attempt, .. } in self.sent.drain(..) {
            let (endpoint, took) = (attempt.lease.address(), attempt.lease.started().elapsed());
            self.call.note(endpoint, format!("no answer within {} ms", took.as_millis()));
            (self.last, _) = late(self.call, attempt);
        }
    }

    /// Ends the call: drops the other attempts.
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

/// Returns the output and the index of the first ready future.
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
