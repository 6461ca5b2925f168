//! Life of one connection, from its first byte to its end.

use std::{
    future::{Future, pending},
    net::SocketAddr,
    pin::{Pin, pin},
    time::Duration,
};

use h2::Reason;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::CUT_GRACE;
use crate::connection::{Closed, Peer};

/// Time for the calls of a client that reached its reset limit to end.
const RESET_LIMIT_GRACE: Duration = Duration::from_secs(5);

/// Time for an idle connection to end after it was evicted.
const EVICTED_GRACE: Duration = Duration::from_millis(500);

/// Time for the peer of an idle connection to acknowledge its end, or for a call that crosses the
/// GOAWAY to finish.
const IDLE_GRACE: Duration = Duration::from_secs(30);

/// Time to send the final frames to a peer.
pub(super) const FINAL_FRAMES: Duration = Duration::from_secs(1);

/// Connection that can be ended.
pub(crate) trait Endable: Future<Output = Closed> {
    /// Finishes the calls in flight and accepts no more.
    fn graceful(self: Pin<&mut Self>);

    /// Ends at once, after sending the peer the reason.
    fn abrupt(self: Pin<&mut Self>, reason: Reason);
}

/// Conditions that end a connection, other than its peer.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Makes it finish its calls and accept no more.
    pub(crate) goaway: CancellationToken,
    /// Age at which it finishes its calls and accepts no more.
    pub(crate) age: Age,
    /// Cancelled when its client resets too many calls.
    pub(crate) reset_limit_hit: CancellationToken,
    /// Ends its calls.
    pub(crate) cut: CancellationToken,
    /// Closes it if another connection is admitted in its place.
    pub(crate) peer: Peer,
    /// Idle time after which it ends.
    pub(crate) idle_timeout: Option<Duration>,
}

impl Ends {
    /// Waits until the connection was idle for too long.
    async fn idle(&self) {
        match self.idle_timeout {
            Some(timeout) => self.peer.idle_for(timeout).await,
            None => pending().await,
        }
    }
}

/// Maximum age of a connection, and its grace period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Age {
    pub(crate) max: Duration,
    pub(crate) grace: Duration,
}

impl Age {
    /// Changes the age by up to a tenth, so that connections opened together do not end together.
    /// `random` is in [0, 1).
    pub(crate) fn jittered(self, random: f64) -> Self {
        Self { max: self.max.mul_f64(0.9 + 0.2 * random), ..self }
    }
}

/// Runs one connection until it ends, and returns the reason.
pub(crate) async fn run<C: Endable>(connection: C, peer: SocketAddr, ends: Ends) -> Closed {
    let mut connection = pin!(connection);
    let closed = tokio::select! {
        closed = &mut connection => closed,
        () = ends.goaway.cancelled() => {
            connection.as_mut().graceful();
            // The drain decides when it is cut.
            connection.await;
            Closed::Drain
        }
        () = sleep(ends.age.max) => {
            let grace = ends.age.grace;
            let finished = finish(connection, grace, &ends.cut, Reason::NO_ERROR).await;
            if finished { Closed::Age } else { Closed::Cut }
        }
        () = ends.idle() => {
            let finished = finish(connection, IDLE_GRACE, &ends.cut, Reason::NO_ERROR).await;
            if finished { Closed::Idle } else { Closed::Cut }
        }
        () = ends.peer.closing().cancelled() => {
            make_room(connection, &ends).await;
            Closed::Evicted
        }
        () = ends.reset_limit_hit.cancelled() => {
            warn!(%peer, "connection closed: its client resets too many calls");
            finish(connection, RESET_LIMIT_GRACE, &ends.cut, Reason::ENHANCE_YOUR_CALM).await;
            Closed::Resets
        }
    };
    debug!(%peer, how = closed.as_str(), "connection ended");
    closed
}

/// Ends quickly, because another connection was admitted in its place.
async fn make_room<C: Endable>(mut connection: Pin<&mut C>, ends: &Ends) {
    if !ends.peer.is_unproven() {
        // A call that crosses the GOAWAY is refused and can be retried elsewhere.
        connection.as_mut().graceful();
        if timeout(EVICTED_GRACE, &mut connection).await.is_ok() {
            return;
        }
    }
    ends.cut.cancel();
    connection.as_mut().abrupt(Reason::NO_ERROR);
    let _ = timeout(EVICTED_GRACE, connection).await;
}

/// Ends a connection in three steps: waits for the calls in flight, ends the remaining calls, and
/// closes with `reason`. Returns true if the first step sufficed.
async fn finish<C: Endable>(
    mut connection: Pin<&mut C>,
    grace: Duration,
    cut: &CancellationToken,
    reason: Reason,
) -> bool {
    connection.as_mut().graceful();
    if timeout(grace, &mut connection).await.is_ok() {
        return true;
    }
    cut.cancel();
    if timeout(CUT_GRACE, &mut connection).await.is_err() {
        connection.as_mut().abrupt(reason);
        let _ = timeout(FINAL_FRAMES, connection).await;
    }
    false
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        task::{Context, Poll},
    };

    use tokio::time::{Instant, Sleep};

    use super::*;

    const AGE: Age = Age { max: Duration::from_secs(100), grace: Duration::from_secs(10) };

    #[test]
    fn an_age_deviates_by_a_tenth_at_most() {
        let seconds = |random| AGE.jittered(random).max.as_secs();
        assert_eq!((seconds(0.0), seconds(0.5), seconds(0.999)), (90, 100, 109));
    }

    /// Connection that ends some time after the graceful end begins, or when it is closed abruptly.
    struct Fake<'a> {
        lasts: Duration,
        end: Option<Pin<Box<Sleep>>>,
        broken: &'a Cell<Option<Reason>>,
    }

    impl Future for Fake<'_> {
        type Output = Closed;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
            if self.broken.get().is_some() {
                return Poll::Ready(Closed::Peer);
            }
            self.end
                .as_mut()
                .map_or(Poll::Pending, |end| end.as_mut().poll(cx).map(|()| Closed::Peer))
        }
    }

    impl Endable for Fake<'_> {
        fn graceful(mut self: Pin<&mut Self>) {
            self.end = Some(Box::pin(sleep(self.lasts)));
        }

        fn abrupt(self: Pin<&mut Self>, reason: Reason) {
            self.broken.set(Some(reason));
        }
    }

    fn ends() -> Ends {
        Ends {
            goaway: CancellationToken::new(),
            age: AGE,
            reset_limit_hit: CancellationToken::new(),
            cut: CancellationToken::new(),
            peer: Peer::any(),
            idle_timeout: None,
        }
    }

    #[derive(Debug, PartialEq)]
    struct Ended {
        why: Closed,
        after: u64,
        cut: bool,
        broken: Option<Reason>,
    }

    async fn ended(ends: Ends, lasts: u64) -> Ended {
        let (started, cut, broken) = (Instant::now(), ends.cut.clone(), Cell::new(None));
        let connection = Fake { lasts: Duration::from_secs(lasts), end: None, broken: &broken };
        let why = run(connection, ([127, 0, 0, 1], 1).into(), ends).await;
        let after = started.elapsed().as_secs();
        Ended { why, after, cut: cut.is_cancelled(), broken: broken.get() }
    }

    const FOREVER: u64 = 1_000_000;

    #[tokio::test(start_paused = true)]
    async fn an_old_connection_has_a_grace_period_before_its_cut() {
        let why = Closed::Age;
        let aged = || ended(ends(), 0);
        assert_eq!(aged().await, Ended { why, after: 100, cut: false, broken: None });
        let late = ended(ends(), 5).await;
        assert_eq!(late, Ended { why, after: 105, cut: false, broken: None });
        let never = ended(ends(), FOREVER).await;
        let (why, broken) = (Closed::Cut, Some(Reason::NO_ERROR));
        assert_eq!(never, Ended { why, after: 111, cut: true, broken });
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_at_the_reset_limit_is_told_if_it_stays() {
        let at_limit = || {
            let ends = ends();
            ends.reset_limit_hit.cancel();
            ends
        };
        let why = Closed::Resets;
        let goes = ended(at_limit(), 2).await;
        assert_eq!(goes, Ended { why, after: 2, cut: false, broken: None });
        let stays = ended(at_limit(), FOREVER).await;
        let broken = Some(Reason::ENHANCE_YOUR_CALM);
        assert_eq!(stays, Ended { why, after: 6, cut: true, broken });
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_ends_and_one_with_a_call_does_not() {
        let idle_timeout = Some(Duration::from_secs(60));
        let idle = ended(Ends { idle_timeout, ..ends() }, 0).await;
        assert_eq!(idle, Ended { why: Closed::Idle, after: 60, cut: false, broken: None });
        let busy = Ends { idle_timeout, ..ends() };
        busy.peer.begin_call();
        let aged = ended(busy, 0).await;
        assert_eq!(aged, Ended { why: Closed::Age, after: 100, cut: false, broken: None });
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_makes_room_at_once_if_its_peer_proved_nothing() {
        let evicted = |completed: bool| {
            let ends = ends();
            if completed {
                ends.peer.completed_call();
            }
            ends.peer.closing().cancel();
            ended(ends, FOREVER)
        };
        let (why, broken) = (Closed::Evicted, Some(Reason::NO_ERROR));
        let unproven = evicted(false).await;
        assert_eq!(unproven, Ended { why, after: 0, cut: true, broken });
        let idle = evicted(true).await;
        assert_eq!(idle, Ended { why, after: 0, cut: true, broken });
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_does_not_wait_for_the_age() {
        let ends = ends();
        ends.goaway.cancel();
        let drained = ended(ends, 0).await;
        assert_eq!(drained, Ended { why: Closed::Drain, after: 0, cut: false, broken: None });
    }
}
