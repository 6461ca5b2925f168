//! Retrying plain HTTP, as a payment provider's client does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gantry_resilience::{
    deadline::Deadline,
    retry::{Budget, Failure, HttpReplay, IDEMPOTENCY_KEY, Policy, RetryLayer},
};
use http::{Method, Request, Response, StatusCode, header::RETRY_AFTER};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    Reset,
    Certificate,
}

/// Responses of the provider until it recovers.
#[derive(Clone, Copy)]
enum Trouble {
    Status(StatusCode),
    Busy(StatusCode, &'static str),
    Broken(Broken),
}

struct Outcome {
    result: Result<StatusCode, Broken>,
    attempts: u32,
    took: Duration,
}

/// Provider that fails the first calls.
async fn charge(request: Request<&'static str>, trouble: Trouble) -> Outcome {
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&attempts);
    let provider = service_fn(move |request: Request<&'static str>| {
        let first = counter.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            assert_eq!(request.into_body(), "42.00 EUR");
            let response = Response::builder();
            match trouble {
                _ if !first => Ok(Response::new(())),
                Trouble::Status(status) => Ok(response.status(status).body(()).unwrap()),
                Trouble::Busy(status, after) => {
                    Ok(response.status(status).header(RETRY_AFTER, after).body(()).unwrap())
                }
                Trouble::Broken(broken) => Err(broken),
            }
        }
    });
    let replay = HttpReplay::new(Duration::from_secs(10), |broken: &Broken| match broken {
        Broken::Reset => Failure::unavailable(None),
        Broken::Certificate => Failure::Final,
    });
    let layer = RetryLayer::new(Policy::DEFAULT, Arc::new(Budget::default()), replay);
    let start = Instant::now();
    let result = layer.layer(provider).oneshot(request).await;
    Outcome {
        result: result.map(|response| response.status()),
        attempts: attempts.load(Ordering::Relaxed),
        took: start.elapsed(),
    }
}

fn request(method: Method, key: bool) -> Request<&'static str> {
    let mut request = Request::new("42.00 EUR");
    *request.method_mut() = method;
    if key {
        request.headers_mut().insert(IDEMPOTENCY_KEY, "payment-1".parse().unwrap());
    }
    request
}

#[tokio::test(start_paused = true)]
async fn only_repeatable_requests_are_sent_twice() {
    let rows = [
        (Method::GET, false, 2),
        (Method::PUT, false, 2),
        (Method::DELETE, false, 2),
        (Method::POST, true, 2),
        (Method::POST, false, 1),
        (Method::PATCH, false, 1),
    ];
    let trouble = Trouble::Status(StatusCode::SERVICE_UNAVAILABLE);
    for (method, key, attempts) in rows {
        let outcome = charge(request(method.clone(), key), trouble).await;
        assert_eq!(outcome.attempts, attempts, "{method}, key: {key}");
        let status = if attempts == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        assert_eq!(outcome.result, Ok(status));
    }
}

#[tokio::test(start_paused = true)]
async fn only_statuses_that_another_attempt_can_mend_are_retried() {
    for code in 400..600 {
        let status = StatusCode::from_u16(code).unwrap();
        let outcome = charge(request(Method::GET, false), Trouble::Status(status)).await;
        let retried = matches!(code, 502..=504);
        assert_eq!(outcome.attempts, if retried { 2 } else { 1 }, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_exactly() {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let outcome = charge(request(Method::GET, false), Trouble::Busy(status, "7")).await;
        assert_eq!(outcome.result, Ok(StatusCode::OK));
        assert_eq!(outcome.took, Duration::from_secs(7));
        let unclear = Trouble::Busy(status, "Fri, 31 Dec 1999 23:59:59 GMT");
        assert_eq!(charge(request(Method::GET, false), unclear).await.result, Ok(status));
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_of_the_request_holds() {
    let busy = Trouble::Busy(StatusCode::SERVICE_UNAVAILABLE, "7");
    for (left, attempts) in [(7, 1), (8, 2), (1000, 2)] {
        let mut request = request(Method::GET, false);
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(left));
        request.extensions_mut().insert(deadline);
        assert_eq!(charge(request, busy).await.attempts, attempts, "{left} s");
    }
    let busy = Trouble::Busy(StatusCode::SERVICE_UNAVAILABLE, "10");
    assert_eq!(charge(request(Method::GET, false), busy).await.attempts, 1, "the layer's own");
}

#[tokio::test(start_paused = true)]
async fn the_caller_classifies_transport_errors() {
    let reset = charge(request(Method::GET, false), Trouble::Broken(Broken::Reset)).await;
    assert_eq!((reset.result, reset.attempts), (Ok(StatusCode::OK), 2));
    let forged = charge(request(Method::GET, false), Trouble::Broken(Broken::Certificate)).await;
    assert_eq!((forged.result, forged.attempts), (Err(Broken::Certificate), 1));
}
