//! Keepalive: detects a dead peer.

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
    pinged: bool,
    /// Time of the next ping, or of the timeout of the current one.
    wait: Pin<Box<Sleep>>,
}

impl KeepAlive {
    pub(super) fn new(pings: Option<PingPong>, interval: Duration, timeout: Duration) -> Self {
        Self { pings, interval, timeout, pinged: false, wait: Box::pin(sleep(interval)) }
    }

    /// Ready when a ping was not answered in time. `last_data` returns the time of the last other
    /// data from the peer.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut last_data: impl FnMut() -> Instant,
    ) -> Poll<()> {
        let Some(pings) = &mut self.pings else { return Poll::Pending };
        loop {
            if self.pinged && pings.poll_pong(cx).is_ready() {
                self.pinged = false;
                self.wait.as_mut().reset(Instant::now() + self.interval);
            }
            ready!(self.wait.as_mut().poll(cx));
            if self.pinged {
                return Poll::Ready(());
            }
            let (due, now) = (last_data() + self.interval, Instant::now());
            if due > now {
                self.wait.as_mut().reset(due);
            } else {
                // Fails only while the connection ends, when no keepalive is needed.
                if pings.send_ping(Ping::opaque()).is_err() {
                    return Poll::Pending;
                }
                self.pinged = true;
                self.wait.as_mut().reset(now + self.timeout);
            }
        }
    }
}
