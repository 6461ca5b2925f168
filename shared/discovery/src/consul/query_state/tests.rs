use proptest::prelude::*;

use super::*;

const HOLD: Duration = Duration::from_secs(30);

fn query_state() -> QueryState {
    QueryState::new(Instant::now(), Duration::from_secs(20), HOLD)
}

/// Returns the index of the next query.
fn next_index(state: &QueryState) -> u64 {
    state.next_query(Instant::now(), 0.5).index
}

#[test]
fn only_the_first_query_does_not_block() {
    let mut state = query_state();
    assert_eq!(next_index(&state), 0);
    state.answered(Instant::now(), 17, false);
    assert_eq!(next_index(&state), 17);
}

#[test]
fn a_decreased_index_is_reset_once() {
    let mut state = query_state();
    state.answered(Instant::now(), 17, false);
    state.answered(Instant::now(), 5, false);
    assert_eq!(next_index(&state), 0);
    state.answered(Instant::now(), 5, false);
    assert_eq!(next_index(&state), 5, "the lower index counts from then on");
}

#[test]
fn an_index_below_one_counts_as_one() {
    let mut state = query_state();
    state.answered(Instant::now(), 0, false);
    assert_eq!(next_index(&state), 1);
}

#[test]
fn a_query_after_a_failure_does_not_block() {
    let mut state = query_state();
    state.answered(Instant::now(), 17, false);
    state.failed(Instant::now());
    assert_eq!(next_index(&state), 0);
}

#[test]
fn the_last_instance_leaving_is_published_at_once() {
    let mut state = query_state();
    state.answered(Instant::now(), 17, false);
    assert_eq!(state.answered(Instant::now(), 18, true), Decision::Publish);
    state.answered(Instant::now(), 19, false);
    assert_eq!(state.answered(Instant::now(), 19, true), Decision::Publish);
}

#[test]
fn an_empty_answer_with_a_lower_index_is_held_for_a_time() {
    let start = Instant::now();
    let mut state = query_state();
    state.answered(start, 17, false);
    assert_eq!(state.answered(start, 5, true), Decision::Hold);
    // A growing index does not end the hold.
    assert_eq!(state.answered(start + HOLD / 2, 18, true), Decision::Hold);
    let almost = start + HOLD - Duration::from_millis(1);
    assert_eq!(state.answered(almost, 19, true), Decision::Hold);
    assert_eq!(state.answered(start + HOLD, 20, true), Decision::Publish);
}

#[test]
fn an_empty_answer_soon_after_a_failure_is_held() {
    let start = Instant::now();
    let mut state = query_state();
    state.answered(start, 17, false);
    state.failed(start);
    assert_eq!(state.answered(start, 18, true), Decision::Hold);
    assert_eq!(state.answered(start, 19, false), Decision::Publish);
    assert_eq!(state.answered(start, 20, true), Decision::Hold);
    assert_eq!(state.answered(start + HOLD, 21, true), Decision::Publish);
}

#[test]
fn another_failure_extends_the_hold() {
    let start = Instant::now();
    let mut state = query_state();
    state.answered(start, 17, false);
    assert_eq!(state.answered(start, 5, true), Decision::Hold);
    state.failed(start + HOLD / 2);
    assert_eq!(state.answered(start + HOLD, 5, true), Decision::Hold);
    assert_eq!(state.answered(start + HOLD / 2 + HOLD, 5, true), Decision::Publish);
}

#[test]
fn the_wait_is_spread_and_ends_with_the_hold() {
    let start = Instant::now();
    let mut state = query_state();
    let seconds =
        |state: &QueryState, at: Instant, random| state.next_query(at, random).wait.as_secs_f64();
    assert_eq!(seconds(&state, start, 0.0), 18.0);
    assert_eq!(seconds(&state, start, 1.0), 22.0);
    state.answered(start, 17, false);
    state.answered(start, 5, true);
    let late = start + HOLD - Duration::from_secs(3);
    assert_eq!(seconds(&state, late, 0.5), 3.0);
    assert_eq!(seconds(&state, start + HOLD, 0.5), 0.1, "Consul takes 0 for five minutes");
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
    /// Checks all rules on random histories.
    #[test]
    fn random_histories_follow_the_rules(events in events()) {
        let mut state = query_state();
        // An earlier time would be before the creation of the state.
        let mut now = Instant::now();
        let (mut last, mut published) = (0, false);
        let mut doubted: Option<Instant> = None;
        for (seconds, event) in events {
            now += Duration::from_secs(seconds);
            match event {
                Event::Failure => {
                    state.failed(now);
                    doubted = Some(now);
                    prop_assert_eq!(next_index(&state), 0);
                }
                Event::Answer { index, empty } => {
                    let lost_all = empty && published;
                    let decision = state.answered(now, index, lost_all);
                    if index < last {
                        doubted = Some(now);
                        prop_assert_eq!(next_index(&state), 0);
                    } else {
                        prop_assert_eq!(next_index(&state), index.max(1));
                    }
                    last = index;
                    let doubtful = doubted.is_some_and(|since| now - since < HOLD);
                    prop_assert_eq!(decision == Decision::Hold, lost_all && doubtful);
                    if decision == Decision::Publish {
                        published = !empty;
                    }
                }
            }
            let wait = state.next_query(now, 0.5).wait;
            prop_assert!(wait >= SHORTEST_WAIT && wait <= Duration::from_secs(20));
        }
    }
}
