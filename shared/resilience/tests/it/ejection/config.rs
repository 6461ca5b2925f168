//! Parameters of a detector.

use std::time::Duration;

use gantry_resilience::ejection::{
    Config, FailurePercentage, InvalidConfig, Parameters, SuccessRate,
};

#[test]
fn numbers_that_cannot_be_are_refused() {
    use InvalidConfig::{Count, MaxEjection, Percentage, StdevFactor, Time};
    fn of(change: impl FnOnce(&mut Parameters)) -> Result<Config, InvalidConfig> {
        let mut parameters = Parameters::default();
        change(&mut parameters);
        Config::try_new(parameters)
    }
    let rate = SuccessRate::default();
    let percentage = FailurePercentage::default();
    let rows = [
        (of(|p| p.consecutive_failures = 0), Count { name: "consecutive_failures" }),
        (of(|p| p.interval = Duration::ZERO), Time { name: "interval" }),
        (of(|p| p.base_ejection = Duration::ZERO), Time { name: "base_ejection" }),
        (of(|p| p.max_ejection = Duration::MAX), Time { name: "max_ejection" }),
        (of(|p| p.max_ejection = Duration::from_secs(29)), MaxEjection),
        (of(|p| p.max_ejected_percent = 101), Percentage { name: "max_ejected_percent" }),
        (of(|p| p.success_rate = Some(SuccessRate { stdev_factor: 0.0, ..rate })), StdevFactor),
        (
            of(|p| p.success_rate = Some(SuccessRate { stdev_factor: f64::NAN, ..rate })),
            StdevFactor,
        ),
        (
            of(|p| p.success_rate = Some(SuccessRate { minimum_hosts: 0, ..rate })),
            Count { name: "success_rate.minimum_hosts" },
        ),
        (
            of(|p| p.success_rate = Some(SuccessRate { request_volume: 0, ..rate })),
            Count { name: "success_rate.request_volume" },
        ),
        (
            of(|p| p.failure_percentage = Some(FailurePercentage { threshold: 101, ..percentage })),
            Percentage { name: "failure_percentage.threshold" },
        ),
        (
            of(|p| {
                p.failure_percentage = Some(FailurePercentage { minimum_hosts: 0, ..percentage });
            }),
            Count { name: "failure_percentage.minimum_hosts" },
        ),
        (
            of(|p| {
                p.failure_percentage = Some(FailurePercentage { request_volume: 0, ..percentage });
            }),
            Count { name: "failure_percentage.request_volume" },
        ),
    ];
    for (refused, why) in rows {
        assert_eq!(refused, Err(why));
    }
    let config = Config::try_new(Parameters::default()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.parameters().max_ejected_percent, 50);
}
