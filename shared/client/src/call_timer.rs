//! Time limits of one call: its deadline, and the idle timeout of a stream.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use gantry_resilience::deadline::Deadline;
use tokio::time::{Instant, Sleep, sleep_until};

/// Timer of one call.
pub(crate) struct CallTimer {
    timer: Pin<Box<Sleep>>,
    deadline: Deadline,
    idle: Option<Idle>,
}

struct Idle {
    timeout: Duration,
    activity: Arc<Activity>,
}

/// Time of the last message of a stream, in either direction.
#[derive(Debug)]
pub(crate) struct Activity {
    started: Instant,
    millis: AtomicU64,
}

impl Activity {
    /// Records a message.
    pub(crate) fn record(&self) {
        let millis = self.started.elapsed().as_millis() as u64;
        self.millis.store(millis, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

impl CallTimer {
    /// Creates a timer that ends at the deadline, or after this long without a message.
    pub(crate) fn new(started: Instant, deadline: Deadline, idle: Option<Duration>) -> Self {
        let activity = Arc::new(Activity { started, millis: AtomicU64::new(0) });
        let idle = idle.map(|timeout| Idle { timeout, activity });
        let until = until(deadline, idle.as_ref());
        Self { timer: Box::pin(sleep_until(until.instant())), deadline, idle }
    }

    /// Returns the record of messages, if an idle timeout needs it.
    pub(crate) fn activity(&self) -> Option<Arc<Activity>> {
        self.idle.as_ref().map(|idle| Arc::clone(&idle.activity))
    }

    /// Records a message that has arrived.
    pub(crate) fn record_activity(&self) {
        if let Some(idle) = &self.idle {
            idle.activity.record();
        }
    }

    /// Ready once the time is over; else the task is woken when it may be.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            // The timer may stand at the end of an idle time that a message has ended since.
            let until = until(self.deadline, self.idle.as_ref());
            if until.left(Instant::now()).is_none() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until.instant());
        }
        Poll::Pending
    }

    /// Waits until the time is over.
    pub(crate) async fn over(&mut self) {
        std::future::poll_fn(|cx| self.poll_over(cx)).await;
    }

    /// Returns true if the deadline has passed, even if nobody waits.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.left(Instant::now()).is_none()
    }

    /// Returns the deadline.
    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }
}

fn until(deadline: Deadline, idle: Option<&Idle>) -> Deadline {
    deadline.earlier(idle.map(|idle| Deadline::after(idle.activity.last(), idle.timeout)))
}

impl fmt::Debug for CallTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallTimer").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn timer(seconds: u32, idle: Option<u32>) -> CallTimer {
        let now = Instant::now();
        let deadline = Deadline::after(now, seconds * SECOND);
        CallTimer::new(now, deadline, idle.map(|idle| idle * SECOND))
    }

    async fn lasts(mut timer: CallTimer) -> Duration {
        let started = Instant::now();
        timer.over().await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_the_deadline_or_after_the_idle_timeout() {
        assert_eq!(lasts(timer(5, None)).await.as_secs(), 5);
        assert_eq!(lasts(timer(5, Some(2))).await.as_secs(), 2);
        assert_eq!(lasts(timer(5, Some(9))).await.as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_restarts_the_idle_timeout_not_the_deadline() {
        let mut stream = timer(10, Some(2));
        let sent = stream.activity().unwrap();
        for turn in 0..6 {
            assert!(timeout(Duration::from_millis(1500), stream.over()).await.is_err());
            if turn % 2 == 0 { stream.record_activity() } else { sent.record() }
        }
        assert_eq!(lasts(stream).await, SECOND, "9 s have passed, and the deadline is at 10 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_over_stays_over() {
        let mut call = timer(1, None);
        advance(3 * SECOND).await;
        call.over().await;
        call.over().await;
    }
}
