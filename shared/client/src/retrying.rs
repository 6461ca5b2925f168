//! The attempts of a call one after the other.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use gantry_resilience::{
    balance,
    retry::{Attempts, Decision, Failure, GiveUp, Policy},
};
use http::HeaderMap;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use crate::{
    attempt::{Unanswered, exchange, request},
    ended::{self, Answered, Ended},
    error::Error,
    patience::Patience,
    payload::Payload,
    pool::Placing,
    prepare::attempt_headers,
    record::Record,
};

/// Makes attempts until one of them is the last. `repeatable`: whether it may be executed
/// more than once, and sent again.
///
/// # Errors
/// The last one got no response.
pub(crate) async fn run(
    record: &mut Record,
    headers: &HeaderMap,
    mut payload: Payload,
    patience: &mut Patience,
    policy: Policy,
    repeatable: bool,
    probe: bool,
) -> Result<Answered, Error> {
    let (deadline, pool) = (record.deadline, Arc::clone(&record.pool));
    let mut attempts = Attempts::new(policy, repeatable, deadline);
    let out_of_turn = repeatable && policy.max_attempts() > 1;
    let mut placing =
        Placing { deadline, patience: None, repeatable: out_of_turn, tried: Vec::new(), probe };
    loop {
        let lease = match pool.place(&mut placing).await {
            Ok(lease) => lease,
            Err(not_placed) => return Ended::NotPlaced(not_placed).last(record),
        };
        let (Some(left), Some(body)) = (deadline.left(Instant::now()), payload.take()) else {
            lease.unused();
            return Err(record.about().deadline_exceeded("nothing was left of it"));
        };
        let endpoint = lease.address();
        let (mut attempt, span) = record.sending(lease, left);
        let headers = attempt_headers(headers, left, attempts.previous_header(), &span);
        let request = request(&record.uri, headers);
        let answer = tokio::select! {
            // Late answers count: what has arrived is not thrown away.
            biased;
            answer = exchange(attempt.lease.sender(), request, body).instrument(span) => answer,
            () = patience.over() => {
                // The load learns from the lease's drop how long it took at least.
                record.late(attempt);
                return Ended::Late.last(record);
            }
        };
        let (failed, ended) = match answer {
            Ok(response) => {
                patience.sign();
                ended::read(record, response, attempt)
            }
            Err(Unanswered::NeverSent(body)) => {
                record.not_executed(&attempt);
                attempt.lease.unused();
                payload.put_back(body);
                continue;
            }
            Err(Unanswered::Refused(_)) if !payload.is_gone() && attempts.refused() => {
                attempt.lease.learn(balance::Outcome::Failed);
                record.not_executed(&attempt);
                placing.tried.push(endpoint);
                continue;
            }
            Err(Unanswered::Refused(why)) => ended::refused(record, attempt, why),
            Err(Unanswered::BrokeOff(status)) => ended::broke_off(record, &attempt, status),
            Err(Unanswered::Lost(loss)) => ended::lost(record, attempt, loss),
        };
        let Some(failed) = failed else { return ended.last(record) };
        if failed.failure == Failure::MethodUnknown && !payload.is_gone() {
            placing.tried.push(endpoint);
            if pool.has_untried(&placing.tried) && attempts.elsewhere() {
                drop(ended);
                record.retrying(Duration::ZERO);
                continue;
            }
        }
        let budget = &pool.health.budget;
        match attempts.failed(Instant::now(), failed, budget, &mut Rng::new()) {
            Decision::GiveUp(why) => {
                if why == GiveUp::NotRepeatable
                    && matches!(ended, Ended::Lost { with_others: true, .. })
                    && pool.has_other(endpoint)
                {
                    // One endpoint died: that is one failure, whatever it took with it.
                    record.excuse();
                }
                record.give_up(match why {
                    // It could be executed again, had it been kept to be sent again.
                    GiveUp::NotRepeatable if record.method.repeatable => {
                        GiveUp::NotKept { limit: pool.settings.retry.max_request_bytes }
                    }
                    why => why,
                });
                return ended.last(record);
            }
            Decision::Retry { after } => {
                // Nothing of it is held during the wait.
                drop(ended);
                record.retrying(after);
                placing.tried.push(endpoint);
                sleep(after).await;
            }
        }
    }
}
