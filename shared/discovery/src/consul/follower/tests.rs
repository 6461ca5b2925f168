use proptest::prelude::*;

use super::*;

const HOLD: Duration = Duration::from_secs(30);

fn follower() -> Follower {
    Follower::new(Instant::now(), Duration::from_secs(20), HOLD)
}

/// The index that the next query asks with.
fn asks(follower: &Follower) -> u64 {
    follower.question(Instant::now(), 0.5).index
}

#[test]
fn the_first_query_is_answered_at_once_and_the_next_waits_for_a_change() {
    let mut follower = follower();
    assert_eq!(asks(&follower), 0);
    follower.answered(Instant::now(), 17, false);
    assert_eq!(asks(&follower), 17);
}

#[test]
fn an_index_that_goes_backwards_is_forgotten_once() {
    let mut follower = follower();
    follower.answered(Instant::now(), 17, false);
    follower.answered(Instant::now(), 5, false);
    assert_eq!(asks(&follower), 0);
    follower.answered(Instant::now(), 5, false);
    assert_eq!(asks(&follower), 5, "the lower index counts from then on");
}

#[test]
fn an_index_below_one_counts_as_one() {
    let mut follower = follower();
    follower.answered(Instant::now(), 0, false);
    assert_eq!(asks(&follower), 1);
}

#[test]
fn after_a_failure_the_answer_is_wanted_at_once() {
    let mut follower = follower();
    follower.answered(Instant::now(), 17, false);
    follower.failed(Instant::now());
    assert_eq!(asks(&follower), 0);
}

#[test]
fn the_last_instance_leaving_is_told_at_once() {
    let mut follower = follower();
    follower.answered(Instant::now(), 17, false);
    assert_eq!(follower.answered(Instant::now(), 18, true), Verdict::Tell);
    follower.answered(Instant::now(), 19, false);
    assert_eq!(follower.answered(Instant::now(), 19, true), Verdict::Tell);
}

#[test]
fn an_empty_answer_with_a_lower_index_is_held_and_told_if_it_stays() {
    let start = Instant::now();
    let mut follower = follower();
    follower.answered(start, 17, false);
    assert_eq!(follower.answered(start, 5, true), Verdict::Hold);
    // It stays doubtful however the new index grows.
    assert_eq!(follower.answered(start + HOLD / 2, 18, true), Verdict::Hold);
    let almost = start + HOLD - Duration::from_millis(1);
    assert_eq!(follower.answered(almost, 19, true), Verdict::Hold);
    assert_eq!(follower.answered(start + HOLD, 20, true), Verdict::Tell);
}

#[test]
fn an_empty_answer_soon_after_a_failure_is_held_even_with_others_in_between() {
    let start = Instant::now();
    let mut follower = follower();
    follower.answered(start, 17, false);
    follower.failed(start);
    assert_eq!(follower.answered(start, 18, true), Verdict::Hold);
    assert_eq!(follower.answered(start, 19, false), Verdict::Tell);
    assert_eq!(follower.answered(start, 20, true), Verdict::Hold);
    assert_eq!(follower.answered(start + HOLD, 21, true), Verdict::Tell);
}

#[test]
fn a_further_failure_begins_the_doubt_anew() {
    let start = Instant::now();
    let mut follower = follower();
    follower.answered(start, 17, false);
    assert_eq!(follower.answered(start, 5, true), Verdict::Hold);
    follower.failed(start + HOLD / 2);
    assert_eq!(follower.answered(start + HOLD, 5, true), Verdict::Hold);
    assert_eq!(follower.answered(start + HOLD / 2 + HOLD, 5, true), Verdict::Tell);
}

#[test]
fn the_wait_is_spread_and_ends_with_the_holding() {
    let start = Instant::now();
    let mut follower = follower();
    let seconds =
        |follower: &Follower, at: Instant, random| follower.question(at, random).wait.as_secs_f64();
    assert_eq!(seconds(&follower, start, 0.0), 18.0);
    assert_eq!(seconds(&follower, start, 1.0), 22.0);
    follower.answered(start, 17, false);
    follower.answered(start, 5, true);
    let late = start + HOLD - Duration::from_secs(3);
    assert_eq!(seconds(&follower, late, 0.5), 3.0);
    assert_eq!(seconds(&follower, start + HOLD, 0.5), 0.1, "Consul takes 0 for five minutes");
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Answer { index: u64, empty: bool },
    Failure,
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let event = prop_oneof![
        4 => (0_u64..6, any::<bool>()).prop_map(|(index, empty)| Event::Answer { index, empty }),
        1 => Just(Event::Failure),
    ];
    prop::collection::vec((0_u64..20, event), 1..60)
}

proptest! {
    /// Whatever Consul answers, in whatever order.
    #[test]
    fn the_rules_hold_for_every_history(events in events()) {
        let mut follower = follower();
        // Not before the follower was made, which doubts what was earlier.
        let mut now = Instant::now();
        let (mut last, mut told) = (0, false);
        let mut doubted: Option<Instant> = None;
        for (seconds, event) in events {
            now += Duration::from_secs(seconds);
            match event {
                Event::Failure => {
                    follower.failed(now);
                    doubted = Some(now);
                    prop_assert_eq!(asks(&follower), 0);
                }
                Event::Answer { index, empty } => {
                    let lost_all = empty && told;
                    let verdict = follower.answered(now, index, lost_all);
                    if index < last {
                        doubted = Some(now);
                        prop_assert_eq!(asks(&follower), 0);
                    } else {
                        prop_assert_eq!(asks(&follower), index.max(1));
                    }
                    last = index;
                    let doubtful = doubted.is_some_and(|since| now - since < HOLD);
                    prop_assert_eq!(verdict == Verdict::Hold, lost_all && doubtful);
                    if verdict == Verdict::Tell {
                        told = !empty;
                    }
                }
            }
            let wait = follower.question(now, 0.5).wait;
            prop_assert!(wait >= SHORTEST_WAIT && wait <= Duration::from_secs(20));
        }
    }
}
