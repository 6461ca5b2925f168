//! Timer and signals that end a call.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use gantry_contract::{Failure, GantryReason};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Code, Status};

use crate::call::Call;

/// Deadline of a call, and its timeout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) deadline: Instant,
    pub(super) granted: Duration,
}

impl Limit {
    pub(super) fn is_over(self) -> bool {
        self.deadline <= Instant::now()
    }
}

/// Reason for ending a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Over {
    /// Its deadline expired.
    Late(Limit),
    /// Its connection has to end.
    Cut,
}

impl From<Over> for Status {
    fn from(over: Over) -> Self {
        match over {
            Over::Late(Limit { granted, .. }) => Failure::new(
                Code::DeadlineExceeded,
                GantryReason::DeadlineExceeded,
                format!("the call did not finish within {granted:?}"),
            ),
            Over::Cut => Failure::new(
                Code::Unavailable,
                GantryReason::Draining,
                "the call did not finish before the server ended its connection",
            ),
        }
        .into()
    }
}

pin_project! {
    /// Completes when a call has to end. Its timer starts with the first wait, because most calls
    /// are answered at once.
    pub(super) struct Alarm {
        call: Arc<Call>,
        limit: Option<Limit>,
        #[pin]
        sleep: Option<Sleep>,
        #[pin]
        cut: Option<WaitForCancellationFutureOwned>,
    }
}

impl Alarm {
    pub(super) fn new(call: Arc<Call>, limit: Option<Limit>) -> Self {
        Self { call, limit, sleep: None, cut: None }
    }

    /// Returns an alarm for the next part of the call.
    pub(super) fn again(&self) -> Self {
        Self::new(Arc::clone(&self.call), self.limit)
    }

    /// Returns the reason if the deadline has expired. Does not wait.
    pub(super) fn late(&self) -> Option<Over> {
        self.limit.filter(|limit| limit.is_over()).map(Over::Late)
    }

    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Over> {
        let mut this = self.project();
        if this.cut.is_none() {
            this.sleep.set(this.limit.map(|limit| sleep_until(limit.deadline)));
            this.cut.set(Some(this.call.connection.cut.clone().cancelled_owned()));
        }
        if let (Some(sleep), Some(limit)) = (this.sleep.as_pin_mut(), *this.limit)
            && sleep.poll(cx).is_ready()
        {
            return Poll::Ready(Over::Late(limit));
        }
        this.cut.as_pin_mut().map_or(Poll::Pending, |cut| cut.poll(cx)).map(|()| Over::Cut)
    }
}
