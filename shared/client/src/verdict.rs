//! Meaning of an answer for the load and the ejection of its endpoint, for the circuit breaker and
//! the retry budget of the service, and for the call.
//!
//! [`classify`] decides all of it, once, without I/O and without a clock. `CallState::conclude` is
//! the one place that applies a verdict.

use std::time::Duration;

use gantry_resilience::{
    balance,
    circuit_breaker::Outcome,
    deadline::Deadline,
    retry::{Failure, Pushback},
};
use tokio::time::Instant;
use tonic::Code;

/// Maximum advance of a peer's timer: its CANCELLED means our deadline.
const CLOCK_SLACK: Duration = Duration::from_millis(5);

/// Result of an attempt, as far as it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Status of the attempt in the metrics.
    pub(crate) code: Code,
    pub(crate) kind: Kind,
}

/// Kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Status, with further information from its head or trailers.
    Status { reason: Option<PeerReason>, pushback: Option<Pushback> },
    /// Answer that violates the protocol, regardless of its status.
    Malformed,
    /// The connection broke or the stream was reset. The call may have been executed.
    Lost {
        /// True if response headers had arrived.
        committed: bool,
        /// True if other calls were lost with the same connection before it, this call must not be
        /// repeated, and other endpoints are well: one endpoint died, which is one failure.
        excused: bool,
    },
    /// The peer did not take the stream. The call was not executed.
    Refused,
    /// The call was not executed, does not count, and is repeated at once.
    NotExecuted {
        /// True if the peer did not take the stream; false if nothing was sent.
        refused: bool,
    },
    /// No answer within the deadline, or a peer's report of that.
    Late,
    /// A stream reached its maximum age or its idle timeout.
    StreamOver,
    /// The request's own body broke off.
    BrokenRequest,
}

/// Gantry's reason in the details of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerReason {
    /// UNAVAILABLE: a circuit breaker on the peer's side is open, for this long if announced. Not
    /// the peer's fault.
    CircuitOpen(Option<Duration>),
    /// UNIMPLEMENTED: the peer does not know the method, so nothing was executed.
    MethodUnknown,
}

/// Circumstances of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// The attempt had at least half of the method's timeout.
    pub(crate) attempt_had_time: bool,
    /// The call had at least half of the method's timeout.
    pub(crate) call_had_time: bool,
    /// The endpoint was ejected when the answer arrived, and had not been picked as a last resort.
    pub(crate) was_ejected: bool,
}

/// Meaning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) load: Load,
    pub(crate) ejection: Ejection,
    /// If it is the last answer of its call.
    pub(crate) breaker: Outcome,
    pub(crate) retry: Retry,
    pub(crate) budget: Budget,
}

/// Lesson for the load of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Learn(balance::Outcome),
    /// An answer would have taken at least as long as the wait.
    AtLeast,
    Nothing,
}

/// Evidence of the endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ejection {
    Succeeded,
    /// Refused by the endpoint's or the caller's fault: a comparison with other endpoints decides.
    Refused,
    Failed,
    Nothing,
}

/// Consequence for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The call ends with it.
    Never,
    /// The call is repeated on another endpoint at once, for every method and uncounted.
    Elsewhere,
    /// The attempt failed: policy, budget and deadline decide.
    Failed(Failure),
}

/// Change of the service's retry budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// Returns a fraction of a token when the call ends with this answer.
    Refund,
    /// Takes a token.
    Charge,
    Nothing,
}

impl Answer {
    /// Returns a status without details.
    pub(crate) fn status(code: Code) -> Self {
        Self { code, kind: Kind::Status { reason: None, pushback: None } }
    }

    /// Answer that did not arrive in time.
    pub(crate) const LATE: Self = Self { code: Code::DeadlineExceeded, kind: Kind::Late };
}

/// Returns true if a status reports only that our deadline passed. Many servers cancel a call, or
/// reset its stream, once its `grpc-timeout` is over.
pub(crate) fn is_our_deadline(code: Code, deadline: Deadline) -> bool {
    code == Code::Cancelled && deadline.left(Instant::now()).is_none_or(|left| left <= CLOCK_SLACK)
}

/// Decides what an answer means.
pub(crate) fn classify(answer: &Answer, circumstances: Circumstances) -> Verdict {
    let failed = Verdict {
        load: Load::Learn(balance::Outcome::Failed),
        ejection: Ejection::Failed,
        breaker: Outcome::Failed,
        retry: Retry::Failed(Failure::Final),
        budget: Budget::Nothing,
    };
    let verdict = match answer.kind {
        Kind::Status { reason, pushback } => {
            of_status(answer.code, reason, pushback, circumstances, failed)
        }
        Kind::Malformed => failed,
        Kind::Lost { committed, excused } => {
            let breaker = if excused { Outcome::Neutral } else { Outcome::Failed };
            let retry = match (committed, answer.code) {
                (true, _) => Retry::Never,
                // Another attempt may succeed, except on an overloaded peer.
                (false, Code::ResourceExhausted) => Retry::Failed(Failure::Exhausted),
                (false, _) => Retry::Failed(Failure::unavailable(None)),
            };
            Verdict { breaker, retry, ..failed }
        }
        Kind::Refused => Verdict {
            ejection: Ejection::Nothing,
            retry: Retry::Failed(Failure::unavailable(None)),
            ..failed
        },
        Kind::NotExecuted { refused } => {
            let load = if refused { failed.load } else { Load::Nothing };
            Verdict { load, ..NEUTRAL }
        }
        Kind::Late => Verdict { load: Load::AtLeast, retry: Retry::Never, ..late(circumstances) },
        Kind::StreamOver | Kind::BrokenRequest => NEUTRAL,
    };
    let charged = matches!(verdict.retry, Retry::Failed(failure) if failure.costs());
    Verdict {
        budget: match verdict.breaker {
            _ if charged && !circumstances.was_ejected => Budget::Charge,
            Outcome::Success => Budget::Refund,
            _ => Budget::Nothing,
        },
        ..verdict
    }
}

/// Verdict without evidence; the call ends.
const NEUTRAL: Verdict = Verdict {
    load: Load::AtLeast,
    ejection: Ejection::Nothing,
    breaker: Outcome::Neutral,
    retry: Retry::Never,
    budget: Budget::Nothing,
};

fn of_status(
    code: Code,
    reason: Option<PeerReason>,
    pushback: Option<Pushback>,
    circumstances: Circumstances,
    failed: Verdict,
) -> Verdict {
    let hint = match (pushback, reason) {
        (Some(Pushback::After(time)), _) => Some(time),
        (_, Some(PeerReason::CircuitOpen(time))) => time,
        _ => None,
    };
    let load = Load::Learn(hint.map_or(balance::Outcome::Failed, balance::Outcome::FailedFor));
    let shed = Verdict { load, ejection: Ejection::Nothing, breaker: Outcome::Neutral, ..failed };
    let other = Retry::Failed(Failure::other(pushback));
    match code {
        Code::Ok => Verdict {
            load: Load::Learn(balance::Outcome::Answered),
            ejection: Ejection::Succeeded,
            breaker: Outcome::Success,
            retry: Retry::Never,
            ..failed
        },
        Code::Unavailable if matches!(reason, Some(PeerReason::CircuitOpen(_))) => shed,
        Code::Unavailable => {
            Verdict { load, retry: Retry::Failed(Failure::unavailable(pushback)), ..failed }
        }
        Code::Internal | Code::Unknown | Code::DataLoss => Verdict { load, retry: other, ..failed },
        Code::ResourceExhausted => {
            Verdict { retry: Retry::Failed(Failure::exhausted(pushback)), ..shed }
        }
        Code::DeadlineExceeded => Verdict { retry: other, ..late(circumstances) },
        // The service works. A comparison with other endpoints shows if this endpoint does.
        _ => Verdict {
            load: Load::Learn(balance::Outcome::Refused),
            ejection: Ejection::Refused,
            breaker: Outcome::Success,
            retry: match reason {
                Some(PeerReason::MethodUnknown) => Retry::Elsewhere,
                _ => other,
            },
            ..failed
        },
    }
}

/// An expired deadline is a failure of the endpoint or the service if it had enough time.
fn late(circumstances: Circumstances) -> Verdict {
    let Circumstances { attempt_had_time, call_had_time, .. } = circumstances;
    Verdict {
        load: Load::Learn(balance::Outcome::Refused),
        ejection: if attempt_had_time { Ejection::Failed } else { Ejection::Nothing },
        breaker: if call_had_time { Outcome::Failed } else { Outcome::Neutral },
        ..NEUTRAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAIR: Circumstances =
        Circumstances { attempt_had_time: true, call_had_time: true, was_ejected: false };

    fn of(code: i32, reason: Option<PeerReason>) -> Verdict {
        pushed(code, reason, None)
    }

    fn pushed(code: i32, reason: Option<PeerReason>, pushback: Option<Pushback>) -> Verdict {
        let kind = Kind::Status { reason, pushback };
        classify(&Answer { code: Code::from(code), kind }, FAIR)
    }

    fn lost(code: Code, committed: bool, excused: bool) -> Verdict {
        classify(&Answer { code, kind: Kind::Lost { committed, excused } }, FAIR)
    }

    #[test]
    fn only_a_success_lowers_an_estimate() {
        for code in 0..=16 {
            let reasons =
                [None, Some(PeerReason::MethodUnknown), Some(PeerReason::CircuitOpen(None))];
            for reason in reasons {
                let answered = of(code, reason).load == Load::Learn(balance::Outcome::Answered);
                assert_eq!(answered, code == 0, "{code} {reason:?}");
            }
        }
    }

    #[test]
    fn refusals_are_compared_failures_count_shedding_does_not() {
        use Ejection::{Failed, Nothing, Refused, Succeeded};
        let expected = [
            Succeeded, Refused, Failed, Refused, Failed, Refused, Refused, Refused, Nothing,
            Refused, Refused, Refused, Refused, Failed, Failed, Failed, Refused,
        ];
        for (code, expected) in (0..).zip(expected) {
            assert_eq!(of(code, None).ejection, expected, "{:?}", Code::from(code));
        }
    }

    #[test]
    fn status_codes_say_what_can_be_retried() {
        for code in 0..=16 {
            let expected = match code {
                0 => Retry::Never,
                14 => Retry::Failed(Failure::Retryable { after: None }),
                8 => Retry::Failed(Failure::Exhausted),
                _ => Retry::Failed(Failure::Final),
            };
            assert_eq!(of(code, None).retry, expected, "{:?}", Code::from(code));
        }
    }

    #[test]
    fn a_call_with_too_little_time_is_no_evidence() {
        for answer in [Answer::LATE, Answer::status(Code::DeadlineExceeded)] {
            for (attempt_had_time, call_had_time) in [(true, true), (false, true), (false, false)] {
                let circumstances = Circumstances { attempt_had_time, call_had_time, ..FAIR };
                let verdict = classify(&answer, circumstances);
                assert_eq!(verdict.ejection == Ejection::Failed, attempt_had_time);
                assert_eq!(verdict.breaker == Outcome::Failed, call_had_time);
                assert_eq!(verdict.budget, Budget::Nothing);
            }
        }
    }

    #[test]
    fn only_an_unknown_method_is_tried_elsewhere() {
        let unknown = of(12, Some(PeerReason::MethodUnknown));
        assert_eq!((unknown.retry, unknown.breaker), (Retry::Elsewhere, Outcome::Success));
        assert_eq!(of(12, None).retry, Retry::Failed(Failure::Final));
    }

    #[test]
    fn a_rejection_passed_on_says_nothing_of_the_peer() {
        let time = Duration::from_secs(60);
        let reason = Some(PeerReason::CircuitOpen(Some(time)));
        for pushback in [None, Some(Pushback::Stop)] {
            let verdict = pushed(14, reason, pushback);
            assert_eq!(verdict.load, Load::Learn(balance::Outcome::FailedFor(time)));
            assert_eq!(
                (verdict.ejection, verdict.breaker, verdict.retry, verdict.budget),
                (
                    Ejection::Nothing,
                    Outcome::Neutral,
                    Retry::Failed(Failure::Final),
                    Budget::Nothing
                ),
                "never retried, and no reason to retry others less"
            );
        }
        let pushback = Some(Pushback::After(Duration::from_secs(7)));
        let load = Load::Learn(balance::Outcome::FailedFor(Duration::from_secs(7)));
        assert_eq!(pushed(8, None, pushback).load, load);
    }

    #[test]
    fn the_budget_pays_for_what_could_be_retried() {
        let (after, stop) = (Some(Pushback::After(CLOCK_SLACK)), Some(Pushback::Stop));
        for (code, pushback, budget) in [
            (0, None, Budget::Refund),
            (5, None, Budget::Refund),
            (5, stop, Budget::Charge),
            (14, None, Budget::Charge),
            (14, after, Budget::Charge),
            (14, stop, Budget::Charge),
            (8, None, Budget::Nothing),
            (8, after, Budget::Charge),
            (13, None, Budget::Nothing),
        ] {
            assert_eq!(pushed(code, None, pushback).budget, budget, "{code} {pushback:?}");
        }
        let ejected = Circumstances { was_ejected: true, ..FAIR };
        let verdict = classify(&Answer::status(Code::Unavailable), ejected);
        assert_eq!(verdict.budget, Budget::Nothing, "one sick endpoint does not spend it");
        assert_eq!(verdict.retry, Retry::Failed(Failure::unavailable(None)));
    }

    #[test]
    fn a_lost_call_may_do_better_elsewhere_until_it_is_committed() {
        let retryable = Retry::Failed(Failure::unavailable(None));
        let verdict = lost(Code::Internal, false, false);
        assert_eq!((verdict.retry, verdict.budget), (retryable, Budget::Charge));
        assert_eq!(verdict.breaker, Outcome::Failed);
        let verdict = lost(Code::ResourceExhausted, false, false);
        assert_eq!(verdict.retry, Retry::Failed(Failure::Exhausted));
        let verdict = lost(Code::Unavailable, true, false);
        assert_eq!((verdict.retry, verdict.budget), (Retry::Never, Budget::Nothing));
        assert_eq!(lost(Code::Unavailable, false, true).breaker, Outcome::Neutral);
    }

    #[test]
    fn unexecuted_calls_and_expired_streams_are_no_evidence() {
        for (kind, load) in [
            (Kind::NotExecuted { refused: false }, Load::Nothing),
            (Kind::NotExecuted { refused: true }, Load::Learn(balance::Outcome::Failed)),
            (Kind::StreamOver, Load::AtLeast),
            (Kind::BrokenRequest, Load::AtLeast),
        ] {
            let verdict = classify(&Answer { code: Code::Cancelled, kind }, FAIR);
            assert_eq!(verdict, Verdict { load, ..NEUTRAL });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_at_our_deadline_is_our_deadline() {
        let now = Instant::now();
        let at = |millis| Deadline::at(now + Duration::from_millis(millis));
        assert!(is_our_deadline(Code::Cancelled, at(0)));
        assert!(is_our_deadline(Code::Cancelled, at(4)));
        assert!(!is_our_deadline(Code::Cancelled, at(100)));
        assert!(!is_our_deadline(Code::Internal, at(0)));
    }
}
