//! Circuit breaker: it counts logical calls, opens on an outage and closes soon after.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gantry_client::{BreakerSettings, ClientSettings, circuit_breaker::State};
use gantry_contract::{GantryReason, Reason};
use gantry_discovery::Registration;
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::{
    caller::{
        ADD, FIND, GET, QUICK, Setup, assert_failed, call, idle, patient, send, warm, within,
    },
    server::{Server, reply, trailers_only},
};

/// Returns settings with a first open wait of 300 ms and two probes.
fn impatient() -> ClientSettings {
    let breaker = BreakerSettings::default()
        .open(Duration::from_millis(300))
        .open_max(Duration::from_secs(2))
        .probes(2);
    ClientSettings::default().breaker(breaker)
}

/// Server with a settable response, and a channel to it.
struct World {
    server: Server,
    /// Status of the responses; 0 succeeds, 100 never responds.
    code: Arc<AtomicU32>,
    setup: Setup,
    _registration: Registration,
}

impl World {
    async fn answering(code: u32, settings: ClientSettings) -> Self {
        let code = Arc::new(AtomicU32::new(code));
        let obeyed = Arc::clone(&code);
        let server = Server::answering(move |_| {
            let code = obeyed.load(Ordering::SeqCst);
            async move {
                match code {
                    0 => reply("well"),
                    100 => std::future::pending().await,
                    code => trailers_only(&[("grpc-status", &code.to_string())]),
                }
            }
        })
        .await;
        let setup = Setup::with(settings);
        let registration = setup.register(server.address).await;
        warm(&setup.channel, 1).await;
        Self { server, code, setup, _registration: registration }
    }

    /// Returns an outage that has just opened the breaker.
    async fn broken() -> Self {
        let world = Self::answering(14, impatient()).await;
        open(&world.setup).await;
        world
    }

    fn answer(&self, code: u32) {
        self.code.store(code, Ordering::SeqCst);
    }

    async fn call(&self, path: &'static str) -> Result<String, Status> {
        call(&self.setup.channel, path).await
    }

    fn state(&self) -> State {
        state(&self.setup)
    }
}

/// Waits until a breaker that opened for the first time admits probes.
async fn open_wait() {
    tokio::time::sleep(Duration::from_millis(370)).await;
}

fn state(setup: &Setup) -> State {
    setup.channel.snapshot().breaker.state
}

async fn open(setup: &Setup) {
    for _ in 0..5 {
        assert_eq!(state(setup), State::Closed);
        call(&setup.channel, ADD).await.unwrap_err();
    }
    assert_eq!(state(setup), State::Open);
}

#[tokio::test]
async fn an_outage_opens_it_and_a_recovery_closes_it() {
    let world = World::broken().await;
    let before = world.server.hits();
    for path in [ADD, FIND] {
        let status = world.call(path).await.unwrap_err();
        let says = ["circuit breaker is open", "5 calls in a row failed", "echo", path];
        assert_failed(&status, Code::Unavailable, GantryReason::CircuitOpen, &says);
        let retry = status.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!(retry <= Duration::from_millis(360), "{retry:?}");
    }
    assert_eq!(world.server.hits(), before, "what is rejected is not sent");

    world.answer(0);
    open_wait().await;
    for _ in 0..20 {
        world.call(ADD).await.unwrap();
    }
    assert_eq!(world.state(), State::Closed);
}

#[tokio::test]
async fn a_probe_is_one_attempt_and_a_failed_one_doubles_the_wait() {
    let world = World::broken().await;
    open_wait().await;
    let before = world.server.hits();
    world.call(FIND).await.unwrap_err();
    assert_eq!(world.server.hits(), before + 1, "a probe is not retried");
    let snapshot = world.setup.channel.snapshot().breaker;
    assert_eq!(snapshot.state, State::Open);
    // The first wait was 300 ms plus a fifth at most.
    assert!(snapshot.half_open_in.unwrap() > Duration::from_millis(360), "{snapshot:?}");
}

#[tokio::test]
async fn cancelled_probes_do_not_leave_it_half_open_for_ever() {
    let world = World::broken().await;
    open_wait().await;
    world.answer(100);
    for _ in 0..10 {
        let given_up = tokio::time::timeout(Duration::from_millis(10), world.call(ADD));
        assert!(given_up.await.is_err(), "let through, and not answered");
        assert_eq!(world.state(), State::HalfOpen);
    }
    world.answer(0);
    for _ in 0..3 {
        world.call(ADD).await.unwrap();
    }
    assert_eq!(world.state(), State::Closed);
}

#[tokio::test]
async fn no_more_probes_than_permits_are_sent_at_once() {
    let world = World::broken().await;
    open_wait().await;
    world.answer(100);
    let before = world.server.hits();
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let channel = world.setup.channel.clone();
        calls.spawn(async move { call(&channel, ADD).await });
    }
    for _ in 0..48 {
        let status = calls.join_next().await.unwrap().unwrap().unwrap_err();
        assert!(GantryReason::CircuitOpen.is_given_by(&status), "{status:?}");
    }
    within("probes", || {
        let probes = world.server.hits() - before;
        (probes == 2).then_some(()).ok_or(probes)
    })
    .await;
}

#[tokio::test]
async fn a_probe_connects_at_once_whatever_the_reconnect_backoff() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let settings = impatient()
        .reconnect_initial(Duration::from_secs(30))
        .reconnect_max(Duration::from_secs(30))
        .endpoint_wait(Duration::from_millis(50));
    let setup = Setup::with(settings);
    let _registration = setup.register(address).await;
    open(&setup).await;
    let _server = Server::at(address, 100, |_| async { reply("again") }).await;
    open_wait().await;
    assert_eq!(call(&setup.channel, ADD).await.unwrap(), "again");
}

#[tokio::test]
async fn load_shedding_and_refusals_do_not_open_it() {
    for shed in [8, 1, 3, 5, 7, 9, 16] {
        let world = World::answering(shed, ClientSettings::default()).await;
        for _ in 0..40 {
            world.call(ADD).await.unwrap_err();
        }
        assert_eq!(world.state(), State::Closed, "status {shed}");
    }
}

#[tokio::test]
async fn failures_of_every_kind_open_it_in_headers_or_in_trailers() {
    for failure in ["14", "4", "13", "2", "15"] {
        for late in [false, true] {
            let server = Server::answering(move |_| async move {
                let fields = [("grpc-status", failure)];
                if late { crate::server::answer([], &fields) } else { trailers_only(&fields) }
            })
            .await;
            let setup = Setup::new();
            let _registration = setup.register(server.address).await;
            open(&setup).await;
        }
    }
}

#[tokio::test]
async fn a_deadline_counts_if_the_caller_left_half_of_the_time() {
    let world = World::answering(100, ClientSettings::default()).await;
    for _ in 0..10 {
        let mut request = Request::new("hello".to_owned());
        request.set_timeout(Duration::from_millis(80));
        let status = send(&world.setup.channel, QUICK, request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
    assert_eq!(world.state(), State::Closed, "80 of 200 ms are less than half");
    for _ in 0..5 {
        let mut request = Request::new("hello".to_owned());
        request.set_timeout(Duration::from_millis(120));
        send(&world.setup.channel, QUICK, request).await.unwrap_err();
    }
    assert_eq!(world.state(), State::Open);
}

#[tokio::test]
async fn a_service_without_endpoints_opens_it() {
    let settings = impatient().endpoint_wait(Duration::from_millis(20));
    let setup = Setup::with(settings);
    open(&setup).await;
    let status = call(&setup.channel, GET).await.unwrap_err();
    assert!(GantryReason::CircuitOpen.is_given_by(&status), "{status:?}");
}

/// Three replicas. One of them fails every call at once.
async fn one_sick_of_three() -> (Setup, [Server; 3], Vec<Registration>) {
    let sick = Server::answering(|_| async {
        trailers_only(&[("grpc-status", "14"), ("grpc-message", "sick")])
    })
    .await;
    let slow = Duration::from_millis(5);
    let servers = [sick, Server::slow(slow).await, Server::slow(slow).await];
    // Independent of the machine's speed: only the distribution of the calls counts.
    let setup = Setup::with(patient());
    let mut registrations = Vec::new();
    for server in &servers {
        registrations.push(setup.register(server.address).await);
    }
    // Cold: all are unknown, but connected. While only the sick one is connected, it gets every
    // call.
    warm(&setup.channel, 3).await;
    (setup, servers, registrations)
}

async fn burst(setup: &Setup, clients: usize, calls: usize) -> Vec<Status> {
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let channel = setup.channel.clone();
        tasks.spawn(async move {
            let mut failed = Vec::new();
            for _ in 0..calls {
                failed.extend(call(&channel, FIND).await.err());
            }
            failed
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_burst_on_one_sick_replica_opens_nothing() {
    let (setup, servers, _registrations) = one_sick_of_three().await;
    let failed = burst(&setup, 64, 20).await;
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first());
    let snapshot = setup.channel.snapshot();
    assert_eq!((snapshot.breaker.state, snapshot.breaker.generation), (State::Closed, 0));
    assert!(servers[0].hits() < 64, "{} calls went to the sick one", servers[0].hits());
    idle(&setup.channel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sick_replica_of_400_calls_does_not_spend_the_budget() {
    let (setup, _servers, _registrations) = one_sick_of_three().await;
    let failed = burst(&setup, 400, 5).await;
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first());
    let snapshot = setup.channel.snapshot();
    assert!(snapshot.retry_tokens > 50.0, "{snapshot:?}");
    assert_eq!(snapshot.breaker.state, State::Closed);
}

#[tokio::test]
async fn a_loop_over_rejected_calls_lets_other_tasks_run() {
    let breaker = BreakerSettings::default().open(Duration::from_secs(60));
    let world = World::answering(14, ClientSettings::default().breaker(breaker)).await;
    open(&world.setup).await;
    let other = tokio::spawn(async {});
    for _ in 0..10_000 {
        if other.is_finished() {
            return;
        }
        let status = world.call(GET).await.unwrap_err();
        assert_failed(&status, Code::Unavailable, GantryReason::CircuitOpen, &[]);
    }
    panic!("10,000 rejected calls in a row kept another task from running");
}
