//! Schedule of the attempts of a call, one after the other.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use gantry_resilience::retry::{Attempts, Decision, Failure, GiveUp, Policy};
use http::HeaderMap;
use tokio::time::{Instant, sleep};

use crate::{
    attempt::{Again, Answered, AttemptOutcome, finish, late, send},
    call_state::CallState,
    call_timer::CallTimer,
    error::Error,
    payload::Payload,
    pool::PickRequest,
    verdict::Retry,
};

/// Makes attempts until one of them is the last.
///
/// # Errors
/// The last attempt got no response.
pub(crate) async fn run(
    call: &mut CallState,
    headers: &HeaderMap,
    mut payload: Payload,
    timer: &mut CallTimer,
    policy: Policy,
    probe: bool,
) -> Result<Answered, Error> {
    let pool = Arc::clone(&call.pool);
    let mut attempts = Attempts::new(policy, call.resendable, call.deadline);
    let repeatable = call.resendable && policy.max_attempts() > 1;
    let mut pick = PickRequest::new(call.deadline, repeatable, probe);
    loop {
        let lease = match pool.pick(&mut pick).await {
            Ok(lease) => lease,
            Err(error) => return AttemptOutcome::NotPlaced(error).last(call),
        };
        let endpoint = lease.address();
        let Some((attempt, exchange)) =
            payload.take().and_then(|body| send(call, headers, attempts.previous(), lease, body))
        else {
            return AttemptOutcome::Unsent.last(call);
        };
        let exchanged = tokio::select! {
            // A late response counts: it has arrived already.
            biased;
            exchanged = exchange => exchanged,
            () = timer.over() => return late(call, attempt).0.last(call),
        };
        if exchanged.is_ok() {
            timer.record_activity();
        }
        let again = || !payload.is_gone() && attempts.refused();
        let (outcome, retry) = match finish(call, attempt, exchanged, again) {
            Err(Again::NeverSent(body)) => {
                payload.put_back(body);
                continue;
            }
            Err(Again::Refused) => {
                pick.tried.push(endpoint);
                continue;
            }
            Ok(ended) => ended,
        };
        let failure = match retry {
            Retry::Never => return outcome.last(call),
            Retry::Failed(failure) => failure,
            Retry::Elsewhere => {
                if !payload.is_gone() {
                    pick.tried.push(endpoint);
                    if pool.has_untried(&pick.tried) && attempts.elsewhere() {
                        drop(outcome);
                        call.retrying(Duration::ZERO);
                        continue;
                    }
                }
                Failure::Final
            }
        };
        match attempts.failed(Instant::now(), failure, &pool.health.budget, &mut Rng::new()) {
            Decision::GiveUp(why) => {
                call.give_up(match why {
                    // It might be executed again if it had been kept.
                    GiveUp::NotRepeatable if call.method.repeatable => {
                        GiveUp::NotKept { limit: pool.settings.retry.max_request_bytes }
                    }
                    why => why,
                });
                return outcome.last(call);
            }
            Decision::Retry { after } => {
                // Drops the response before the wait.
                drop(outcome);
                call.retrying(after);
                pick.tried.push(endpoint);
                sleep(after).await;
            }
        }
    }
}
