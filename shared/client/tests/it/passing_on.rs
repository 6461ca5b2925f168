//! A peer that passes on the rejection of its own circuit breaker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gantry_client::{BreakerSettings, ClientSettings, circuit_breaker::State};
use gantry_contract::{Failure, GantryReason, Reason};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::StreamBody;
use tokio::time::sleep;
use tonic::{Code, Status, body::Body};

use crate::{
    caller::{ADD, FIND, SEEK, Setup, call, idle, warm},
    server::{Server, reply, trailers_only},
};

/// Status of a service that may not call the stock at the moment.
fn rejected(reason: impl Reason, retry_after: Duration) -> Status {
    Failure::new(Code::Unavailable, reason, "the stock is cut off").retry_after(retry_after).into()
}

fn cut_off() -> Status {
    rejected(GantryReason::CircuitOpen, Duration::from_secs(60))
}

/// Returns the status in the head of the response, or after it.
pub(crate) fn answer(status: &Status, late: bool) -> Response<Body> {
    let mut headers = HeaderMap::new();
    status.add_header(&mut headers).unwrap();
    let mut response = if late {
        let trailers = http_body::Frame::trailers(headers);
        let frames = tokio_stream::iter([Ok::<_, Status>(trailers)]);
        Response::new(Body::new(StreamBody::new(frames)))
    } else {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = headers;
        response
    };
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

async fn setup(
    settings: ClientSettings,
    server: &Server,
) -> (Setup, gantry_discovery::Registration) {
    let setup = Setup::with(settings);
    let registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    (setup, registration)
}

#[tokio::test]
async fn a_passed_on_rejection_is_not_retried() {
    for path in [FIND, SEEK] {
        let server = Server::answering(|_| async { answer(&cut_off(), false) }).await;
        let (setup, _registration) = setup(ClientSettings::default(), &server).await;
        let status = call(&setup.channel, path).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "the stock is cut off"));
        assert!(GantryReason::CircuitOpen.is_given_by(&status), "{status:?}");
        assert_eq!(server.hits(), 1, "{path}");
        let tokens = setup.channel.snapshot().retry_tokens;
        assert!((tokens - 100.0).abs() < 0.01, "no reason to retry others less: {tokens}");
        idle(&setup.channel).await;
    }
}

#[tokio::test]
async fn a_passed_on_rejection_blames_no_service() {
    for late in [false, true] {
        let server = Server::answering(move |_| async move { answer(&cut_off(), late) }).await;
        let (setup, _registration) = setup(ClientSettings::default(), &server).await;
        // Beside another replica, so that it might be ejected.
        let _nowhere = setup.register("127.0.0.1:1".parse().unwrap()).await;
        for path in [ADD, FIND].repeat(20) {
            call(&setup.channel, path).await.unwrap_err();
        }
        let snapshot = setup.channel.snapshot();
        assert_eq!((snapshot.breaker.state, snapshot.breaker.generation), (State::Closed, 0));
        for endpoint in snapshot.endpoints {
            assert_eq!((endpoint.consecutive_failures, endpoint.ejections), (0, 0), "{endpoint:?}");
        }
        assert_eq!(server.hits(), 40, "late: {late}");
    }
}

#[tokio::test]
async fn a_rejecting_replica_gets_no_calls_until_its_delay_ends() {
    let (cut, well) = (
        Server::answering(|_| async { answer(&cut_off(), false) }).await,
        Server::slow(Duration::from_millis(2)).await,
    );
    let (setup, _registration) = setup(ClientSettings::default(), &cut).await;
    call(&setup.channel, ADD).await.unwrap_err();
    let estimate = setup.channel.snapshot().endpoints[0].estimate.unwrap();
    assert!(estimate > Duration::from_secs(50), "{estimate:?}");
    let _well = setup.register(well.address).await;
    warm(&setup.channel, 2).await;
    for _ in 0..20 {
        assert_eq!(call(&setup.channel, ADD).await.unwrap(), well.address.to_string());
    }
}

#[tokio::test]
async fn only_gantry_breakers_count_and_no_details_panic() {
    struct Theirs;
    impl Reason for Theirs {
        fn reason(&self) -> &'static str {
            "CIRCUIT_OPEN"
        }
        fn domain(&self) -> &'static str {
            "shop"
        }
    }
    let ours = cut_off();
    let cut_short = &ours.details()[..ours.details().len() - 3];
    let statuses = [
        rejected(Theirs, Duration::ZERO),
        rejected(GantryReason::NoEndpoint, Duration::ZERO),
        Status::with_details(Code::Unavailable, "no proto", vec![0xff; 40].into()),
        Status::with_details(Code::Unavailable, "half a proto", cut_short.to_vec().into()),
        Status::unavailable("the stock is cut off"),
    ];
    for status in statuses {
        let told = status.clone();
        let server = Server::answering(move |_| {
            let status = told.clone();
            async move { answer(&status, false) }
        })
        .await;
        let (setup, _registration) = setup(ClientSettings::default(), &server).await;
        assert_eq!(call(&setup.channel, FIND).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(server.hits(), 3, "retried: {status:?}");
    }
    let server = Server::answering(|_| async {
        trailers_only(&[("grpc-status", "14"), ("grpc-status-details-bin", "!!")])
    })
    .await;
    let (setup, _registration) = setup(ClientSettings::default(), &server).await;
    assert_eq!(call(&setup.channel, FIND).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_neutral_probe_leaves_the_breaker_to_the_next() {
    let (fails, is_cut) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let (failing, cut) = (Arc::clone(&fails), Arc::clone(&is_cut));
    let server = Server::answering(move |_| {
        let fails = failing.load(Ordering::SeqCst);
        let cut = cut.load(Ordering::SeqCst);
        std::future::ready(match (fails, cut) {
            (true, _) => trailers_only(&[("grpc-status", "14")]),
            (false, true) => answer(&cut_off(), false),
            (false, false) => reply("well"),
        })
    })
    .await;
    let breaker = BreakerSettings::default().open(Duration::from_millis(200)).probes(2);
    let settings = ClientSettings::default().breaker(breaker);
    let (setup, _registration) = setup(settings, &server).await;
    let state = || setup.channel.snapshot().breaker.state;
    for _ in 0..5 {
        call(&setup.channel, ADD).await.unwrap_err();
    }
    assert_eq!(state(), State::Open);
    fails.store(false, Ordering::SeqCst);
    sleep(Duration::from_millis(250)).await;
    for _ in 0..10 {
        let status = call(&setup.channel, ADD).await.unwrap_err();
        assert_eq!(status.message(), "the stock is cut off", "let through");
        assert_eq!(state(), State::HalfOpen);
    }
    is_cut.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        call(&setup.channel, ADD).await.unwrap();
    }
    assert_eq!(state(), State::Closed);
}
