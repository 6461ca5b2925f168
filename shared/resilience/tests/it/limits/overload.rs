//! A server under more load than it can serve, in simulated time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gantry_resilience::limits::{ConcurrencyConfig, Limiter};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

/// Handler with a number of slots, behind a limiter.
#[derive(Clone)]
struct Server {
    limiter: Limiter,
    slots: Arc<Semaphore>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Durations of the answered calls, the wait for a slot included.
    took: Vec<Duration>,
    refused: usize,
}

impl Server {
    fn new(slots: usize) -> Self {
        let limiter = Limiter::new(ConcurrencyConfig::default(), 1, Instant::now());
        Self { limiter, slots: Arc::new(Semaphore::new(slots)), seen: Arc::default() }
    }

    /// Makes a call. Returns true if it was admitted.
    async fn call(&self, work: Duration) -> bool {
        let started = Instant::now();
        let Ok(permit) = self.limiter.try_enter(0, started) else {
            self.seen.lock().unwrap().refused += 1;
            return false;
        };
        let slot = self.slots.acquire().await.unwrap();
        sleep(work).await;
        drop(slot);
        permit.answered();
        self.seen.lock().unwrap().took.push(started.elapsed());
        true
    }

    /// Starts `per_ms` calls a millisecond, without waiting for them. Returns the answered calls a
    /// second and the 99th percentile of their duration.
    async fn load(&self, per_ms: u32, seconds: u64, work: Duration) -> (f64, Duration) {
        *self.seen.lock().unwrap() = Seen::default();
        for _ in 0..seconds * 1000 {
            for _ in 0..per_ms {
                let server = self.clone();
                tokio::spawn(async move { server.call(work).await });
            }
            sleep(Duration::from_millis(1)).await;
        }
        let mut took = std::mem::take(&mut self.seen.lock().unwrap().took);
        took.sort();
        (took.len() as f64 / seconds as f64, took[took.len() * 99 / 100])
    }

    /// Clients that make one call after the other.
    async fn clients(&self, clients: usize, seconds: u64, work: Duration) {
        *self.seen.lock().unwrap() = Seen::default();
        let until = Instant::now() + Duration::from_secs(seconds);
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                let server = self.clone();
                tokio::spawn(async move {
                    while Instant::now() < until {
                        if !server.call(work).await {
                            sleep(Duration::from_millis(100)).await;
                        }
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    }

    fn refused(&self) -> usize {
        self.seen.lock().unwrap().refused
    }
}

const WORK: Duration = Duration::from_millis(20);

/// Load of 32 slots x 20 ms: the target in docs/RESILIENCE.md.
const SLOTS: usize = 32;
const PEAK: f64 = 1600.0;

#[tokio::test(start_paused = true)]
async fn an_overload_keeps_nine_tenths_of_the_peak_throughput() {
    let server = Server::new(SLOTS);
    for run in ["cold", "warm"] {
        let (answered, p99) = server.load(8, 10, WORK).await;
        assert!(answered >= 0.9 * PEAK, "{run}: {answered} calls a second");
        assert!(p99 <= 3 * WORK, "{run}: {p99:?}");
        assert!(server.refused() > 50_000, "{run}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_slots_than_the_first_limit_are_found() {
    let server = Server::new(400);
    // The peak is 20,000 calls a second.
    server.load(60, 5, WORK).await;
    let (answered, p99) = server.load(60, 3, WORK).await;
    assert!(answered >= 0.9 * 20_000.0, "{answered} calls a second");
    assert!(p99 <= 3 * WORK, "{p99:?}");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fits_is_never_refused() {
    let server = Server::new(SLOTS);
    for clients in [1, 16, 32, 64] {
        server.clients(clients, 5, WORK).await;
        assert_eq!(server.refused(), 0, "{clients} clients");
    }
    let wide = Server::new(1000);
    wide.clients(300, 5, WORK).await;
    wide.clients(300, 5, WORK).await;
    assert_eq!(wide.refused(), 0, "once the limit has grown");
}

#[tokio::test(start_paused = true)]
async fn slower_work_is_not_taken_for_overload_for_ever() {
    let server = Server::new(256);
    server.clients(40, 2, WORK).await;
    server.load(60, 5, WORK).await;
    let longer = 3 * WORK;
    server.load(60, 20, longer).await;
    let (answered, p99) = server.load(60, 5, longer).await;
    // 256 slots x 60 ms.
    assert!(answered >= 0.9 * 4266.0, "{answered} calls a second");
    assert!(p99 <= 3 * longer, "{p99:?}");
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_less_than_it_used_to_is_noticed_at_once() {
    let server = Server::new(256);
    server.clients(40, 2, 3 * WORK).await;
    server.load(60, 5, WORK).await;
    let (answered, p99) = server.load(60, 3, WORK).await;
    assert!(answered >= 0.9 * 12_800.0, "{answered} calls a second");
    assert!(p99 <= 3 * WORK, "{p99:?}");
}
