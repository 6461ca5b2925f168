//! Set of endpoints under ejection.

mod sync {
    pub(super) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicU64, Ordering},
    };
}

#[path = "../../../src/ejection/config.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod config;
#[path = "../../../src/ejection/detector.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod detector;
#[path = "../../../src/ejection/endpoint.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod endpoint;
#[path = "../../../src/ejection/outliers.rs"]
mod outliers;
#[path = "../../../src/ejection/set.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod set;

use loom::{sync::Arc, thread};
use tokio::time::Instant;

use config::{Config, Parameters};
use detector::Detector;

fn detector(consecutive_failures: u32, now: Instant) -> Arc<Detector<u8>> {
    let parameters = Parameters { consecutive_failures, ..Parameters::default() };
    Arc::new(Detector::new(Config::try_new(parameters).unwrap(), now))
}

#[test]
fn two_that_fail_at_once_are_never_both_ejected() {
    let now = Instant::now();
    loom::model(move || {
        let detector = detector(1, now);
        let endpoints = detector.replace([0, 1], now);
        let threads = [0, 1].map(|index| {
            let (detector, endpoints) = (Arc::clone(&detector), endpoints.clone());
            thread::spawn(move || {
                let ejected = detector.failed(&endpoints[index], now).len();
                assert!(!endpoints.iter().all(|endpoint| endpoint.is_ejected(now)));
                ejected
            })
        });
        let ejected: usize = threads.map(|thread| thread.join().unwrap()).into_iter().sum();
        assert_eq!(ejected, 1);
        assert_eq!(endpoints.iter().filter(|endpoint| endpoint.is_ejected(now)).count(), 1);
    });
}

#[test]
fn the_failure_that_completes_a_run_ejects_whoever_reports_it() {
    let now = Instant::now();
    loom::model(move || {
        let detector = detector(3, now);
        let endpoints = detector.replace([0, 1], now);
        detector.failed(&endpoints[0], now);
        let threads = [(), ()].map(|()| {
            let (detector, endpoints) = (Arc::clone(&detector), endpoints.clone());
            thread::spawn(move || detector.failed(&endpoints[0], now).len())
        });
        let ejected: usize = threads.map(|thread| thread.join().unwrap()).into_iter().sum();
        assert_eq!(ejected, 1, "once, whichever thread is the last");
    });
}

#[test]
fn a_shrinking_set_never_ejects_its_only_endpoint() {
    let now = Instant::now();
    loom::model(move || {
        let detector = detector(1, now);
        let endpoints = detector.replace([0, 1], now);
        let failing = {
            let (detector, endpoints) = (Arc::clone(&detector), endpoints.clone());
            thread::spawn(move || detector.failed(&endpoints[0], now).len())
        };
        detector.replace([0], now);
        failing.join().unwrap();
        assert!(!endpoints[0].is_ejected(now));
        // Not for good: beside another one it can be ejected.
        detector.replace([0, 1], now);
        detector.failed(&endpoints[0], now);
        assert!(endpoints[0].is_ejected(now));
    });
}
