//! Number of connections of an endpoint under rising and falling load. A burst opens them over real
//! sockets, and paused time only skips the waits.

use std::{sync::Arc, time::Duration};

use gantry_client::ClientSettings;
use gantry_discovery::Registration;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    caller::{ADD, Setup, call, idle, patient, within},
    load::Load,
    server::{Server, reply},
};

/// Time after which the pool closes an unneeded connection.
const NOT_NEEDED: Duration = Duration::from_secs(60);

/// Returns settings with connections that few calls fill, calls without a time limit, and no pings.
fn settings(calls_per_connection: usize) -> ClientSettings {
    let keep_alive_interval = Duration::from_secs(3_600);
    patient().calls_per_connection(calls_per_connection).keep_alive_interval(keep_alive_interval)
}

/// Service with calls that wait at a gate.
struct Gated {
    setup: Setup,
    server: Server,
    gate: Arc<Semaphore>,
    calls: JoinSet<()>,
    _registration: Registration,
}

impl Gated {
    async fn new(calls_per_connection: usize) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let at_gate = Arc::clone(&gate);
        let server = Server::answering(move |_| {
            let gate = Arc::clone(&at_gate);
            async move {
                gate.acquire().await.unwrap().forget();
                reply("through")
            }
        })
        .await;
        let setup = Setup::with(settings(calls_per_connection));
        let registration = setup.register(server.address).await;
        Self { setup, server, gate, calls: JoinSet::new(), _registration: registration }
    }

    /// Adds a call that waits at the gate.
    async fn one_more(&mut self) {
        let (channel, before) = (self.setup.channel.clone(), self.server.hits());
        self.calls.spawn(async move { drop(call(&channel, ADD).await.unwrap()) });
        within("call", || (self.server.hits() > before).then_some(()).ok_or(before)).await;
        // A call that fills its connection opens another one: let that happen.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    async fn crowd(&mut self, calls: usize) {
        for _ in 0..calls {
            self.one_more().await;
        }
    }

    /// Adds calls at the gate until they have opened this many connections. The number of calls
    /// depends on the time that each connection takes.
    async fn crowd_into(&mut self, connections: usize) {
        loop {
            self.one_more().await;
            let now = self.connections();
            if now == (connections, connections) {
                return;
            }
            assert!(self.calls.len() < 100, "{now:?}");
        }
    }

    async fn release(&mut self, calls: usize) {
        self.gate.add_permits(calls);
        for _ in 0..calls {
            self.calls.join_next().await.unwrap().unwrap();
        }
    }

    fn connections(&self) -> (usize, usize) {
        (self.setup.channel.snapshot().endpoints[0].connections, self.server.open())
    }

    /// Waits until both sides see this many connections.
    async fn are_left(&self, connections: usize) {
        within("number of connections", || {
            let now = self.connections();
            (now == (connections, connections)).then_some(()).ok_or(now)
        })
        .await;
    }
}

/// Skips this time. Tasks that waited for it run before a later sleep ends.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[tokio::test]
async fn one_unneeded_connection_is_closed_each_minute() {
    let mut gated = Gated::new(1).await;
    gated.crowd_into(4).await;
    gated.release(gated.calls.len()).await;
    // All were needed in the first minute.
    for left in [4, 3, 2, 1] {
        let before = gated.connections();
        pass(NOT_NEEDED - Duration::from_secs(2)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(gated.connections(), before, "too soon");
        pass(Duration::from_secs(2)).await;
        gated.are_left(left).await;
    }
    pass(10 * NOT_NEEDED).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(gated.connections(), (1, 1));
    // The next burst opens them again.
    gated.crowd_into(4).await;
    assert_eq!(gated.server.connections(), 7);
    gated.release(gated.calls.len()).await;
}

#[tokio::test]
async fn a_connection_with_a_call_is_not_closed() {
    let mut gated = Gated::new(1).await;
    gated.crowd_into(4).await;
    gated.release(gated.calls.len() - 1).await;
    for left in [4, 3, 2, 1] {
        pass(NOT_NEEDED).await;
        gated.are_left(left).await;
    }
    pass(10 * NOT_NEEDED).await;
    gated.release(1).await;
    idle(&gated.setup.channel).await;
    assert_eq!(gated.connections(), (1, 1));
}

#[tokio::test]
async fn connections_that_waves_of_calls_need_are_kept() {
    let mut gated = Gated::new(2).await;
    gated.crowd_into(4).await;
    for _ in 0..5 {
        gated.crowd(10).await;
        gated.are_left(4).await;
        gated.release(gated.calls.len()).await;
        pass(NOT_NEEDED).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((gated.connections(), gated.server.connections()), ((4, 4), 4));
    // The last wave is over.
    for left in [3, 2, 1] {
        pass(NOT_NEEDED).await;
        gated.are_left(left).await;
    }
}

#[tokio::test]
async fn no_call_is_lost_while_connections_are_closed() {
    let server = Server::start().await;
    let setup = Setup::with(settings(2));
    let _registration = setup.register(server.address).await;
    let load = Load::start(&setup, 8);
    load.pass(200).await;
    within("second connection", || (server.open() > 1).then_some(()).ok_or(server.open())).await;
    load.stop().await;
    let load = Load::start(&setup, 1);
    // It has four at most. One closes each minute, except in the first minute and for the last
    // connection.
    for _ in 0..=4 {
        load.pass(20).await;
        pass(NOT_NEEDED).await;
    }
    load.pass(20).await;
    let (good, failed) = load.stop().await;
    assert!(failed.is_empty(), "{} of {good}: {:?}", failed.len(), failed.first());
    within("one connection", || (server.open() == 1).then_some(()).ok_or(server.open())).await;
}
