//! End of a server: orderly, without loss, and bounded in time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, future::join_all};
use gantry_discovery::{
    Instance, RegisterError, Registrar, Registration, RegistrationState, Registry,
};
use gantry_probe::probe::v1::{ActRequest, CountRequest};
use gantry_server::{State, Status};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
};

use crate::world::{TEST_TIMEOUT, World, eventually, lenient, reason};

fn nap(nap_ms: u32) -> ActRequest {
    ActRequest { nap_ms, ..ActRequest::default() }
}

fn health_request() -> HealthCheckRequest {
    HealthCheckRequest { service: "probe.v1.ProbeService".into() }
}

#[tokio::test]
async fn a_drain_answers_calls_in_flight_and_ends_open_watches() {
    // Longer than the guard of `ended`: a drain that waits for its timeout fails the test.
    let settings = lenient().drain_timeout(Duration::from_secs(600));
    let mut world = World::with(|builder| builder.settings(settings)).await;
    let mut health = HealthClient::new(world.channel().await)
        .watch(health_request())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(health.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let mut client = world.client().await;
    let call = tokio::spawn(async move { client.act(nap(500)).await });
    eventually("the call runs", || world.seen.started() == 1).await;

    world.shut_down();
    assert_eq!(health.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(health.next().await.is_none(), "the watch ends without an error");
    call.await.unwrap().unwrap();
    let address = world.address;
    world.ended().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_that_reached_a_handler_is_lost() {
    let mut world = World::start().await;
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = join_all((0..16).map(|_| world.client()))
        .await
        .into_iter()
        .map(|mut client| {
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                // Until the server has ended. A call that it did not accept is not lost.
                while client.act(nap(3)).await.is_ok() {
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    eventually("the server is busy", || world.seen.finished() > 500).await;
    world.shut_down();
    let seen = Arc::clone(&world.seen);
    world.ended().await.unwrap();
    for caller in callers {
        timeout(TEST_TIMEOUT, caller).await.unwrap().unwrap();
    }
    assert_eq!(seen.started(), seen.finished());
    assert_eq!(seen.finished(), answered.load(Ordering::SeqCst));
}

#[tokio::test]
async fn endless_calls_are_cut_at_the_drain_timeout() {
    let settings = lenient().drain_timeout(Duration::from_millis(300));
    let mut world = World::with(|builder| builder.settings(settings)).await;
    let mut client = world.client().await;
    let mut other = client.clone();
    let call = tokio::spawn(async move { client.act(nap(50_000)).await });
    let forever = CountRequest { pause_ms: 10, ..CountRequest::default() };
    let numbers = other.count(forever).await.unwrap().into_inner();
    let mut reflection = ServerReflectionClient::new(world.channel().await);
    let _open = reflection
        .server_reflection_info(futures_util::stream::pending::<ServerReflectionRequest>())
        .await
        .unwrap();
    eventually("both run", || world.seen.started() == 2).await;

    let started = Instant::now();
    world.shut_down();
    let seen = Arc::clone(&world.seen);
    world.ended().await.unwrap();
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    // The handlers end before the server does.
    assert_eq!(seen.dropped(), 2);
    let ended = [
        call.await.unwrap().unwrap_err(),
        numbers.filter_map(async |number| number.err()).boxed().next().await.unwrap(),
    ];
    for ended in ended {
        assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "DRAINING"));
    }
}

/// Registry that records the server's state during deregistration.
#[derive(Clone, Debug, Default)]
struct Notes {
    server: Arc<Mutex<Option<Status>>>,
    states: Arc<Mutex<Vec<State>>>,
}

#[async_trait::async_trait]
impl Registrar for Notes {
    async fn register(&self, _: Instance) -> Result<Registration, RegisterError> {
        let notes = self.clone();
        let note = move || {
            let state = notes.server.lock().unwrap().as_ref().unwrap().state();
            notes.states.lock().unwrap().push(state);
            std::future::ready(())
        };
        Ok(Registration::new(|| RegistrationState::Registered, note))
    }
}

#[tokio::test]
async fn calls_are_accepted_for_the_propagation_time() {
    let notes = Notes::default();
    let propagation = Duration::from_secs(1);
    let registry =
        Registry { registrar: Arc::new(notes.clone()), propagation, ..Registry::memory() };
    let mut world = World::with(|builder| builder.registry(registry)).await;
    *notes.server.lock().unwrap() = Some(world.status.clone());
    let started = Instant::now();
    world.shut_down();
    eventually("the server is deregistered", || !notes.states.lock().unwrap().is_empty()).await;
    // Health reports the drain before the deregistration.
    assert_eq!(*notes.states.lock().unwrap(), [State::Draining]);
    sleep(Duration::from_millis(50)).await;
    let mut latecomer = world.client().await;
    latecomer.act(nap(0)).await.unwrap();
    let mut health = HealthClient::new(world.channel().await);
    let answer = health.check(health_request()).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::NotServing);
    world.ended().await.unwrap();
    assert!(started.elapsed() >= propagation);
    let gone = latecomer.act(nap(0)).await.unwrap_err();
    assert!(matches!(gone.code(), Code::Unavailable | Code::Cancelled | Code::Unknown), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_server_ends_at_once() {
    let mut world = World::start().await;
    let _silent = TcpStream::connect(world.address).await.unwrap();
    let mut idle = world.client().await;
    idle.act(nap(0)).await.unwrap();
    let started = Instant::now();
    world.shut_down();
    world.ended().await.unwrap();
    // In paused time: it does not wait for the GOAWAY's timeout of 5 s.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}
