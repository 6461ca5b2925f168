use super::*;

/// a and b can be undone, p is the pivot, z comes after it.
fn plan() -> Plan {
    Plan { steps: vec!["a", "b", "p", "z"], done: 0, pivot: 2, max_rounds: 3 }
}

fn started(step: &str) -> Entry {
    Entry::Started { step: step.to_owned() }
}

fn succeeded(step: &str) -> Entry {
    Entry::Succeeded { step: step.to_owned() }
}

fn refused(step: &str) -> Entry {
    Entry::Failed { step: step.to_owned(), failure: no() }
}

fn silent(step: &str) -> Entry {
    Entry::Failed { step: step.to_owned(), failure: silence() }
}

fn undo_started(step: &str) -> Entry {
    Entry::UndoStarted { step: step.to_owned() }
}

fn undone(step: &str) -> Entry {
    Entry::UndoDone { step: step.to_owned() }
}

fn undo_refused(step: &str) -> Entry {
    Entry::UndoFailed { step: step.to_owned(), failure: no() }
}

fn undo_silent(step: &str) -> Entry {
    Entry::UndoFailed { step: step.to_owned(), failure: silence() }
}

fn no() -> Failure {
    Failure::refused("NO", "no")
}

fn silence() -> Failure {
    Failure::unanswered("silence")
}

fn resumed() -> Entry {
    Entry::Resumed { by: "op".to_owned(), note: String::new() }
}

fn aborted() -> Entry {
    Entry::Aborted { by: "op".to_owned(), note: "why not".to_owned() }
}

fn forced() -> Entry {
    Entry::Forced { by: "op".to_owned(), note: "by hand".to_owned() }
}

fn done(steps: &[&str]) -> Vec<Entry> {
    steps.iter().flat_map(|step| [started(step), succeeded(step)]).collect()
}

fn after(log: &[Entry]) -> Progress {
    plan().fold(log).unwrap()
}

fn undo(step: usize, why: &Failure) -> Next<'_> {
    Next::Undo { step, rounds: 0, why }
}

#[test]
fn steps_run_in_order_to_completion() {
    let names = plan().steps;
    for step in 0..names.len() {
        let progress = after(&done(&names[..step]));
        assert_eq!(progress.next(), Next::Run { step, rounds: 0 });
        assert_eq!(progress.status(), Status::Running);
    }
    assert_eq!(after(&done(&names)).status(), Status::Completed);
    assert_eq!(after(&done(&names)).next(), Next::Nothing);
}

#[test]
fn a_started_step_runs_again() {
    let log = [done(&["a"]), vec![started("b"), started("b")]].concat();
    assert_eq!(after(&log).next(), Next::Run { step: 1, rounds: 0 });
}

#[test]
fn a_step_refused_at_its_only_attempt_is_not_undone() {
    let log = [done(&["a"]), vec![started("b"), refused("b")]].concat();
    assert_eq!(after(&log).next(), undo(0, &no()));
}

#[test]
fn a_refusal_after_an_unanswered_attempt_undoes_that_step_too() {
    let log = [done(&["a"]), vec![started("b"), started("b"), refused("b")]].concat();
    assert_eq!(after(&log).next(), undo(1, &no()));
}

#[test]
fn an_unanswered_step_is_undone_before_the_others() {
    let log = [done(&["a"]), vec![started("b"), silent("b")]].concat();
    assert_eq!(after(&log).next(), undo(1, &silence()));
    let log = [log, vec![undo_started("b"), undone("b")]].concat();
    assert_eq!(after(&log).next(), undo(0, &silence()));
    let log = [log, vec![undo_started("a"), undone("a")]].concat();
    assert_eq!(after(&log).status(), Status::Undone);
}

#[test]
fn a_refused_first_step_leaves_nothing_to_undo() {
    assert_eq!(after(&[started("a"), refused("a")]).status(), Status::Undone);
}

#[test]
fn a_refused_pivot_turns_back_without_undoing_itself() {
    for attempts in [vec![started("p")], vec![started("p"), started("p")]] {
        let log = [done(&["a", "b"]), attempts, vec![refused("p")]].concat();
        assert_eq!(after(&log).next(), undo(1, &no()));
    }
}

#[test]
fn from_the_pivot_on_an_unanswered_step_is_repeated() {
    let log = [done(&["a", "b"]), vec![started("p"), silent("p")]].concat();
    assert_eq!(after(&log).next(), Next::Run { step: 2, rounds: 1 });
    let log = [done(&["a", "b", "p"]), vec![started("z"), silent("z")]].concat();
    assert_eq!(after(&log).next(), Next::Run { step: 3, rounds: 1 });
}

#[test]
fn after_the_pivot_a_refusal_parks_the_saga() {
    let log = [done(&["a", "b", "p"]), vec![started("z"), refused("z")]].concat();
    assert_eq!(after(&log).status(), Status::Stuck);
}

#[test]
fn max_rounds_without_an_answer_park_the_saga() {
    let round = vec![started("p"), silent("p")];
    let twice = [done(&["a", "b"]), round.clone(), round.clone()].concat();
    assert_eq!(after(&twice).status(), Status::Running);
    assert_eq!(after(&[twice, round].concat()).status(), Status::Stuck);
}

#[test]
fn an_unanswered_undo_is_retried_after_the_others() {
    let log = [done(&["a"]), vec![started("b"), silent("b"), undo_started("b")]].concat();
    let log = [log, vec![undo_silent("b")]].concat();
    assert_eq!(after(&log).next(), undo(0, &silence()));
    let log = [log, vec![undo_started("a"), undone("a")]].concat();
    assert_eq!(after(&log).next(), Next::Undo { step: 1, rounds: 1, why: &silence() });
    let round = vec![undo_started("b"), undo_silent("b")];
    assert_eq!(after(&[log.clone(), round.clone()].concat()).status(), Status::Running);
    let parked = [log.clone(), round.clone(), round].concat();
    assert_eq!(after(&parked).status(), Status::Stuck);
    let late = [log, vec![undo_started("b"), undone("b")]].concat();
    assert_eq!(after(&late).status(), Status::Undone);
}

#[test]
fn a_refused_undo_parks_the_saga() {
    let log = [done(&["a"]), vec![started("b"), refused("b"), undo_started("a")]].concat();
    assert_eq!(after(&[log, vec![undo_refused("a")]].concat()).status(), Status::Stuck);
}

#[test]
fn an_origin_is_done_at_first_and_undone_at_last() {
    let plan = Plan { done: 1, ..plan() };
    assert_eq!(plan.begin().next(), Next::Run { step: 1, rounds: 0 });
    let progress = plan.fold(&[started("b"), refused("b")]).unwrap();
    assert_eq!(progress.next(), undo(0, &no()));
    let progress = plan.fold(&[aborted()]).unwrap();
    assert!(matches!(progress.next(), Next::Undo { step: 0, .. }));
}

#[test]
fn a_parked_step_is_resumed_with_all_its_rounds() {
    let parked = [done(&["a", "b", "p"]), vec![started("z"), refused("z")]].concat();
    let log = [parked, vec![resumed()]].concat();
    assert_eq!(after(&log).next(), Next::Run { step: 3, rounds: 0 });
    let round = vec![started("p"), silent("p")];
    let silent = [round.clone(), round.clone(), round.clone()].concat();
    let log = [done(&["a", "b"]), silent, vec![resumed()], round.clone(), round].concat();
    assert_eq!(after(&log).next(), Next::Run { step: 2, rounds: 2 });
}

#[test]
fn a_parked_undo_is_resumed_first() {
    let parked = [done(&["a", "b"]), vec![started("p"), refused("p")]].concat();
    let parked = [parked, vec![undo_started("b"), undo_refused("b")]].concat();
    assert_eq!(after(&parked).status(), Status::Stuck);
    let log = [parked, vec![resumed()]].concat();
    assert_eq!(after(&log).next(), undo(1, &no()));
    let log = [log, vec![undo_started("b"), undone("b"), undo_started("a"), undone("a")]].concat();
    assert_eq!(after(&log).status(), Status::Undone);
}

#[test]
fn a_forced_step_counts_as_done() {
    let silent: Vec<_> = (0..3).flat_map(|_| [started("p"), silent("p")]).collect();
    let log = [done(&["a", "b"]), silent, vec![forced()]].concat();
    assert_eq!(after(&log).next(), Next::Run { step: 3, rounds: 0 });
    let log = [log, vec![started("z"), refused("z")]].concat();
    assert_eq!(after(&log).status(), Status::Stuck);
    assert_eq!(after(&[log, vec![forced()]].concat()).status(), Status::Completed);
}

#[test]
fn a_forced_undo_counts_as_done() {
    let turned = [done(&["a", "b"]), vec![started("p"), refused("p")]].concat();
    let stuck = [turned, vec![undo_started("b"), undo_refused("b")]].concat();
    let log = [stuck, vec![forced()]].concat();
    assert_eq!(after(&log).next(), undo(0, &no()));
    let log = [log, vec![undo_started("a"), undo_refused("a")]].concat();
    assert_eq!(after(&log).status(), Status::Stuck);
    assert_eq!(after(&[log, vec![forced()]].concat()).status(), Status::Undone);
}

#[test]
fn an_abort_undoes_the_step_under_way_too() {
    let aborted_by = Failure::refused(Failure::ABORTED, "by op: why not");
    for (log, first) in [
        (vec![started("a")], 0),
        (done(&["a"]), 0),
        ([done(&["a"]), vec![started("b")]].concat(), 1),
        (done(&["a", "b"]), 1),
    ] {
        let log = [log, vec![aborted()]].concat();
        assert_eq!(after(&log).next(), undo(first, &aborted_by), "{log:?}");
    }
    assert_eq!(after(&[aborted()]).status(), Status::Undone);
}

#[test]
fn an_abort_is_refused_with_its_reason() {
    let past = AbortError::PastPivot { pivot: "p" };
    let pivot = [done(&["a", "b"]), vec![started("p")]].concat();
    let back = [done(&["a"]), vec![started("b"), refused("b")]].concat();
    for (log, expected) in [
        (done(&["a", "b"]), Ok(())),
        (pivot, Err(past.clone())),
        (done(&["a", "b", "p"]), Err(past.clone())),
        ([done(&["a", "b", "p"]), vec![started("z"), refused("z")]].concat(), Err(past)),
        (back.clone(), Err(AbortError::Undoing)),
        ([back, vec![undo_started("a"), undo_refused("a")]].concat(), Err(AbortError::Undoing)),
        (done(&["a", "b", "p", "z"]), Err(AbortError::Ended(Status::Completed))),
        (vec![aborted()], Err(AbortError::Ended(Status::Undone))),
    ] {
        assert_eq!(plan().check_abort(&after(&log)), expected, "{log:?}");
        let fits = plan().fold(&[log, vec![aborted()]].concat()).is_ok();
        assert_eq!(fits, expected.is_ok(), "the log takes it if the check does");
    }
}

#[test]
fn a_log_that_does_not_match_is_detected() {
    let over = done(&["a", "b", "p", "z"]);
    for (log, bad) in [
        (vec![], started("b")),
        (vec![], undo_started("a")),
        (vec![started("a")], succeeded("renamed")),
        (done(&["a"]), succeeded("a")),
        (vec![started("a"), silent("a")], started("a")),
        (over, started("z")),
        (done(&["a"]), resumed()),
        (done(&["a"]), forced()),
    ] {
        let log = [log, vec![bad.clone()]].concat();
        assert_eq!(plan().fold(&log), Err(LogMismatch(bad)));
    }
}

#[test]
fn entries_are_stored_as_plain_json() {
    let entry = refused("b");
    let json = serde_json::to_string(&entry).unwrap();
    assert_eq!(
        json,
        r#"{"entry":"failed","step":"b","failure":{"failure":"refused","code":"NO","message":"no"}}"#
    );
    assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
}
