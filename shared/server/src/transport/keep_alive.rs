//! Keepalive: detects a peer that is gone.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// Pings a silent peer.
#[derive(Debug)]
pub(super) struct KeepAlive {
    pings: Option<PingPong>,
    interval: Duration,
    timeout: Duration,
    asked: bool,
    /// Time of the next ping, or of the timeout of the current one.
    wait: Pin<Box<Sleep>>,
}

impl KeepAlive {
    pub(super) fn new(pings: Option<PingPong>, interval: Duration, timeout: Duration) -> Self {
        Self { pings, interval, timeout, asked: false, wait: Box::pin(sleep(interval)) }
    }

    /// Ready when a ping was not answered in time. `heard` is the time of the last other data from
    /// the peer.
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
                // Fails only while the connection ends; then the keepalive is not needed.
                if pings.send_ping(Ping::opaque()).is_err() {
                    return Poll::Pending;
                }
                self.asked = true;
                self.wait.as_mut().reset(now + self.timeout);
            }
        }
    }
}
