//! Signs of life: a connection that died silently shows by a ping that is not answered.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

use crate::settings::ClientSettings;

/// When a sign of life is asked for, and when it is missing.
#[derive(Debug)]
struct Policy {
    /// Of silence, before a sign is asked for.
    interval: Duration,
    /// For the answer.
    timeout: Duration,
    while_idle: bool,
    /// When anything arrived last.
    heard: Instant,
    /// When a sign was asked for that has not come.
    asked: Option<Instant>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing, until there is a call.
    Rest,
    /// Nothing, until then.
    Wait(Instant),
    Ask,
    /// The peer is not there any more.
    GiveUp,
}

impl Policy {
    fn step(&mut self, now: Instant, is_idle: bool) -> Step {
        if let Some(asked) = self.asked {
            let until = asked + self.timeout;
            return if now < until { Step::Wait(until) } else { Step::GiveUp };
        }
        let due = self.heard + self.interval;
        if is_idle && !self.while_idle {
            Step::Rest
        } else if now < due {
            Step::Wait(due)
        } else {
            self.asked = Some(now);
            Step::Ask
        }
    }

    fn answered(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }
}

/// Asks a peer for signs of life.
pub(super) struct KeepAlive {
    policy: Policy,
    pings: PingPong,
    timer: Pin<Box<Sleep>>,
    resting: bool,
}

impl KeepAlive {
    pub(super) fn new(pings: PingPong, while_idle: bool, settings: &ClientSettings) -> Self {
        let policy = Policy {
            interval: settings.keep_alive_interval,
            timeout: settings.keep_alive_timeout,
            while_idle,
            heard: Instant::now(),
            asked: None,
        };
        Self { timer: Box::pin(sleep(policy.interval)), policy, pings, resting: false }
    }

    /// Something has arrived.
    pub(super) fn heard(&mut self) {
        self.policy.heard = Instant::now();
    }

    /// Ready when the peer owes a sign of life for too long. To be polled whenever the
    /// connection is, after it: what has arrived is known then. What this asks for wakes it.
    pub(super) fn poll_dead(&mut self, cx: &mut Context<'_>, is_idle: bool) -> Poll<()> {
        if self.policy.asked.is_some() && matches!(self.pings.poll_pong(cx), Poll::Ready(Ok(_))) {
            self.policy.answered(Instant::now());
            self.resting = true;
        }
        loop {
            if !self.resting {
                ready!(self.timer.as_mut().poll(cx));
            }
            match self.policy.step(Instant::now(), is_idle) {
                Step::Rest => {
                    self.resting = true;
                    return Poll::Pending;
                }
                Step::Wait(until) => {
                    self.resting = false;
                    self.timer.as_mut().reset(until);
                }
                Step::Ask => {
                    // It fails where the connection ends, which then says so itself.
                    let _ = self.pings.send_ping(Ping::opaque());
                    let _ = self.pings.poll_pong(cx);
                    self.resting = true;
                }
                Step::GiveUp => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(while_idle: bool) -> (Policy, Instant) {
        let now = Instant::now();
        let (interval, timeout) = (20 * SECOND, 10 * SECOND);
        (Policy { interval, timeout, while_idle, heard: now, asked: None }, now)
    }

    #[test]
    fn a_sign_is_asked_for_after_an_interval_of_silence_and_must_come_within_the_timeout() {
        let (mut policy, now) = policy(false);
        assert_eq!(policy.step(now, false), Step::Wait(now + 20 * SECOND));
        policy.heard = now + 5 * SECOND;
        assert_eq!(policy.step(now + 20 * SECOND, false), Step::Wait(now + 25 * SECOND));
        assert_eq!(policy.step(now + 25 * SECOND, false), Step::Ask);
        assert_eq!(policy.step(now + 26 * SECOND, false), Step::Wait(now + 35 * SECOND));
        policy.answered(now + 30 * SECOND);
        assert_eq!(policy.step(now + 30 * SECOND, false), Step::Wait(now + 50 * SECOND));
        assert_eq!(policy.step(now + 50 * SECOND, false), Step::Ask);
        assert_eq!(policy.step(now + 60 * SECOND, false), Step::GiveUp);
    }

    #[test]
    fn an_idle_connection_rests_unless_its_peer_takes_pings_and_its_next_call_asks_at_once() {
        let (mut foreign, now) = policy(false);
        assert_eq!(foreign.step(now + 60 * SECOND, true), Step::Rest);
        assert_eq!(foreign.step(now + 61 * SECOND, false), Step::Ask);
        // What was asked is waited for, also where the call has ended meanwhile.
        assert_eq!(foreign.step(now + 62 * SECOND, true), Step::Wait(now + 71 * SECOND));
        let (mut ours, now) = policy(true);
        assert_eq!(ours.step(now + 20 * SECOND, true), Step::Ask);
    }
}
