//! The meaning of one answer: for the load of its endpoint, for the ejection of its endpoint, for
//! the breaker of the service, and for the call. Pure, decided once and applied elsewhere.

use std::time::Duration;

use gantry_resilience::{
    balance,
    circuit_breaker::Outcome,
    retry::{Failure, Pushback},
};
use tonic::Code;

/// All of an answer that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) said: Option<Said>,
    pub(crate) pushback: Option<Pushback>,
    /// Whether the endpoint had time enough to answer.
    pub(crate) fair: bool,
}

/// A reason of Gantry's own in the details of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// UNAVAILABLE: a circuit breaker on the peer's side is open, for so long as far as the peer
    /// says. That is not the peer's fault.
    CircuitOpen(Option<Duration>),
    /// UNIMPLEMENTED: the peer does not know the method, so that nothing was executed.
    MethodUnknown,
}

/// The meaning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) load: balance::Outcome,
    pub(crate) ejection: Judgement,
    /// If it is the last answer of its call.
    pub(crate) breaker: Outcome,
    /// `None` if the call is done.
    pub(crate) failure: Option<Failure>,
}

/// What an answer says of its endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Done,
    /// By its own fault or by the caller's: the comparison with other endpoints tells.
    Refused,
    Failed,
    Nothing,
}

impl Answer {
    /// A status without details, from an endpoint that had time enough or not.
    pub(crate) fn of(code: Code, fair: bool) -> Self {
        Self { code, said: None, pushback: None, fair }
    }
}

/// Decides what an answer means.
pub(crate) fn classify(answer: &Answer) -> Verdict {
    let Answer { code, said, pushback, fair } = *answer;
    let hint = match (pushback, said) {
        (Some(Pushback::After(time)), _) => Some(time),
        (_, Some(Said::CircuitOpen(time))) => time,
        _ => None,
    };
    let failed = hint.map_or(balance::Outcome::Failed, balance::Outcome::FailedFor);
    let verdict = |load, ejection, breaker, failure| Verdict {
        load,
        ejection,
        breaker,
        failure: Some(failure),
    };
    match code {
        Code::Ok => Verdict {
            load: balance::Outcome::Answered,
            ejection: Judgement::Done,
            breaker: Outcome::Success,
            failure: None,
        },
        Code::Unavailable if matches!(said, Some(Said::CircuitOpen(_))) => {
            verdict(failed, Judgement::Nothing, Outcome::Neutral, Failure::Rejected)
        }
        Code::Unavailable => {
            verdict(failed, Judgement::Failed, Outcome::Failed, Failure::Unavailable)
        }
        Code::Internal | Code::Unknown | Code::DataLoss => {
            verdict(failed, Judgement::Failed, Outcome::Failed, Failure::Final)
        }
        Code::ResourceExhausted => {
            verdict(failed, Judgement::Nothing, Outcome::Neutral, Failure::Exhausted)
        }
        Code::DeadlineExceeded => {
            let (ejection, breaker) = if fair {
                (Judgement::Failed, Outcome::Failed)
            } else {
                (Judgement::Nothing, Outcome::Neutral)
            };
            verdict(balance::Outcome::Refused, ejection, breaker, Failure::Final)
        }
        // The service works. Whether the endpoint does, the others' answers tell.
        _ => {
            let failure = match said {
                Some(Said::MethodUnknown) => Failure::MethodUnknown,
                _ => Failure::Final,
            };
            verdict(balance::Outcome::Refused, Judgement::Refused, Outcome::Success, failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32, said: Option<Said>) -> Verdict {
        classify(&Answer { said, ..Answer::of(Code::from(code), true) })
    }

    #[test]
    fn no_answer_but_a_success_lowers_an_estimate() {
        for code in 0..=16 {
            let said = [None, Some(Said::MethodUnknown), Some(Said::CircuitOpen(None))];
            for said in said {
                let load = of(code, said).load;
                assert_eq!(load == balance::Outcome::Answered, code == 0, "{code} {said:?}");
            }
        }
    }

    #[test]
    fn refusals_are_compared_failures_count_and_shedding_does_not() {
        use Judgement::{Done, Failed, Nothing, Refused};
        let expected = [
            Done, Refused, Failed, Refused, Failed, Refused, Refused, Refused, Nothing, Refused,
            Refused, Refused, Refused, Failed, Failed, Failed, Refused,
        ];
        for (code, expected) in (0..).zip(expected) {
            assert_eq!(of(code, None).ejection, expected, "{:?}", Code::from(code));
        }
        let late = classify(&Answer::of(Code::DeadlineExceeded, false));
        assert_eq!((late.ejection, late.breaker), (Nothing, Outcome::Neutral));
    }

    #[test]
    fn only_an_unknown_method_is_tried_elsewhere() {
        assert_eq!(of(12, Some(Said::MethodUnknown)).failure, Some(Failure::MethodUnknown));
        assert_eq!(of(12, None).failure, Some(Failure::Final));
        assert_eq!(of(12, Some(Said::MethodUnknown)).breaker, Outcome::Success);
    }

    #[test]
    fn a_rejection_passed_on_says_nothing_of_the_peer() {
        let time = Duration::from_secs(60);
        let verdict = of(14, Some(Said::CircuitOpen(Some(time))));
        assert_eq!(verdict.load, balance::Outcome::FailedFor(time));
        assert_eq!(verdict.ejection, Judgement::Nothing);
        assert_eq!((verdict.breaker, verdict.failure), (Outcome::Neutral, Some(Failure::Rejected)));
        let pushed = Some(Pushback::After(Duration::from_secs(7)));
        let answer = Answer { pushback: pushed, ..Answer::of(Code::ResourceExhausted, true) };
        let load = balance::Outcome::FailedFor(Duration::from_secs(7));
        assert_eq!(classify(&answer).load, load);
    }
}
