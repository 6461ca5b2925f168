//! Whether the peer is still there.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// Asks a silent peer for a sign of life.
#[derive(Debug)]
pub(super) struct KeepAlive {
    pings: Option<PingPong>,
    interval: Duration,
    timeout: Duration,
    asked: bool,
    /// Until the peer is asked, or should have answered.
    wait: Pin<Box<Sleep>>,
}

impl KeepAlive {
    pub(super) fn new(pings: Option<PingPong>, interval: Duration, timeout: Duration) -> Self {
        Self { pings, interval, timeout, asked: false, wait: Box::pin(sleep(interval)) }
    }

    /// Ready once the peer was asked and did not answer in time. `heard` is when it gave the
    /// last sign of life by itself.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut heard: impl FnMut() -> Instant,
    ) -> Poll<()> {
        let Some(pings) = &mut self.pings else { return Poll::Pending };
        loop {
            if self.asked && pings.poll_pong(cx).is_ready() {
                self.asked = false;
                self.wait.as_mut().reset(Instant::now() + self.interval);
            }
            ready!(self.wait.as_mut().poll(cx));
            if self.asked {
                return Poll::Ready(());
            }
            let (due, now) = (heard() + self.interval, Instant::now());
            if due > now {
                self.wait.as_mut().reset(due);
            } else {
                // Refused where the connection is ending, and then nobody waits for more.
                if pings.send_ping(Ping::opaque()).is_err() {
                    return Poll::Pending;
                }
                self.asked = true;
                self.wait.as_mut().reset(now + self.timeout);
            }
        }
    }
}
