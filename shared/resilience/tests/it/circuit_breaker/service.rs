use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use gantry_resilience::circuit_breaker::{
    Cause, CircuitBreakerLayer, CircuitBreakerService, Classify, Error,
};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use super::*;
use crate::{at_once, sent};

/// Classifies calls without a body by their results.
#[derive(Clone)]
struct ByResult<F>(F);

impl<F> ByResult<F> {
    fn new<T, E>(classify: F) -> Self
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        Self(classify)
    }
}

impl<F, R, T, E> Classify<R, T, E> for ByResult<F>
where
    F: Fn(Result<&T, &E>) -> Outcome,
{
    type Response = T;

    fn answered(&self, permit: Permit, result: Result<T, E>, now: Instant) -> Result<T, E> {
        permit.record((self.0)(result.as_ref()), now);
        result
    }
}

type Answer = Result<&'static str, &'static str>;

fn breaker(parameters: Parameters) -> CircuitBreaker {
    CircuitBreaker::new(Config::try_new(parameters).unwrap())
}

fn policy(result: Result<&&'static str, &&'static str>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(&"shed") => Outcome::Neutral,
        Err(_) => Outcome::Failed,
    }
}

/// Returns a service that responds at once with its request.
fn echo(
    breaker: CircuitBreaker,
) -> impl Service<Answer, Response = &'static str, Error = Error<&'static str>> {
    let inner = service_fn(|answer: Answer| async move { answer });
    CircuitBreakerLayer::new(breaker, ByResult::new(policy)).layer(inner)
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_while_open_and_rejects_in_call() {
    let breaker = breaker(Parameters { consecutive_failures: 1, ..exact() });
    let (mut service, mut handle) = mock::spawn_layer(CircuitBreakerLayer::new(
        breaker.clone(),
        ByResult::new(
            |result: Result<&(), &BoxError>| {
                if result.is_ok() { Outcome::Success } else { Outcome::Failed }
            },
        ),
    ));
    handle.allow(2);
    assert!(service.poll_ready().is_ready());
    let failing = service.call("first");
    sent(&mut handle, "first").await.send_error("down");
    assert!(matches!(failing.await, Err(Error::Inner(_))));

    assert!(matches!(service.poll_ready(), Poll::Ready(Ok(()))));
    let Err(Error::Rejected(rejected)) = at_once(service.call("second")).await else {
        panic!("let through")
    };
    assert_eq!(rejected.retry_after, 5 * SECOND);

    tokio::time::sleep(5 * SECOND).await;
    assert!(service.poll_ready().is_ready());
    let probe = service.call("third");
    // The rejected one never arrived.
    sent(&mut handle, "third").await.send_response(());
    probe.await.unwrap();
    assert_eq!(breaker.snapshot(Instant::now()).probes_good, 1);
}

#[tokio::test(start_paused = true)]
async fn results_count_as_the_policy_says() {
    let breaker = breaker(exact());
    let mut service = echo(breaker.clone());
    for _ in 0..100 {
        service.ready().await.unwrap().call(Err("shed")).await.unwrap_err();
    }
    for _ in 0..5 {
        assert_eq!(breaker.snapshot(Instant::now()).state, State::Closed);
        let error = service.ready().await.unwrap().call(Err("down")).await.unwrap_err();
        assert_eq!(error, Error::Inner("down"));
    }
    let error = service.ready().await.unwrap().call(Ok("well")).await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)));
    tokio::time::sleep(5 * SECOND).await;
    for _ in 0..5 {
        assert_eq!(service.ready().await.unwrap().call(Ok("well")).await, Ok("well"));
    }
    assert_eq!(breaker.snapshot(Instant::now()).cause, Some(Cause::ProbesSucceeded));
}

#[tokio::test(start_paused = true)]
async fn half_open_exactly_five_of_a_burst_reach_the_service() {
    let breaker = breaker(exact());
    let mut service = echo(breaker.clone());
    for _ in 0..5 {
        service.ready().await.unwrap().call(Err("down")).await.unwrap_err();
    }
    tokio::time::sleep(5 * SECOND).await;

    let reached = Arc::new(AtomicU32::new(0));
    let inner = service_fn(|_: ()| {
        reached.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::time::sleep(10 * MS).await;
            Ok::<_, &'static str>("well")
        }
    });
    let mut service = CircuitBreakerService::new(inner, breaker.clone(), ByResult::new(policy));
    let burst: Vec<_> = (0..64).map(|_| service.call(())).collect();
    let mut answers = Vec::new();
    for call in burst {
        answers.push(call.await.is_ok());
    }
    assert_eq!(answers.iter().filter(|ok| **ok).count(), 5);
    assert_eq!(reached.load(Ordering::SeqCst), 5);
    assert_eq!(breaker.snapshot(Instant::now()).state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn no_mutex_is_held_across_a_poll_or_a_call_of_the_service() {
    let breaker = breaker(Parameters { consecutive_failures: 1, ..exact() });
    let inside = breaker.clone();
    let look = move || {
        // Blocks for ever if this thread holds the state.
        let now = Instant::now();
        drop(inside.admit(now));
        inside.snapshot(now).state
    };
    let inner = service_fn(move |fail: bool| {
        look();
        let look = look.clone();
        poll_fn(move |cx| {
            look();
            cx.waker().wake_by_ref();
            Poll::Ready(if fail { Err("down") } else { Ok("well") })
        })
    });
    let inside = breaker.clone();
    let policy = ByResult::new(move |result: Result<&&'static str, &&'static str>| {
        inside.snapshot(Instant::now());
        policy(result)
    });
    let mut service = CircuitBreakerService::new(inner, breaker.clone(), policy);
    service.call(true).await.unwrap_err();
    tokio::time::sleep(5 * SECOND).await;
    service.call(false).await.unwrap();
    assert_eq!(breaker.snapshot(Instant::now()).probes_good, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_gives_its_permit_back() {
    let breaker = breaker(exact());
    let mut service = echo(breaker.clone());
    for _ in 0..5 {
        service.ready().await.unwrap().call(Err("down")).await.unwrap_err();
    }
    tokio::time::sleep(5 * SECOND).await;
    let never = service_fn(|_: ()| std::future::pending::<Answer>());
    let mut hanging = CircuitBreakerService::new(never, breaker.clone(), ByResult::new(policy));
    for _ in 0..20 {
        let mut calls: Vec<_> = (0..5).map(|_| Box::pin(hanging.call(()))).collect();
        for call in &mut calls {
            let polled = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        }
        assert!(matches!(at_once(hanging.call(())).await, Err(Error::Rejected(_))));
        drop(calls);
        assert_eq!(breaker.snapshot(Instant::now()).probes_out, 0);
    }
    // A call that was never polled returns it too.
    drop(hanging.call(()));
    for _ in 0..5 {
        service.ready().await.unwrap().call(Ok("well")).await.unwrap();
    }
    assert_eq!(breaker.snapshot(Instant::now()).state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_service_gives_the_permit_back() {
    let breaker = breaker(Parameters { consecutive_failures: 1, probes: 1, ..exact() });
    echo(breaker.clone()).call(Err("down")).await.unwrap_err();
    tokio::time::sleep(5 * SECOND).await;
    let inner = service_fn(|_: ()| async { panic!("a bug") as Answer });
    let mut service = CircuitBreakerService::new(inner, breaker.clone(), ByResult::new(policy));
    let call = service.call(());
    assert!(tokio::spawn(call).await.unwrap_err().is_panic());
    assert_eq!(breaker.snapshot(Instant::now()).probes_out, 0);
    echo(breaker.clone()).call(Ok("well")).await.unwrap();
    assert_eq!(breaker.snapshot(Instant::now()).state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn all_that_one_layer_makes_share_its_breaker() {
    let layer = CircuitBreakerLayer::new(breaker(exact()), ByResult::new(policy));
    let inner = || service_fn(|answer: Answer| async move { answer });
    let (mut one, mut other) = (layer.layer(inner()), layer.layer(inner()).clone());
    for _ in 0..5 {
        one.call(Err("down")).await.unwrap_err();
    }
    assert!(matches!(other.call(Ok("well")).await, Err(Error::Rejected(_))));
}

#[tokio::test(start_paused = true)]
async fn its_readiness_is_that_of_the_service() {
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(CircuitBreakerLayer::new(
        breaker(exact()),
        ByResult::new(|_: Result<&(), &BoxError>| Outcome::Success),
    ));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    handle.send_error("dead");
    // It errs only if the service is dead.
    assert!(matches!(service.poll_ready(), Poll::Ready(Err(Error::Inner(_)))));
}
