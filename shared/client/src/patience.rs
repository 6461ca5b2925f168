//! How long a call is waited for: until its deadline, and a stream not through too
//! long a silence either.

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

/// The wait for one call.
pub(crate) struct Patience {
    timer: Pin<Box<Sleep>>,
    deadline: Deadline,
    silence: Option<Silence>,
}

struct Silence {
    limit: Duration,
    signs: Arc<Signs>,
}

/// When the last message of a stream went by, in either direction.
#[derive(Debug)]
pub(crate) struct Signs {
    started: Instant,
    millis: AtomicU64,
}

impl Signs {
    /// A message goes by.
    pub(crate) fn sign(&self) {
        let millis = self.started.elapsed().as_millis() as u64;
        self.millis.store(millis, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

impl Patience {
    /// Waits until the deadline, and where `silence` is given for so long without a
    /// message.
    pub(crate) fn new(started: Instant, deadline: Deadline, silence: Option<Duration>) -> Self {
        let signs = Arc::new(Signs { started, millis: AtomicU64::new(0) });
        let silence = silence.map(|limit| Silence { limit, signs });
        let until = until(deadline, silence.as_ref());
        Self { timer: Box::pin(sleep_until(until.instant())), deadline, silence }
    }

    /// Where the signs of a stream are given, if they are asked for.
    pub(crate) fn signs(&self) -> Option<Arc<Signs>> {
        self.silence.as_ref().map(|silence| Arc::clone(&silence.signs))
    }

    /// A message has arrived.
    pub(crate) fn sign(&self) {
        if let Some(silence) = &self.silence {
            silence.signs.sign();
        }
    }

    /// Ready when it is over; else the task is woken when it may be.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            // The timer may stand where silence would have ended before the last sign.
            let until = until(self.deadline, self.silence.as_ref());
            if until.left(Instant::now()).is_none() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until.instant());
        }
        Poll::Pending
    }

    /// Until it is over.
    pub(crate) async fn over(&mut self) {
        std::future::poll_fn(|cx| self.poll_over(cx)).await;
    }

    /// Whether the deadline has passed, whether or not anybody waits.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.left(Instant::now()).is_none()
    }

    /// The deadline.
    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }
}

fn until(deadline: Deadline, silence: Option<&Silence>) -> Deadline {
    deadline.earlier(silence.map(|silence| Deadline::after(silence.signs.last(), silence.limit)))
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn patience(seconds: u32, silence: Option<u32>) -> Patience {
        let now = Instant::now();
        Patience::new(
            now,
            Deadline::after(now, seconds * SECOND),
            silence.map(|silence| silence * SECOND),
        )
    }

    async fn lasts(mut patience: Patience) -> Duration {
        let started = Instant::now();
        patience.over().await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_the_deadline_or_with_silence_whichever_is_first() {
        assert_eq!(lasts(patience(5, None)).await.as_secs(), 5);
        assert_eq!(lasts(patience(5, Some(2))).await.as_secs(), 2);
        assert_eq!(lasts(patience(5, Some(9))).await.as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_in_either_direction_begins_the_silence_again_but_not_the_deadline() {
        let mut stream = patience(10, Some(2));
        let sent = stream.signs().unwrap();
        for turn in 0..6 {
            assert!(timeout(Duration::from_millis(1500), stream.over()).await.is_err());
            if turn % 2 == 0 { stream.sign() } else { sent.sign() }
        }
        assert_eq!(lasts(stream).await, SECOND, "9 s have passed, and the deadline is at 10 s");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_stays_over() {
        let mut call = patience(1, None);
        advance(3 * SECOND).await;
        call.over().await;
        call.over().await;
    }
}
