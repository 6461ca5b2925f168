//! Sequences of events at endpoints and callers, after which no stream or connection is left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use gantry_client::EndpointSnapshot;
use gantry_discovery::Registration;
use proptest::{collection::vec, prelude::*};
use tokio::{
    runtime,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    caller::{ADD, CHAT, FIND, GUARD, QUICK, Setup, call, idle, patient, within},
    server::{Server, reply},
};

const PLACES: usize = 3;
/// Streams of a connection. An endpoint has one connection, so that a leaked stream shows.
const STREAMS: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A server starts in that place, if there is none, and is listed.
    Start(usize),
    /// It sends GOAWAY and ends with its last call.
    Drain(usize),
    /// It dies with its connections.
    Kill(usize),
    Delist(usize),
    List(usize),
    /// Concurrent calls, each dropped after some milliseconds.
    Calls {
        count: usize,
        path: &'static str,
        patience: u64,
    },
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let paths = prop_oneof![Just(ADD), Just(FIND), Just(QUICK), Just(CHAT)];
    let step = prop_oneof![
        3 => (0..PLACES).prop_map(Step::Start),
        1 => (0..PLACES).prop_map(Step::Drain),
        1 => (0..PLACES).prop_map(Step::Kill),
        1 => (0..PLACES).prop_map(Step::Delist),
        2 => (0..PLACES).prop_map(Step::List),
        6 => (1_usize..20, paths, prop_oneof![0_u64..8, Just(5_000)])
            .prop_map(|(count, path, patience)| Step::Calls { count, path, patience }),
        3 => (0_u64..10).prop_map(Step::Wait),
    ];
    vec(step, 1..40)
}

#[derive(Default)]
struct Place {
    server: Option<Server>,
    registration: Option<Registration>,
}

impl Place {
    async fn list(&mut self, setup: &Setup) {
        if let (Some(server), None) = (&self.server, &self.registration) {
            self.registration = Some(setup.register(server.address).await);
        }
    }
}

/// Calls in flight at a server.
#[derive(Default)]
struct Gathering {
    now: AtomicUsize,
    /// True once there were as many at once as there are streams.
    full: watch::Sender<bool>,
}

impl Gathering {
    async fn wait(&self) {
        let _leaves = Leaves(&self.now);
        if self.now.fetch_add(1, Ordering::SeqCst) + 1 >= STREAMS {
            self.full.send_replace(true);
        }
        let _ = self.full.subscribe().wait_for(|full| *full).await;
    }
}

/// Counts a dropped call down as well.
struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers after a moment. With `gathered` set, answers when there are as many calls as streams.
async fn server(gathering: &Arc<AtomicBool>) -> Server {
    let (gathering, gathered) = (Arc::clone(gathering), Arc::<Gathering>::default());
    Server::limited(STREAMS as u32, move |_| {
        let (gathering, gathered) = (Arc::clone(&gathering), Arc::clone(&gathered));
        async move {
            if gathering.load(Ordering::SeqCst) {
                gathered.wait().await;
            } else {
                sleep(Duration::from_millis(2)).await;
            }
            reply("done")
        }
    })
    .await
}

async fn run(steps: Vec<Step>) {
    let mut settings = patient()
        .max_connections(1)
        .reconnect_initial(Duration::from_millis(5))
        .reconnect_max(Duration::from_millis(5))
        .endpoint_wait(Duration::from_millis(50));
    // A rejected call would test nothing.
    settings.breaker.consecutive_failures = 1_000_000;
    settings.breaker.window_calls = 10_000;
    settings.breaker.minimum_calls = 10_000;
    let setup = Setup::with(settings);
    let gathering = Arc::<AtomicBool>::default();
    let mut places: [Place; PLACES] = Default::default();
    let (mut calls, mut draining) = (JoinSet::new(), JoinSet::new());
    for step in steps {
        match step {
            Step::Start(place) => {
                if places[place].server.is_none() {
                    places[place].server = Some(server(&gathering).await);
                }
                places[place].list(&setup).await;
            }
            Step::Drain(place) => {
                let Place { server, registration } = std::mem::take(&mut places[place]);
                drop(registration);
                server.map(|server| draining.spawn(server.drain()));
            }
            Step::Kill(place) => drop(std::mem::take(&mut places[place])),
            Step::Delist(place) => drop(places[place].registration.take()),
            Step::List(place) => places[place].list(&setup).await,
            Step::Calls { count, path, patience } => {
                for _ in 0..count {
                    let channel = setup.channel.clone();
                    calls.spawn(async move {
                        let _ =
                            timeout(Duration::from_millis(patience), call(&channel, path)).await;
                    });
                }
            }
            Step::Wait(millis) => sleep(Duration::from_millis(millis)).await,
        }
    }
    timeout(GUARD, calls.join_all()).await.expect("a caller hangs");
    idle(&setup.channel).await;

    // Every stream can be taken: no ended call holds one.
    for place in &mut places {
        drop(place.registration.take());
    }
    gathering.store(true, Ordering::SeqCst);
    for place in &mut places {
        let Some(server) = &place.server else { continue };
        let registration = setup.register(server.address).await;
        within("the only endpoint", || {
            let endpoints = setup.channel.snapshot().endpoints;
            let listed: Vec<_> = endpoints.iter().filter(|one| one.listed).collect();
            let is_there =
                |one: &EndpointSnapshot| one.address == server.address && one.connections == 1;
            let is_alone = matches!(listed[..], [one] if is_there(one));
            is_alone.then_some(()).ok_or(endpoints)
        })
        .await;
        let mut all = JoinSet::new();
        for _ in 0..STREAMS {
            let channel = setup.channel.clone();
            all.spawn(async move { call(&channel, ADD).await.unwrap() });
        }
        timeout(GUARD, all.join_all()).await.expect("a stream is missing");
        drop(registration);
    }
    // Every connection ends with the channel.
    let Setup { channel, .. } = setup;
    drop(channel);
    for server in places.iter().filter_map(|place| place.server.as_ref()) {
        within("end of connections", || (server.open() == 0).then_some(()).ok_or(server.open()))
            .await;
    }
    timeout(GUARD, draining.join_all()).await.expect("a drain hangs");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_events_leaks_a_stream_or_a_connection(
        steps in steps(),
    ) {
        runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(run(steps));
    }
}
