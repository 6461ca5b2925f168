//! Deadlines of calls, from the caller and from the contract.

use std::time::Duration;

use gantry_probe::probe::v1::{ActRequest, CountRequest};
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::{
    raw::{framed, request, send},
    world::{TEST_TIMEOUT, World, eventually, reason},
};

const ACT: &str = "/probe.v1.ProbeService/Act";
const COUNT: &str = "/probe.v1.ProbeService/Count";

fn nap(nap_ms: u32) -> ActRequest {
    ActRequest { nap_ms, ..ActRequest::default() }
}

#[tokio::test]
async fn work_beyond_the_callers_timeout_is_dropped() {
    let world = World::start().await;
    let mut request = request(ACT, framed(&nap(60_000)));
    request.headers_mut().insert("grpc-timeout", "1S".parse().unwrap());
    let started = Instant::now();
    let status = send(&world, request).await.grpc();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!((world.seen.started(), world.seen.dropped()), (1, 1));
}

#[tokio::test]
async fn work_beyond_the_contracts_timeout_is_dropped() {
    let world = World::start().await;
    let status = world.client().await.brief(nap(60_000)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    assert!(status.message().contains("200ms"), "{}", status.message());
    // On a busy machine the deadline may pass before the handler begins.
    assert_eq!((world.seen.finished(), world.seen.dropped()), (0, world.seen.started()));
}

#[tokio::test]
async fn a_call_without_time_never_starts() {
    let world = World::start().await;
    let mut request = request(ACT, framed(&nap(0)));
    request.headers_mut().insert("grpc-timeout", "0n".parse().unwrap());
    let status = send(&world, request).await.grpc();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(world.seen.started(), 0);
}

#[tokio::test]
async fn a_stream_ends_in_its_trailers() {
    let world = World::start().await;
    let forever = CountRequest { pause_ms: 1, ..CountRequest::default() };
    let mut request = request(COUNT, framed(&forever));
    request.headers_mut().insert("grpc-timeout", "1S".parse().unwrap());
    let answer = timeout(TEST_TIMEOUT, send(&world, request)).await.unwrap();
    assert!(!answer.body.is_empty());
    assert_eq!(answer.trailers.as_ref().unwrap()["grpc-status"], "4");
    assert_eq!(reason(&answer.grpc()), "DEADLINE_EXCEEDED");
    assert_eq!(world.seen.dropped(), 1);
}

#[tokio::test]
async fn the_handler_sees_the_earlier_deadline() {
    let world = World::start().await;
    let mut client = world.client().await;
    let left = client.act(nap(0)).await.unwrap().into_inner().left_ms;
    assert!((30_000..=60_000).contains(&left), "{left}");
    let mut hurried = tonic::Request::new(nap(0));
    hurried.set_timeout(Duration::from_secs(20));
    let left = client.act(hurried).await.unwrap().into_inner().left_ms;
    assert!((1..=20_000).contains(&left), "{left}");
    let mut patient = tonic::Request::new(nap(0));
    patient.set_timeout(Duration::from_secs(3600));
    let left = client.act(patient).await.unwrap().into_inner().left_ms;
    assert!(left <= 60_000, "{left}");
}

#[tokio::test]
async fn a_call_that_its_caller_cancels_is_dropped() {
    let world = World::start().await;
    let mut client = world.client().await;
    let call = tokio::spawn(async move { client.act(nap(60_000)).await });
    eventually("the call runs", || world.seen.started() == 1).await;
    call.abort();
    eventually("the handler is dropped", || world.seen.dropped() == 1).await;
}
