//! Ejections of endpoints and their return.

mod books;
mod config;
mod looks;
mod refusals;
mod rules;

use std::{sync::Arc, time::Duration};

use gantry_resilience::ejection::{Config, Detector, Ejected, Endpoint, Parameters, Reason};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Set of endpoints whose keys are numbers.
struct Endpoints {
    detector: Detector<usize>,
    all: Vec<Arc<Endpoint<usize>>>,
}

fn endpoints(number: usize, now: Instant) -> Endpoints {
    with(Parameters::default(), number, now)
}

fn with(parameters: Parameters, number: usize, now: Instant) -> Endpoints {
    let detector = Detector::new(Config::try_new(parameters).unwrap(), now);
    let all = detector.replace(0..number, now);
    Endpoints { detector, all }
}

impl Endpoints {
    fn succeed(&self, name: usize, calls: usize, now: Instant) {
        for _ in 0..calls {
            assert_eq!(self.detector.succeeded(&self.all[name], now), []);
        }
    }

    /// Returns the endpoints that the last failure ejected.
    fn fail(&self, name: usize, calls: usize, now: Instant) -> Vec<Ejected<usize>> {
        for _ in 1..calls {
            assert_eq!(self.detector.failed(&self.all[name], now), []);
        }
        self.detector.failed(&self.all[name], now)
    }

    /// Makes `calls` calls, of which `failures` fail, never five in a row. Ejects no endpoint.
    fn serve(&self, name: usize, calls: usize, failures: usize, now: Instant) {
        for call in 0..calls {
            if call * failures / calls == (call + 1) * failures / calls {
                self.succeed(name, 1, now);
            } else {
                assert_eq!(self.fail(name, 1, now), []);
            }
        }
    }

    fn ejected(&self, now: Instant) -> Vec<usize> {
        self.all.iter().filter(|one| one.is_ejected(now)).map(|one| *one.key()).collect()
    }
}

fn in_a_row(key: usize, times: u32, seconds: u64) -> Ejected<usize> {
    let time = Duration::from_secs(seconds);
    Ejected { key, reason: Reason::ConsecutiveFailures, time, times }
}
