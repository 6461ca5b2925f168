//! Invariants under every sequence of events.

use std::{sync::Arc, time::Duration};

use gantry_resilience::ejection::{Config, Detector, Endpoint, Parameters};
use proptest::prelude::*;
use tokio::time::Instant;

#[derive(Clone, Debug)]
enum Step {
    Succeed {
        endpoint: usize,
        calls: u32,
    },
    Fail {
        endpoint: usize,
        calls: u32,
    },
    Refuse {
        endpoint: usize,
        calls: u32,
    },
    Pass {
        millis: u64,
    },
    /// A thread with an older clock reading.
    Behind {
        millis: u64,
    },
    Replace {
        names: Vec<u8>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<usize>(), 1_u32..120)
            .prop_map(|(endpoint, calls)| Step::Succeed { endpoint, calls }),
        6 => (any::<usize>(), 1_u32..120)
            .prop_map(|(endpoint, calls)| Step::Fail { endpoint, calls }),
        6 => (any::<usize>(), 1_u32..120)
            .prop_map(|(endpoint, calls)| Step::Refuse { endpoint, calls }),
        3 => (0_u64..60_000).prop_map(|millis| Step::Pass { millis }),
        1 => (0_u64..60_000).prop_map(|millis| Step::Behind { millis }),
        1 => proptest::collection::vec(0_u8..12, 0..12).prop_map(|names| Step::Replace { names }),
    ]
}

proptest! {
    /// At no moment more than half or all of the endpoints are ejected, none for longer than the
    /// longest ejection, and none that has left the set.
    #[test]
    fn no_sequence_of_outcomes_ejects_too_many(
        number in 0_u8..12,
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let start = Instant::now();
        let detector = Detector::new(Config::default(), start);
        let mut members = detector.replace(0..number, start);
        let mut all = members.clone();
        let (mut now, mut latest) = (start, start);
        for step in steps {
            match step {
                Step::Succeed { endpoint, calls } if !all.is_empty() => {
                    let endpoint = &all[endpoint % all.len()];
                    (0..calls).for_each(|_| _ = detector.succeeded(endpoint, now));
                }
                Step::Fail { endpoint, calls } if !all.is_empty() => {
                    let endpoint = &all[endpoint % all.len()];
                    (0..calls).for_each(|_| _ = detector.failed(endpoint, now));
                }
                Step::Refuse { endpoint, calls } if !all.is_empty() => {
                    let endpoint = &all[endpoint % all.len()];
                    (0..calls).for_each(|_| _ = detector.refused(endpoint, now));
                }
                Step::Succeed { .. } | Step::Fail { .. } | Step::Refuse { .. } => {}
                Step::Pass { millis } => now += Duration::from_millis(millis),
                Step::Behind { millis } => {
                    // No clock reading precedes the start.
                    let then = now.checked_sub(Duration::from_millis(millis)).unwrap_or(start);
                    now = then.max(start);
                }
                Step::Replace { mut names } => {
                    names.sort_unstable();
                    names.dedup();
                    members = detector.replace(names, now);
                    all.extend(members.iter().cloned());
                }
            }
            latest = latest.max(now);
            let most = if members.len() < 2 { 0 } else { members.len() / 2 };
            for at in [start, now, latest, latest + Duration::from_secs(60)] {
                let out = |one: &&Arc<Endpoint<u8>>| one.is_ejected(at);
                let ejected = members.iter().filter(out).count();
                prop_assert!(ejected <= most, "{} of {}", ejected, members.len());
                for one in all.iter().filter(out) {
                    prop_assert!(members.iter().any(|member| Arc::ptr_eq(member, one)));
                }
            }
            let over = latest + Parameters::default().max_ejection;
            prop_assert!(!all.iter().any(|one| one.is_ejected(over)));
            prop_assert_eq!(detector.snapshot(now).len(), members.len());
        }
    }
}
