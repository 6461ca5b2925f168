use std::convert::Infallible;

use ::http::{Request, Response, StatusCode};
use bytes::Bytes;
use gantry_resilience::{
    circuit_breaker::{CircuitBreakerService, Error, HttpStatus, Probe, RecordedBody},
    deadline::Deadline,
};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use tower::{Service, service_fn};

use super::{bodies::*, *};

fn get() -> Request<()> {
    Request::new(())
}

fn status() -> HttpStatus<fn(&Infallible) -> Outcome> {
    HttpStatus::new(|_| Outcome::Failed)
}

#[tokio::test(start_paused = true)]
async fn the_status_says_how_a_request_went() {
    for (code, calls, failed) in [
        (200, 1, 0),
        (204, 1, 0),
        (302, 1, 0),
        (400, 1, 0),
        (404, 1, 0),
        (408, 1, 0),
        (429, 0, 0),
        (500, 1, 1),
        (501, 1, 0),
        (502, 1, 1),
        (503, 1, 1),
        (504, 1, 1),
        (505, 1, 0),
        (599, 1, 1),
    ] {
        let breaker = breaker();
        let inner = service_fn(move |_: Request<()>| async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
            Ok::<_, Infallible>(response)
        });
        let mut service = CircuitBreakerService::new(inner, breaker.clone(), status());
        service.call(get()).await.unwrap();
        assert_eq!(counts(&breaker), (calls, failed), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_function_classifies_errors() {
    let breaker = breaker();
    let policy = HttpStatus::new(|error: &&'static str| match *error {
        "bulkhead full" => Outcome::Neutral,
        _ => Outcome::Failed,
    });
    let inner = service_fn(|request: Request<&'static str>| async move {
        Err::<Response<Empty<Bytes>>, _>(request.into_body())
    });
    let mut service = CircuitBreakerService::new(inner, breaker.clone(), policy);
    for _ in 0..100 {
        service.call(Request::new("bulkhead full")).await.unwrap_err();
    }
    assert_eq!(counts(&breaker), (0, 0));
    let error = service.call(Request::new("connection refused")).await.unwrap_err();
    assert_eq!(error, Error::Inner("connection refused"));
    assert_eq!(counts(&breaker), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_success_is_one_once_its_body_is_there() {
    let breaker = breaker();
    let (script, body) = scripted();
    let mut response = answered(&breaker, status(), Response::new(body)).await;
    script.send(data()).unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(counts(&breaker), (0, 0));
    drop(script);
    assert!(response.body_mut().frame().await.is_none());
    assert_eq!(counts(&breaker), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_a_failure() {
    let breaker = breaker();
    let (script, body) = scripted();
    let response = answered(&breaker, status(), Response::new(body)).await;
    script.send(data()).unwrap();
    script.send(Err("connection reset")).unwrap();
    assert_eq!(response.into_body().collect().await.unwrap_err(), "connection reset");
    assert_eq!(counts(&breaker), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_says_what_the_status_says() {
    let breaker = breaker();
    let (_script, body) = scripted();
    drop(answered(&breaker, status(), Response::new(body)).await);
    assert_eq!(counts(&breaker), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_given_up_half_read_says_nothing() {
    let breaker = breaker();
    let (script, body) = scripted();
    let mut response = answered(&breaker, status(), Response::new(body)).await;
    script.send(data()).unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    assert_eq!(counts(&breaker), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_last_frame_of_a_body_of_known_length_ends_the_call() {
    let breaker = breaker();
    let permit = breaker.admit(Instant::now()).unwrap();
    // An empty body ends the call at once.
    let _held = RecordedBody::new(Empty::<Bytes>::new(), permit, Outcome::Neutral);
    assert_eq!(counts(&breaker), (1, 0));
    let permit = breaker.admit(Instant::now()).unwrap();
    let full = Full::new(Bytes::from_static(b"data"));
    let mut body = RecordedBody::new(full, permit, Outcome::Neutral);
    assert_eq!((body.size_hint().exact(), counts(&breaker)), (Some(4), (1, 0)));
    body.frame().await.unwrap().unwrap();
    // A client that knows the length reads no further.
    assert!(body.is_end_stream());
    assert_eq!(counts(&breaker), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_does_not_make_a_call_slow() {
    let breaker = breaker();
    let (script, body) = scripted();
    let response = answered(&breaker, status(), Response::new(body)).await;
    tokio::time::sleep(3600 * SECOND).await;
    drop(script);
    response.into_body().collect().await.unwrap();
    assert_eq!(breaker.snapshot(Instant::now()).counts.slow, 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_marked_for_the_inner_layers() {
    let breaker = opened();
    let inner = service_fn(|request: Request<()>| async move {
        let probe = request.extensions().get::<Probe>().copied();
        Ok::<_, Infallible>(Response::new(Full::new(match probe {
            Some(Probe) => Bytes::from_static(b"probe"),
            None => Bytes::new(),
        })))
    });
    let mut service = CircuitBreakerService::new(inner, breaker.clone(), status());
    tokio::time::sleep(5 * SECOND).await;
    for _ in 0..5 {
        let response = service.call(get()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "probe");
    }
    let response = service.call(get()).await.unwrap();
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

/// Calls a service that never responds, with this deadline, and drops the call after `given_up`.
async fn hang(breaker: &CircuitBreaker, deadline: Option<Duration>, given_up: Duration) {
    let never = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let policy = status().timeout(2 * SECOND);
    let mut service = CircuitBreakerService::new(never, breaker.clone(), policy);
    let mut request = get();
    if let Some(deadline) = deadline {
        request.extensions_mut().insert(Deadline::after(Instant::now(), deadline));
    }
    tokio::time::timeout(given_up, service.call(request)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn only_a_call_dropped_at_its_deadline_is_a_failure() {
    let breaker = breaker();
    hang(&breaker, Some(SECOND), SECOND - MS).await;
    hang(&breaker, None, 3600 * SECOND).await;
    assert_eq!(counts(&breaker), (0, 0));
    hang(&breaker, Some(SECOND), SECOND).await;
    assert_eq!(counts(&breaker), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_too_near_to_be_fair_makes_no_failure() {
    let breaker = breaker();
    for _ in 0..100 {
        hang(&breaker, Some(999 * MS), 999 * MS).await;
    }
    assert_eq!(counts(&breaker), (0, 0));
    assert_eq!(breaker.snapshot(Instant::now()).state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_hangs_until_the_deadline_is_a_failure() {
    let breaker = breaker();
    let (_script, body) = scripted();
    let mut body = Some(body);
    let inner = service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(body.take().unwrap())))
    });
    let mut service = CircuitBreakerService::new(inner, breaker.clone(), status());
    let mut request = get();
    request.extensions_mut().insert(Deadline::after(Instant::now(), SECOND));
    let call = async { service.call(request).await.unwrap().into_body().collect().await };
    tokio::time::timeout(SECOND, call).await.unwrap_err();
    assert_eq!(counts(&breaker), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn shedding_at_full_rate_leaves_the_breaker_closed() {
    let breaker = breaker();
    for _ in 0..1000 {
        let (_script, body) = scripted();
        let mut shed = Response::new(body);
        *shed.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        drop(answered(&breaker, status(), shed).await);
    }
    assert_eq!(breaker.snapshot(Instant::now()).state, State::Closed);
    assert_eq!(counts(&breaker), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_probe_keeps_its_permit_until_its_body_is_dropped() {
    let breaker = opened();
    tokio::time::sleep(5 * SECOND).await;
    let (script, body) = scripted();
    let mut response = answered(&breaker, status(), Response::new(body)).await;
    script.send(data()).unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(breaker.snapshot(Instant::now()).probes_out, 1);
    drop(response);
    assert_eq!(breaker.snapshot(Instant::now()).probes_out, 0);
}
