//! Reports to callers, admin pages and metrics.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use gantry_client::{
    AttemptEnded, CallEnded, Metrics,
    circuit_breaker::{State, Transition},
    ejection::Ejected,
};
use gantry_contract::GantryReason;
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    caller::{ADD, FIND, Setup, assert_failed, builder, call, warm, within},
    raw,
    server::{Server, answer, reply, trailers_only},
};

const SICK: [(&str, &str); 2] = [("grpc-status", "14"), ("grpc-message", "the database is down")];

#[tokio::test]
async fn a_status_keeps_its_message_and_names_its_endpoint() {
    for late in [false, true] {
        let server = Server::answering(move |_| async move {
            if late { answer([], &SICK) } else { trailers_only(&SICK) }
        })
        .await;
        let setup = Setup::new();
        let _registration = setup.register(server.address).await;
        let status = call(&setup.channel, FIND).await.unwrap_err();
        assert_eq!(status.message(), "the database is down");
        let said = |name: &str| status.metadata().get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(said("gantry-endpoint"), Some(server.address.to_string()));
        assert_eq!(said("gantry-attempts").as_deref(), Some(if late { "1" } else { "3" }));
        let failed = said("gantry-failed-attempts");
        assert_eq!(failed.is_some(), !late);
        if let Some(failed) = failed {
            let one = format!("{}: Unavailable: the database is down", server.address);
            assert_eq!(failed, [&*one, &*one, &*one].join("; "));
        }
    }
}

#[tokio::test]
async fn an_error_names_endpoint_attempts_breaker_and_time_left() {
    let refusing = raw::refusing(raw::Refusal::RefusedStream).await;
    let setup = Setup::new();
    let _registration = setup.register(refusing.address).await;
    let status = call(&setup.channel, FIND).await.unwrap_err();
    let address = refusing.address.to_string();
    assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &["echo at", &address]);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "gantry");
    let said = |key: &str| info.metadata.get(key).map(String::as_str);
    assert_eq!(said("service"), Some("echo"));
    assert_eq!(said("method"), Some(FIND));
    assert_eq!(said("endpoint"), Some(&*address));
    assert_eq!(said("attempts"), Some("3"));
    assert_eq!(said("circuit_breaker"), Some("closed"));
    assert_eq!(said("not_retried"), Some("all attempts were made"));
    assert!(said("time_left").unwrap().contains('s'));
    for attempt in ["attempt_1", "attempt_2", "attempt_3"] {
        assert!(said(attempt).unwrap().starts_with(&address), "{info:?}");
    }
}

#[tokio::test]
async fn the_snapshot_shows_endpoints_breaker_and_budget() {
    let (sick, well) =
        (Server::answering(|_| async { trailers_only(&SICK) }).await, Server::start().await);
    let setup = Setup::new();
    let _registrations = [setup.register(sick.address).await, setup.register(well.address).await];
    warm(&setup.channel, 2).await;
    for _ in 0..4 {
        call(&setup.channel, FIND).await.unwrap();
    }
    let snapshot = setup.channel.snapshot();
    assert_eq!(snapshot.service, "echo");
    assert_eq!(snapshot.breaker.state, State::Closed);
    assert_eq!(snapshot.breaker.counts.calls, 4);
    assert!((98.0..100.0).contains(&snapshot.retry_tokens), "{snapshot:?}");
    let of = |address| snapshot.endpoints.iter().find(|e| e.address == address).unwrap();
    assert_eq!((of(sick.address).weight, of(sick.address).consecutive_failures), (1, 1));
    assert!(of(sick.address).estimate > Some(Duration::from_secs(4)));
    assert!(of(well.address).estimate < of(sick.address).estimate);
    assert_eq!(of(well.address).ejected_for, None);
}

/// Records all reports.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn say(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl Metrics for Told {
    fn call(&self, ended: &CallEnded<'_>) {
        let CallEnded { service, method, code, attempts, .. } = ended;
        self.say(format!("call {service}{method} {code:?} {attempts}"));
    }

    fn attempt(&self, ended: &AttemptEnded<'_>) {
        self.say(format!("attempt {:?}", ended.code));
    }

    fn retry(&self, _: &str, _: &str, after: Duration) {
        self.say(format!("retry {}", after.as_millis()));
    }

    fn breaker(&self, service: &str, transition: &Transition) {
        self.say(format!("breaker {service} {}", transition.to));
    }

    fn ejected(&self, service: &str, ejected: &Ejected<SocketAddr>) {
        self.say(format!("ejected {service} {}", ejected.key));
    }
}

#[tokio::test]
async fn metrics_get_calls_attempts_retries_and_transitions() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let pushback = [("grpc-status", "14"), ("grpc-retry-pushback-ms", "7")];
    let server = Server::answering(move |_| {
        let first = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        std::future::ready(if first { trailers_only(&pushback) } else { reply("well") })
    })
    .await;
    let mut setup = Setup::new();
    let told = Arc::<Told>::default();
    setup.channel = builder(&setup.registry).metrics(told.clone()).build().unwrap();
    let registration = setup.register(server.address).await;
    call(&setup.channel, FIND).await.unwrap();
    let expected = [
        "attempt Some(Unavailable)",
        "retry 7",
        "attempt Some(Ok)",
        "call echo/test.Echo/Find Ok 2",
    ];
    assert_eq!(*told.0.lock().unwrap(), expected);
    registration.deregister().await;
    drop(server);
    within("removal", || {
        let snapshot = setup.channel.snapshot();
        snapshot.endpoints.is_empty().then_some(()).ok_or(snapshot.endpoints)
    })
    .await;

    told.0.lock().unwrap().clear();
    let sick = Server::answering(|_| async { trailers_only(&SICK) }).await;
    let nowhere: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let _registrations = [setup.register(sick.address).await, setup.register(nowhere).await];
    warm(&setup.channel, 1).await;
    // The ejecting failure does not count for the service, the next one does.
    for _ in 0..6 {
        call(&setup.channel, ADD).await.unwrap_err();
    }
    let told = told.0.lock().unwrap();
    assert_eq!(told.iter().filter(|what| **what == "attempt Some(Unavailable)").count(), 6);
    assert_eq!(
        told[told.len() - 6..],
        [
            format!("ejected echo {}", sick.address),
            "attempt Some(Unavailable)".to_owned(),
            "call echo/test.Echo/Add Unavailable 1".to_owned(),
            "attempt Some(Unavailable)".to_owned(),
            "breaker echo open".to_owned(),
            "call echo/test.Echo/Add Unavailable 1".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_dropped_call_is_reported_as_cancelled() {
    let server = Server::slow(Duration::from_secs(60)).await;
    let mut setup = Setup::new();
    let told = Arc::<Told>::default();
    setup.channel = builder(&setup.registry).metrics(told.clone()).build().unwrap();
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    let channel = setup.channel.clone();
    let calling = tokio::spawn(async move { call(&channel, ADD).await });
    within("call", || (server.hits() == 1).then_some(()).ok_or(server.hits())).await;
    calling.abort();
    calling.await.unwrap_err();
    assert_eq!(*told.0.lock().unwrap(), ["call echo/test.Echo/Add Cancelled 1"]);
}
