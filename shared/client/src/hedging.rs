//! A hedged call: further attempts while none has answered, and the first good answer is
//! the call's.
//!
//! All attempts are part of the call's own future. Those that lose are dropped, which resets
//! their streams and gives back their places; the load of their endpoints learns that an
//! answer would have taken at least so long. Their health does not learn of it: being slower
//! than another is no failure.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use gantry_resilience::{
    balance,
    deadline::Deadline,
    retry::{Failure, Hedges, HedgingPolicy},
};
use http::{HeaderMap, HeaderValue, Response};
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use crate::{
    attempt::{Attempt, Unanswered, exchange, request},
    ended::{self, Answered, Ended},
    error::Error,
    incoming::Incoming,
    patience::Patience,
    pool::{Lease, NotPlaced, Placing, Shared},
    prepare::attempt_headers,
    record::Record,
    request_body::RequestBody,
};

/// Makes attempts until one has answered well or no further answer is worth waiting for.
///
/// # Errors
/// The last one got no response.
pub(crate) async fn run(
    record: &mut Record,
    headers: &HeaderMap,
    body: Bytes,
    patience: &mut Patience,
    policy: HedgingPolicy,
) -> Result<Answered, Error> {
    let first = Runner { previous: 0, refused: false };
    let pool = Arc::clone(&record.pool);
    let (first, placed) = place(first, pool, record.deadline, Vec::new()).await;
    // The delay begins where there is an attempt that could answer.
    let hedges = Hedges::begin(policy, record.deadline, Instant::now());
    let mut race = Race::new(record, headers, body, hedges);
    race.placed(first, placed);
    while !race.hedges.is_over() {
        let next_at = race.hedges.next_at();
        tokio::select! {
            // Late answers count: what has arrived is not thrown away.
            biased;
            event = poll_fn(|cx| race.poll_next(cx)) => match event {
                Event::Placed(runner, placed) => race.placed(runner, placed),
                Event::Answered(runner, attempt, answer) => {
                    if answer.is_ok() {
                        patience.sign();
                    }
                    if race.answered(runner, attempt, answer) {
                        break;
                    }
                }
            },
            () = patience.over() => {
                race.late();
                break;
            }
            () = at(next_at) => race.due(),
        }
    }
    race.end()
}

/// What all attempts of a call share.
struct Race<'a> {
    record: &'a mut Record,
    headers: &'a HeaderMap,
    body: Bytes,
    hedges: Hedges,
    /// Those that wait for a place.
    placing: Vec<Wait<(Runner, Placed)>>,
    /// Those that wait for an answer.
    sent: Vec<Sent>,
    /// The endpoints that have had the call.
    tried: Vec<SocketAddr>,
    /// What the caller gets if nothing better comes.
    last: Ended,
}

/// One of the attempts.
struct Runner {
    /// How many were made before it.
    previous: u32,
    /// Whether an endpoint would not take it, which is made good once.
    refused: bool,
}

/// An attempt that waits for its answer.
struct Sent {
    runner: Runner,
    attempt: Attempt,
    answer: Wait<Answer>,
}

enum Event {
    Placed(Runner, Placed),
    Answered(Runner, Attempt, Answer),
}

type Wait<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Placed = Result<Lease, NotPlaced>;
type Answer = Result<Response<Incoming>, Unanswered>;

impl<'a> Race<'a> {
    fn new(record: &'a mut Record, headers: &'a HeaderMap, body: Bytes, hedges: Hedges) -> Self {
        let (placing, sent, tried) = (Vec::new(), Vec::new(), Vec::new());
        Self { record, headers, body, hedges, placing, sent, tried, last: Ended::Late }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let answers = self.sent.iter_mut().map(|sent| &mut sent.answer);
        if let Some((index, answer)) = first(answers, cx) {
            let Sent { runner, attempt, .. } = self.sent.swap_remove(index);
            return Poll::Ready(Event::Answered(runner, attempt, answer));
        }
        if let Some((index, (runner, placed))) = first(self.placing.iter_mut(), cx) {
            drop(self.placing.swap_remove(index));
            return Poll::Ready(Event::Placed(runner, placed));
        }
        Poll::Pending
    }

    /// Another attempt may be due.
    fn due(&mut self) {
        let previous = self.hedges.sent();
        if self.hedges.due(Instant::now(), &self.record.pool.health.budget) {
            self.record.hedging();
            self.look_for_a_place(previous, false);
        }
    }

    fn look_for_a_place(&mut self, previous: u32, refused: bool) {
        let runner = Runner { previous, refused };
        let (pool, deadline) = (Arc::clone(&self.record.pool), self.record.deadline);
        self.placing.push(Box::pin(place(runner, pool, deadline, self.tried.clone())));
    }

    /// An attempt has a place, or will have none.
    fn placed(&mut self, runner: Runner, placed: Placed) {
        let lease = match placed {
            Ok(lease) => lease,
            Err(not_placed) => {
                self.hedges.not_sent();
                self.last = Ended::NotPlaced(not_placed);
                return;
            }
        };
        let Some(left) = self.record.deadline.left(Instant::now()) else {
            lease.unused();
            return self.hedges.not_sent();
        };
        self.tried.push(lease.address());
        let (attempt, span) = self.record.sending(lease, left);
        let previous = (runner.previous > 0).then(|| HeaderValue::from(runner.previous));
        let headers = attempt_headers(self.headers, left, previous, &span);
        let body = RequestBody::Whole(self.body.clone());
        let request = request(&self.record.uri, headers);
        let answer = Box::pin(exchange(attempt.lease.sender(), request, body).instrument(span));
        self.sent.push(Sent { runner, attempt, answer });
    }

    /// An attempt has ended. Says whether its answer is the call's.
    fn answered(&mut self, runner: Runner, mut attempt: Attempt, answer: Answer) -> bool {
        let (failed, ended) = match answer {
            Ok(response) => ended::read(self.record, response, attempt),
            Err(Unanswered::NeverSent(_)) => {
                self.record.not_executed(&attempt);
                attempt.lease.unused();
                self.look_for_a_place(runner.previous, runner.refused);
                return false;
            }
            Err(Unanswered::Refused(_)) if !runner.refused => {
                attempt.lease.learn(balance::Outcome::Failed);
                self.record.not_executed(&attempt);
                self.look_for_a_place(runner.previous, true);
                return false;
            }
            Err(Unanswered::Refused(why)) => ended::refused(self.record, attempt, why),
            Err(Unanswered::BrokeOff(status)) => ended::broke_off(self.record, &attempt, status),
            Err(Unanswered::Lost(loss)) => ended::lost(self.record, attempt, loss),
        };
        let unknown = failed.is_some_and(|failed| failed.failure == Failure::MethodUnknown);
        if unknown && self.looks_elsewhere() {
            self.look_for_a_place(runner.previous, runner.refused);
            return false;
        }
        self.last = ended;
        if let Some(failed) = failed {
            self.hedges.failed(Instant::now(), failed, &self.record.pool.health.budget);
        }
        failed.is_none()
    }

    /// Whether a call of a method that an endpoint does not know goes to another one.
    fn looks_elsewhere(&mut self) -> bool {
        self.record.pool.has_untried(&self.tried) && self.hedges.elsewhere()
    }

    /// The time is over for all of them.
    fn late(&mut self) {
        for Sent { attempt, .. } in self.sent.drain(..) {
            let (endpoint, took) = (attempt.lease.address(), attempt.lease.started().elapsed());
            self.record.note(endpoint, format!("no answer within {} ms", took.as_millis()));
            self.record.late(attempt);
        }
        self.last = Ended::Late;
    }

    /// The others have lost, or nothing more is to be had.
    fn end(self) -> Result<Answered, Error> {
        let Self { record, hedges, sent, last, .. } = self;
        sent.into_iter().for_each(|Sent { attempt, .. }| record.cancelled(&attempt));
        if !matches!(last, Ended::NotPlaced(_) | Ended::Late) {
            hedges.gave_up().into_iter().for_each(|why| record.give_up(why));
        }
        last.last(record)
    }
}

async fn place(
    runner: Runner,
    pool: Arc<Shared>,
    deadline: Deadline,
    tried: Vec<SocketAddr>,
) -> (Runner, Placed) {
    let mut placing = Placing { deadline, patience: None, repeatable: true, tried, probe: false };
    let placed = pool.place(&mut placing).await;
    (runner, placed)
}

/// The first that is ready, and which.
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
