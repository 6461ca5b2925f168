//! What a gRPC client makes of it: the code is in the head, in the trailers or nowhere.

use std::convert::Infallible;

use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use gantry_resilience::circuit_breaker::{Classify, ClassifyEnd, HttpStatus, RecordedBody};
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use super::{bodies::*, *};

/// What a gRPC client puts here: the status is in the trailers, or in the head where
/// there is no body; an answer that was given up says nothing.
#[derive(Clone, Copy)]
struct Grpc;

fn by_code(headers: &HeaderMap) -> Option<Outcome> {
    Some(match headers.get("grpc-status")?.to_str().ok()?.parse().ok()? {
        2 | 4 | 13 | 14 | 15 => Outcome::Failed,
        1 | 8 => Outcome::Neutral,
        _ => Outcome::Success,
    })
}

impl<B: Body> Classify<Request<()>, Response<B>, Infallible> for Grpc {
    type Response = Response<RecordedBody<B, Self>>;

    fn answered(
        &self,
        permit: Permit,
        result: Result<Response<B>, Infallible>,
        now: Instant,
    ) -> Result<Self::Response, Infallible> {
        let Ok(response) = result;
        let known = by_code(response.headers());
        Ok(response.map(|body| match known {
            None => RecordedBody::new(body, permit, Self, Outcome::Neutral),
            Some(outcome) => {
                permit.record(outcome, now);
                RecordedBody::known(body)
            }
        }))
    }
}

impl<E> ClassifyEnd<E> for Grpc {
    fn ended(&self, trailers: Option<&HeaderMap>) -> Outcome {
        trailers.and_then(by_code).unwrap_or(Outcome::Failed)
    }

    fn failed(&self, _: &E) -> Outcome {
        Outcome::Failed
    }
}

fn code(code: u16) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(code))])
}

#[tokio::test(start_paused = true)]
async fn a_grpc_status_is_read_from_the_head_or_from_the_trailers() {
    for (status, calls, failed) in [
        (0, 1, 0),
        (3, 1, 0),
        (5, 1, 0),
        (16, 1, 0),
        (2, 1, 1),
        (4, 1, 1),
        (13, 1, 1),
        (14, 1, 1),
        (15, 1, 1),
        (8, 0, 0),
    ] {
        let breaker = breaker();
        let (_script, body) = scripted();
        let mut head = Response::new(body);
        *head.headers_mut() = code(status);
        drop(answered(&breaker, Grpc, head).await);
        assert_eq!(counts(&breaker), (calls, failed), "{status} in the head");

        let (script, body) = scripted();
        let mut response = answered(&breaker, Grpc, Response::new(body)).await;
        script.send(data()).unwrap();
        script.send(Ok(Frame::trailers(code(status)))).unwrap();
        response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(counts(&breaker), (calls, failed), "only the trailers know");
        response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(counts(&breaker), (2 * calls, 2 * failed), "{status} in the trailers");
        drop(response);
        assert_eq!(counts(&breaker), (2 * calls, 2 * failed), "counted twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_answer_without_a_status_failed_and_one_given_up_says_nothing() {
    let breaker = breaker();
    let (script, body) = scripted();
    let response = answered(&breaker, Grpc, Response::new(body)).await;
    script.send(data()).unwrap();
    drop(script);
    response.into_body().collect().await.unwrap();
    assert_eq!(counts(&breaker), (1, 1));
    let (_script, body) = scripted();
    drop(answered(&breaker, Grpc, Response::new(body)).await);
    assert_eq!(counts(&breaker), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn shedding_at_full_rate_leaves_the_breaker_closed() {
    let breaker = breaker();
    for _ in 0..1000 {
        let (_script, body) = scripted();
        let mut head = Response::new(body);
        *head.headers_mut() = code(8);
        drop(answered(&breaker, Grpc, head).await);
        let (_script, body) = scripted();
        let mut shed = Response::new(body);
        *shed.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let status = HttpStatus::new(|_: &Infallible| Outcome::Failed);
        drop(answered(&breaker, status, shed).await);
    }
    assert_eq!(breaker.snapshot(Instant::now()).state, State::Closed);
    assert_eq!(counts(&breaker), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_streams_keeps_its_permit_until_the_stream_ends_or_is_dropped() {
    let breaker = opened();
    tokio::time::sleep(5 * SECOND).await;
    let (script, body) = scripted();
    let mut response = answered(&breaker, Grpc, Response::new(body)).await;
    script.send(data()).unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(breaker.snapshot(Instant::now()).probes_out, 1);
    drop(response);
    assert_eq!(breaker.snapshot(Instant::now()).probes_out, 0);
}
