//! Retries: which calls are sent again, and when.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gantry_client::{ClientSettings, Metrics, RetrySettings};
use gantry_contract::{GantryReason, Reason};
use http::uri::PathAndQuery;
use tonic::{Code, Request, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    caller::{
        ADD, CHAT, FIND, LIST, PUT, Setup, assert_failed, builder, call, idle, patient, send, warm,
        within,
    },
    server::{Server, answer, encode, reply, trailers_only},
};

const UNAVAILABLE: [(&str, &str); 2] = [("grpc-status", "14"), ("grpc-message", "not now")];

/// Returns a server that fails the first calls with these fields, and answers the others.
async fn failing_first(failures: usize, fields: &'static [(&'static str, &'static str)]) -> Server {
    let left = AtomicUsize::new(failures);
    Server::answering(move |_| {
        let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        std::future::ready(if fails.is_ok() { trailers_only(fields) } else { reply("done") })
    })
    .await
}

async fn setup(server: &Server) -> (Setup, gantry_discovery::Registration) {
    let setup = Setup::new();
    let registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    (setup, registration)
}

/// Waits before further attempts.
#[derive(Debug, Default)]
struct Waits(Mutex<Vec<Duration>>);

impl Metrics for Waits {
    fn retry(&self, _: &str, _: &str, after: Duration) {
        self.0.lock().unwrap().push(after);
    }
}

/// Like [`setup`], with the recorded waits.
async fn waiting(server: &Server) -> (Setup, gantry_discovery::Registration, Arc<Waits>) {
    let waits = Arc::<Waits>::default();
    let mut setup = Setup::new();
    setup.channel = builder(&setup.registry).metrics(waits.clone()).build().unwrap();
    let registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    (setup, registration, waits)
}

#[tokio::test]
async fn only_repeatable_calls_are_retried() {
    for path in [FIND, PUT] {
        let server = failing_first(2, &UNAVAILABLE).await;
        let (setup, _registration) = setup(&server).await;
        assert_eq!(call(&setup.channel, path).await.unwrap(), "done");
        assert_eq!(server.hits(), 3);
        idle(&setup.channel).await;
    }
    let server = failing_first(1, &UNAVAILABLE).await;
    let (setup, _registration) = setup(&server).await;
    let status = call(&setup.channel, ADD).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "not now"));
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn attempts_end_with_the_policy_and_say_how_many_came_before() {
    let seen = Arc::<Mutex<Vec<Option<String>>>>::default();
    let seen_by_server = Arc::clone(&seen);
    let server = Server::answering(move |hit| {
        seen_by_server.lock().unwrap().push(hit.header("grpc-previous-rpc-attempts"));
        std::future::ready(trailers_only(&UNAVAILABLE))
    })
    .await;
    let (setup, _registration, waits) = waiting(&server).await;
    let started = Instant::now();
    let status = call(&setup.channel, FIND).await.unwrap_err();
    assert_eq!(status.message(), "not now");
    let waits = waits.0.lock().unwrap();
    // 50 ms and 100 ms, each times 0.8 to 1.2.
    let [first, second] = waits[..] else { panic!("{waits:?}") };
    assert!((40..=60).contains(&first.as_millis()), "{waits:?}");
    assert!((80..=120).contains(&second.as_millis()), "{waits:?}");
    assert!(started.elapsed() >= first + second, "{:?}", started.elapsed());
    let seen = seen.lock().unwrap();
    assert_eq!(*seen, [None, Some("1".to_owned()), Some("2".to_owned())]);
}

#[tokio::test]
async fn a_final_status_is_passed_on() {
    for code in ["2", "4", "8", "10", "13"] {
        let server =
            Server::answering(move |_| async move { trailers_only(&[("grpc-status", code)]) })
                .await;
        let (setup, _registration) = setup(&server).await;
        call(&setup.channel, FIND).await.unwrap_err();
        assert_eq!(server.hits(), 1, "status {code}");
    }
}

#[tokio::test]
async fn a_pushback_is_waited_for_and_a_negative_one_ends_it() {
    let server = failing_first(1, &[("grpc-status", "8"), ("grpc-retry-pushback-ms", "300")]).await;
    let (first, _registration, waits) = waiting(&server).await;
    let started = Instant::now();
    call(&first.channel, FIND).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    assert_eq!(*waits.0.lock().unwrap(), [Duration::from_millis(300)]);
    for pushback in ["-1", "soon"] {
        let server = Server::answering(move |_| async move {
            trailers_only(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", pushback)])
        })
        .await;
        let (setup, _registration) = setup(&server).await;
        call(&setup.channel, FIND).await.unwrap_err();
        assert_eq!(server.hits(), 1, "{pushback}");
    }
}

#[tokio::test]
async fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let server =
        failing_first(9, &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "9000")]).await;
    let (setup, _registration, waits) = waiting(&server).await;
    let status = call(&setup.channel, FIND).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, ""));
    assert!(waits.0.lock().unwrap().is_empty(), "{waits:?}");
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn response_headers_commit_whatever_the_trailers_say() {
    let server = Server::answering(|_| async { answer([encode("half")], &UNAVAILABLE) }).await;
    let (setup, _registration) = setup(&server).await;
    assert_eq!(call(&setup.channel, FIND).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn a_request_too_long_to_be_kept_is_sent_once() {
    let server = failing_first(1, &UNAVAILABLE).await;
    let (setup, _registration) = setup(&server).await;
    let request = Request::new("x".repeat(300 * 1024));
    send(&setup.channel, FIND, request).await.unwrap_err();
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn a_lost_request_too_long_to_be_kept_says_so() {
    let dying = Server::slow(Duration::from_secs(60)).await;
    let setup = Setup::new();
    let _dying = setup.register(dying.address).await;
    warm(&setup.channel, 1).await;
    let channel = setup.channel.clone();
    let request = Request::new("x".repeat(300 * 1024));
    let finding = tokio::spawn(async move { send(&channel, FIND, request).await });
    while dying.hits() < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(dying);
    let status = finding.await.unwrap().unwrap_err();
    let says = ["may be repeated", "longer than the 262144 bytes that are kept"];
    assert_failed(&status, Code::Unavailable, GantryReason::OutcomeUnknown, &says);
    assert!(!status.message().contains("must not"), "{status:?}");
}

#[tokio::test]
async fn a_retry_avoids_the_endpoints_already_tried() {
    let sick = [failing_first(99, &UNAVAILABLE).await, failing_first(99, &UNAVAILABLE).await];
    let well = Server::start().await;
    let setup = Setup::new();
    let mut registrations = vec![setup.register(well.address).await];
    for server in &sick {
        registrations.push(setup.register(server.address).await);
    }
    warm(&setup.channel, 3).await;
    // Each of three attempts goes to another endpoint: one reaches the healthy one.
    for _ in 0..4 {
        assert_eq!(call(&setup.channel, FIND).await.unwrap(), well.address.to_string());
    }
}

#[tokio::test]
async fn a_repeatable_call_survives_a_lost_connection() {
    let dying = Server::slow(Duration::from_secs(60)).await;
    let setup = Setup::new();
    let _dying = setup.register(dying.address).await;
    warm(&setup.channel, 1).await;
    let (finding, adding) = (setup.channel.clone(), setup.channel.clone());
    let finding = tokio::spawn(async move { call(&finding, FIND).await });
    let adding = tokio::spawn(async move { call(&adding, ADD).await });
    while dying.hits() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let other = Server::start().await;
    let _other = setup.register(other.address).await;
    warm(&setup.channel, 2).await;
    drop(dying);
    assert_eq!(finding.await.unwrap().unwrap(), other.address.to_string());
    let status = adding.await.unwrap().unwrap_err();
    let says = ["may have been executed", "must not be executed twice"];
    assert_failed(&status, Code::Unavailable, GantryReason::OutcomeUnknown, &says);
    assert_eq!(other.hits(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dying_replicas_never_execute_a_call_twice() {
    let executed = Arc::<Mutex<std::collections::HashMap<String, usize>>>::default();
    let start = || {
        let executed = Arc::clone(&executed);
        Server::answering(move |hit| {
            let executed = Arc::clone(&executed);
            async move {
                let Some(message) = hit.message().await else { return reply("") };
                *executed.lock().unwrap().entry(message).or_default() += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
                reply("done")
            }
        })
    };
    let setup = Setup::with(patient());
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let server = start().await;
        replicas.push((setup.register(server.address).await, server));
    }
    warm(&setup.channel, 3).await;
    let (stop, ended) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let pass = async |calls: usize| {
        let until = ended.load(Ordering::Relaxed) + calls;
        within("progress", || {
            let ended = ended.load(Ordering::Relaxed);
            (ended >= until).then_some(()).ok_or(ended)
        })
        .await;
    };
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..16 {
        let (channel, stop, ended) = (setup.channel.clone(), stop.clone(), ended.clone());
        clients.spawn(async move {
            let mut outcomes = Vec::new();
            for turn in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // Half of the calls must not be repeated.
                let path = if turn % 2 == 0 { ADD } else { PUT };
                let name = format!("{path} {client} {turn}");
                let result = send(&channel, path, Request::new(name.clone())).await;
                outcomes.push((path, name, result.map(drop)));
                ended.fetch_add(1, Ordering::Relaxed);
            }
            outcomes
        });
    }
    for _ in 0..4 {
        pass(200).await;
        // The server dies with all its connections, and another takes its place.
        let (registration, server) = replicas.remove(0);
        drop(server);
        registration.deregister().await;
        let server = start().await;
        replicas.push((setup.register(server.address).await, server));
    }
    pass(200).await;
    stop.store(true, Ordering::Relaxed);
    let outcomes: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    assert!(outcomes.len() >= 1_000, "{} calls", outcomes.len());
    idle(&setup.channel).await;
    let executed = executed.lock().unwrap();
    for (path, name, result) in &outcomes {
        let times = executed.get(name).copied().unwrap_or(0);
        match result {
            Ok(()) if *path == ADD => assert_eq!(times, 1, "{name}"),
            Ok(()) => assert!(times >= 1, "{name}"),
            Err(status) => {
                assert_eq!(*path, ADD, "{name} may be repeated and failed: {status:?}");
                assert!(times <= 1, "{name} was executed {times} times");
                assert!(GantryReason::OutcomeUnknown.is_given_by(status), "{status:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_budget_stops_retries_until_successes_refill_it() {
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let server = Server::answering(move |_| {
        let down = is_down.load(Ordering::SeqCst);
        std::future::ready(if down { trailers_only(&UNAVAILABLE) } else { reply("up") })
    })
    .await;
    let retry = RetrySettings::default().budget_tokens(10).budget_per_success(1.0);
    // The breaker would hide the effect of the budget.
    let mut settings = ClientSettings::default().retry(retry);
    settings.breaker.consecutive_failures = 1_000;
    settings.breaker.minimum_calls = 100;
    let setup = Setup::with(settings);
    let _registration = setup.register(server.address).await;
    warm(&setup.channel, 1).await;
    for _ in 0..20 {
        call(&setup.channel, FIND).await.unwrap_err();
    }
    // Three attempts, two attempts, and one each from half of the tokens on.
    assert_eq!(server.hits(), 23);
    assert!(setup.channel.snapshot().retry_tokens <= 5.0);
    down.store(false, Ordering::SeqCst);
    for _ in 0..10 {
        call(&setup.channel, FIND).await.unwrap();
    }
    assert!((setup.channel.snapshot().retry_tokens - 10.0).abs() < 0.01);
}

async fn list(setup: &Setup) -> Result<tonic::Streaming<String>, tonic::Status> {
    let codec = ProstCodec::<String, String>::default();
    Grpc::new(setup.channel.clone())
        .server_streaming(Request::new("hello".to_owned()), PathAndQuery::from_static(LIST), codec)
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_response_stream_is_retried_only_before_it_begins() {
    let server = failing_first(1, &UNAVAILABLE).await;
    let (setup_, _registration) = setup(&server).await;
    let mut answers = list(&setup_).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap(), "done");
    assert_eq!(server.hits(), 2);

    let breaking = Server::answering(|_| async { answer([encode("one")], &UNAVAILABLE) }).await;
    let (setup, _registration) = setup(&breaking).await;
    let mut answers = list(&setup).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap(), "one");
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(breaking.hits(), 1);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_stream_of_requests_is_not_replayed() {
    let server = failing_first(9, &UNAVAILABLE).await;
    let (setup, _registration) = setup(&server).await;
    let request = Request::new(tokio_stream::iter(["a".to_owned(), "b".to_owned()]));
    let codec = ProstCodec::<String, String>::default();
    let result = Grpc::new(setup.channel.clone())
        .streaming(request, PathAndQuery::from_static(CHAT), codec)
        .await;
    assert_eq!(result.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.hits(), 1);
}
