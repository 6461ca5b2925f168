use super::*;
use gantry_resilience::circuit_breaker::InvalidConfig;

#[test]
fn the_defaults_are_valid_and_what_the_design_says() {
    let defaults = *Config::default().parameters();
    assert_eq!(Config::try_new(defaults), Ok(Config::default()));
    assert_eq!(defaults.window, WindowKind::Calls(100));
    assert_eq!(WindowKind::BY_TIME, WindowKind::Time { buckets: 10, bucket: SECOND });
    assert_eq!((defaults.consecutive_failures, defaults.minimum_calls), (5, 20));
    assert_eq!((defaults.failure_rate, defaults.slow_rate), (0.5, 0.8));
    assert_eq!((defaults.open, defaults.open_max, defaults.jitter), (5 * SECOND, 60 * SECOND, 0.2));
    assert_eq!(defaults.probes, 5);
}

#[test]
fn numbers_that_make_no_sense_are_refused_by_name() {
    fn refused(change: impl FnOnce(&mut Parameters)) -> String {
        let mut parameters = Parameters::default();
        change(&mut parameters);
        Config::try_new(parameters).unwrap_err().to_string()
    }
    for (message, says) in [
        (refused(|p| p.window = WindowKind::Calls(0)), "window.calls"),
        (refused(|p| p.window = WindowKind::Calls(10_001)), "window.calls"),
        (refused(|p| p.window = WindowKind::Time { buckets: 0, bucket: SECOND }), "buckets"),
        (
            refused(|p| p.window = WindowKind::Time { buckets: 1, bucket: Duration::ZERO }),
            "window.bucket",
        ),
        (refused(|p| p.consecutive_failures = 0), "consecutive_failures"),
        (refused(|p| p.minimum_calls = 0), "minimum_calls"),
        (refused(|p| p.minimum_calls = 101), "minimum_calls must be 1 to 100"),
        (refused(|p| p.failure_rate = 0.0), "failure_rate"),
        (refused(|p| p.failure_rate = f64::NAN), "failure_rate"),
        (refused(|p| p.slow_rate = 1.1), "slow_rate"),
        (refused(|p| p.slow_after = Duration::ZERO), "slow_after"),
        (refused(|p| p.open = Duration::ZERO), "open"),
        (refused(|p| p.open_max = Duration::MAX), "open_max"),
        (refused(|p| p.jitter = 1.0), "jitter"),
        (refused(|p| p.jitter = -0.1), "jitter"),
        (refused(|p| p.jitter = f64::NAN), "jitter"),
        (refused(|p| p.probes = 0), "probes"),
        (refused(|p| p.probe_timeout = Duration::ZERO), "probe_timeout"),
    ] {
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    }
    let shorter = Parameters { open_max: 4 * SECOND, ..Parameters::default() };
    assert_eq!(Config::try_new(shorter), Err(InvalidConfig::OpenMax));
}
