//! The layer, with paused time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gantry_resilience::{
    deadline::Deadline,
    retry::{Budget, Decision, Failure, GiveUp, Policy, Pushback, Replay, RetryLayer, Verdict},
};
use tokio::time::Instant;
use tower::Layer;
use tower_test::{assert_request_eq, mock};

const MS: Duration = Duration::from_millis(1);

type Told = Arc<Mutex<Vec<(String, u32, Decision)>>>;

/// Requests and responses are words: "once" cannot be sent again, and every response but "ok" is a
/// failure.
#[derive(Default)]
struct Words {
    told: Told,
    /// Time until the deadline. Default: one second.
    left: Option<Duration>,
}

impl<E: std::fmt::Debug> Replay<&'static str, &'static str, E> for Words {
    fn copy(&self, request: &&'static str) -> Option<&'static str> {
        (*request != "once").then_some(*request)
    }

    fn deadline(&self, _request: &&'static str, now: Instant) -> Deadline {
        Deadline::after(now, self.left.unwrap_or(1000 * MS))
    }

    fn judge(&self, result: &Result<&'static str, E>) -> Verdict {
        match result {
            Ok("ok") => Verdict::Succeeded,
            Ok("later") => Verdict::Failed(Failure::exhausted(Some(Pushback::After(123 * MS)))),
            Ok("wrong") => Verdict::Failed(Failure::Final),
            _ => Verdict::Failed(Failure::unavailable(None)),
        }
    }

    fn decided(&self, result: &Result<&'static str, E>, attempt: u32, decision: Decision) {
        self.told.lock().unwrap().push((format!("{result:?}"), attempt, decision));
    }
}

type Service = mock::Mock<&'static str, &'static str>;
type Handle = mock::Handle<&'static str, &'static str>;
type Retried = mock::Spawn<gantry_resilience::retry::Retry<Service, Words>>;

fn retried(words: Words, budget: &Arc<Budget>) -> (Retried, Handle) {
    let layer = RetryLayer::new(Policy::DEFAULT, Arc::clone(budget), words);
    mock::spawn_with(move |service| layer.layer(service))
}

fn around(base: u32, since: Instant) -> bool {
    let took = since.elapsed();
    // The timer counts whole milliseconds, upwards.
    took >= (base * MS).mul_f64(0.8) && took <= (base * MS).mul_f64(1.2) + MS
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_made_again_after_its_backoff() {
    let budget = Arc::new(Budget::default());
    let told = Told::default();
    let words = Words { told: Arc::clone(&told), left: None };
    let (mut service, mut handle) = retried(words, &budget);
    assert!(service.poll_ready().is_ready());
    let call = tokio::spawn(service.call("hello"));

    let mut since = Instant::now();
    assert_request_eq!(handle, "hello").send_response("down");
    for base in [50, 100] {
        let (request, response) = handle.next_request().await.unwrap();
        assert_eq!(request, "hello");
        assert!(around(base, since), "{:?}", since.elapsed());
        since = Instant::now();
        response.send_response(if base == 50 { "down" } else { "ok" });
    }
    assert_eq!(call.await.unwrap().unwrap(), "ok");
    assert_eq!(budget.tokens(), 98.1, "two failures and a success");
    let told = told.lock().unwrap();
    assert!(matches!(&told[..], [(_, 1, Decision::Retry { .. }), (_, 2, Decision::Retry { .. })]));
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_is_handed_on() {
    let budget = Arc::new(Budget::default());
    let told = Told::default();
    let words = Words { told: Arc::clone(&told), left: None };
    let (mut service, mut handle) = retried(words, &budget);
    assert!(service.poll_ready().is_ready());
    let call = tokio::spawn(service.call("hello"));
    for answer in ["first", "second"] {
        assert_request_eq!(handle, "hello").send_response(answer);
    }
    assert_request_eq!(handle, "hello").send_error("third");
    assert_eq!(call.await.unwrap().unwrap_err().to_string(), "third");
    let told = told.lock().unwrap();
    assert_eq!((told[0].0.as_str(), told[1].0.as_str()), ("Ok(\"first\")", "Ok(\"second\")"));
    assert_eq!((told[2].1, told[2].2), (3, Decision::GiveUp(GiveUp::AttemptsSpent)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_resent_gets_one_attempt() {
    let budget = Arc::new(Budget::default());
    let (mut service, mut handle) = retried(Words::default(), &budget);
    assert!(service.poll_ready().is_ready());
    let call = tokio::spawn(service.call("once"));
    assert_request_eq!(handle, "once").send_response("down");
    assert_eq!(call.await.unwrap().unwrap(), "down");
    assert_eq!(budget.tokens(), 99.0);
}

#[tokio::test(start_paused = true)]
async fn a_final_failure_gets_a_single_attempt_and_costs_nothing() {
    let budget = Arc::new(Budget::default());
    let (mut service, mut handle) = retried(Words::default(), &budget);
    assert!(service.poll_ready().is_ready());
    let call = tokio::spawn(service.call("hello"));
    assert_request_eq!(handle, "hello").send_response("wrong");
    assert_eq!(call.await.unwrap().unwrap(), "wrong");
    assert_eq!(budget.tokens(), 100.0);
}

#[tokio::test(start_paused = true)]
async fn a_pushback_is_waited_for_exactly() {
    let budget = Arc::new(Budget::default());
    let (mut service, mut handle) = retried(Words::default(), &budget);
    assert!(service.poll_ready().is_ready());
    let call = tokio::spawn(service.call("hello"));
    assert_request_eq!(handle, "hello").send_response("later");
    let since = Instant::now();
    assert_request_eq!(handle, "hello").send_response("ok");
    assert_eq!(since.elapsed(), 123 * MS);
    assert_eq!(call.await.unwrap().unwrap(), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let budget = Arc::new(Budget::default());
    let words = Words { left: Some(123 * MS), ..Words::default() };
    let (mut service, mut handle) = retried(words, &budget);
    assert!(service.poll_ready().is_ready());
    let since = Instant::now();
    let call = tokio::spawn(service.call("hello"));
    assert_request_eq!(handle, "hello").send_response("later");
    assert_eq!(call.await.unwrap().unwrap(), "later");
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_unready_service_is_awaited_until_the_deadline() {
    let budget = Arc::new(Budget::default());
    let (mut service, mut handle) = retried(Words::default(), &budget);
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let since = Instant::now();
    let call = tokio::spawn(service.call("hello"));
    assert_request_eq!(handle, "hello").send_response("down");
    assert_eq!(call.await.unwrap().unwrap(), "down", "the failure, not another one instead");
    assert_eq!(since.elapsed(), 1000 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_dies_meanwhile_says_so() {
    let budget = Arc::new(Budget::default());
    let (mut service, mut handle) = retried(Words::default(), &budget);
    assert!(service.poll_ready().is_ready());
    let call = tokio::spawn(service.call("hello"));
    assert_request_eq!(handle, "hello").send_response("down");
    handle.send_error("dead");
    assert_eq!(call.await.unwrap().unwrap_err().to_string(), "dead");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_not_made_again() {
    let budget = Arc::new(Budget::default());
    let (mut service, mut handle) = retried(Words::default(), &budget);
    assert!(service.poll_ready().is_ready());
    let call = tokio::spawn(service.call("hello"));
    assert_request_eq!(handle, "hello").send_response("down");
    tokio::time::sleep(10 * MS).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let another = tokio::time::timeout(1000 * MS, handle.next_request()).await;
    assert!(another.is_err(), "nothing is sent");
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_service_share_its_budget() {
    let budget = Arc::new(Budget::try_new(4, 0.1).unwrap());
    let (mut one, mut first) = retried(Words::default(), &budget);
    let (mut two, mut second) = retried(Words::default(), &budget);
    assert!(one.poll_ready().is_ready() && two.poll_ready().is_ready());
    let calls = [tokio::spawn(one.call("hello")), tokio::spawn(two.call("hello"))];
    assert_request_eq!(first, "hello").send_response("down");
    assert_request_eq!(first, "hello").send_response("down");
    assert_request_eq!(second, "hello").send_response("down");
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "down");
    }
    assert_eq!(budget.tokens(), 1.0, "of the second service's none was made again");
}
