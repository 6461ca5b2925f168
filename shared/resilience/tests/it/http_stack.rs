//! The layers together, as they wrap a payment provider's HTTP API.

use std::{
    convert::Infallible,
    future::pending,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use gantry_resilience::{
    bulkhead::{self, Bulkhead, BulkheadLayer, UntilBodyEnd},
    circuit_breaker::{self, CircuitBreaker, CircuitBreakerLayer, HttpStatus, Outcome, State},
    deadline::{Deadline, Error, HttpDeadlineLayer},
    retry::{Budget, Failure, HttpReplay, Policy, RetryLayer},
};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Channel, channel::Sender};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, service_fn};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Behaviour of the provider in an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    Unavailable,
    /// It never answers.
    Silent,
    /// It starts a response and stops.
    Stalled,
}

struct World {
    breaker: CircuitBreaker,
    bulkhead: Bulkhead,
    provider: Arc<Mutex<Provider>>,
}

struct Provider {
    /// Behaviours for the next attempts; the last one repeats.
    moods: Vec<Mood>,
    attempts: u32,
    /// Senders of bodies that do not end.
    stalled: Vec<Sender<Bytes>>,
}

type Refused = Error<circuit_breaker::Error<bulkhead::Error<Infallible>>>;

impl Provider {
    /// Returns a response, unless it stays silent.
    fn attempt(&mut self) -> Option<Response<Channel<Bytes>>> {
        self.attempts += 1;
        let mood = if self.moods.len() > 1 { self.moods.remove(0) } else { self.moods[0] };
        let (mut sender, body) = Channel::new(1);
        let mut response = Response::new(body);
        sender.try_send(Frame::data(Bytes::from_static(b"paid"))).unwrap();
        match mood {
            Mood::Well => {}
            Mood::Unavailable => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
            Mood::Silent => return None,
            Mood::Stalled => self.stalled.push(sender),
        }
        Some(response)
    }
}

impl World {
    fn new<const N: usize>(moods: [Mood; N]) -> Self {
        let provider = Provider { moods: moods.into(), attempts: 0, stalled: Vec::new() };
        Self {
            breaker: CircuitBreaker::new(circuit_breaker::Config::default()),
            bulkhead: Bulkhead::new(bulkhead::Config::default()),
            provider: Arc::new(Mutex::new(provider)),
        }
    }

    fn becomes(&self, mood: Mood) {
        self.provider.lock().unwrap().moods = vec![mood];
    }

    /// Returns the provider behind all layers.
    fn stack(
        &self,
    ) -> impl Service<
        Request<Bytes>,
        Response = Response<impl Body<Data = Bytes, Error = Error<Infallible>>>,
        Error = Refused,
    > {
        let provider = Arc::clone(&self.provider);
        let provider = service_fn(move |_: Request<Bytes>| {
            let answer = provider.lock().unwrap().attempt();
            async move {
                match answer {
                    Some(answer) => Ok::<_, Infallible>(answer),
                    None => pending().await,
                }
            }
        });
        let outcome = |_full: &bulkhead::Error<Infallible>| Outcome::Neutral;
        let failure = |_full: &bulkhead::Error<Infallible>| Failure::Final;
        let status = HttpStatus::new(outcome).timeout(TIMEOUT);
        let replay = HttpReplay::new(TIMEOUT, failure);
        ServiceBuilder::new()
            // Around everything, waits included.
            .layer(HttpDeadlineLayer::new(TIMEOUT))
            // Around all attempts: it counts calls.
            .layer(CircuitBreakerLayer::new(self.breaker.clone(), status))
            .layer(RetryLayer::new(Policy::DEFAULT, Arc::new(Budget::default()), replay))
            // Around one attempt: a wait between attempts holds no slot.
            .layer(BulkheadLayer::new(self.bulkhead.clone(), UntilBodyEnd))
            .service(provider)
    }

    /// Makes a call and reads its body to the end.
    async fn call(&self) -> Result<StatusCode, String> {
        let response = self.stack().call(Request::new(Bytes::new())).await;
        let response = response.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect().await;
        body.map(|_| status).map_err(|error| error.to_string())
    }

    /// Returns the number of attempts since the last call of this.
    fn attempts(&self) -> u32 {
        std::mem::take(&mut self.provider.lock().unwrap().attempts)
    }

    /// Returns the breaker's state, its calls and its failed calls.
    fn seen(&self) -> (State, u32, u32) {
        let snapshot = self.breaker.snapshot(Instant::now());
        (snapshot.state, snapshot.counts.calls, snapshot.counts.failed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_no_failed_call() {
    let world = World::new([Mood::Unavailable, Mood::Unavailable, Mood::Well]);
    assert_eq!(world.call().await, Ok(StatusCode::OK));
    assert_eq!(world.attempts(), 3);
    assert_eq!(world.seen(), (State::Closed, 1, 0));
    assert_eq!(world.bulkhead.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn silence_opens_the_breaker_and_probes_are_single_attempts() {
    let world = World::new([Mood::Silent]);
    let started = Instant::now();
    for _ in 0..5 {
        let error = world.call().await.unwrap_err();
        assert_eq!(error, "the call was not over at its deadline, 2s after it began");
    }
    assert_eq!(started.elapsed(), 5 * TIMEOUT);
    assert_eq!((world.seen().0, world.attempts()), (State::Open, 5));
    assert_eq!(world.bulkhead.snapshot().in_flight, 0);

    let error = world.call().await.unwrap_err();
    assert!(error.starts_with("the circuit breaker is open"), "{error}");
    assert_eq!((started.elapsed(), world.attempts()), (5 * TIMEOUT, 0));

    world.becomes(Mood::Unavailable);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(world.call().await, Ok(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!((world.seen().0, world.attempts()), (State::Open, 1));

    world.becomes(Mood::Well);
    tokio::time::sleep(Duration::from_secs(12)).await;
    for _ in 0..5 {
        assert_eq!(world.call().await, Ok(StatusCode::OK));
    }
    assert_eq!(world.seen().0, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_ends_at_the_deadline_and_failed() {
    let world = World::new([Mood::Stalled]);
    let started = Instant::now();
    let error = world.call().await.unwrap_err();
    assert_eq!(error, "the call was not over at its deadline, 2s after it began");
    assert_eq!(started.elapsed(), TIMEOUT);
    assert_eq!(world.seen(), (State::Closed, 1, 1));
    assert_eq!(world.bulkhead.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_bulkhead_is_neither_retried_nor_a_failure() {
    let world = World::new([Mood::Well]);
    let slots: Vec<_> = std::iter::from_fn(|| world.bulkhead.try_enter().ok()).collect();
    for _ in 0..100 {
        let error = world.call().await.unwrap_err();
        assert!(error.starts_with("25 calls to the dependency are in flight"), "{error}");
    }
    assert_eq!((world.seen(), world.attempts()), ((State::Closed, 0, 0), 0));
    drop(slots);
    assert_eq!(world.call().await, Ok(StatusCode::OK));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_of_the_caller_is_no_failure() {
    let world = World::new([Mood::Silent]);
    for left in [Duration::from_millis(300), Duration::ZERO] {
        let started = Instant::now();
        let mut request = Request::new(Bytes::new());
        request.extensions_mut().insert(Deadline::after(started, left));
        let Err(error) = world.stack().call(request).await else { panic!("answered") };
        assert_eq!((error, started.elapsed()), (Error::Exceeded { granted: left }, left));
    }
    // Without time left, nothing was sent.
    assert_eq!((world.seen(), world.attempts()), ((State::Closed, 0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_without_end_is_cut_off_at_the_deadline() {
    let endless = service_fn(|_: Request<()>| async {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        tokio::spawn(async move {
            while sender.send_data(Bytes::from_static(b"more")).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Ok::<_, Infallible>(Response::new(body))
    });
    let started = Instant::now();
    let response = HttpDeadlineLayer::new(TIMEOUT).layer(endless).call(Request::new(())).await;
    let mut body = pin!(response.unwrap().into_body());
    let mut frames = 0;
    let error = loop {
        match body.frame().await.unwrap() {
            Ok(_) => frames += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error, started.elapsed()), (Error::Exceeded { granted: TIMEOUT }, TIMEOUT));
    assert!((190..=200).contains(&frames), "{frames}");
    assert!(body.frame().await.is_none());
    assert!(body.is_end_stream());
}
