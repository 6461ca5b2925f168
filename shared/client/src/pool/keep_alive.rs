//! Keep-alive: an unanswered ping reveals a connection that died silently.
//!
//! gRPC servers count pings that come too soon, by default within 5 min of each other or without a
//! call, and close the connection with all of its calls at the third (gRFC A8, `too_many_pings`).
//! Only Gantry's servers are pinged at the interval of the settings. All others are pinged at
//! gRPC's default, and half as often after each complaint.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

use crate::settings::ClientSettings;

/// Minimum time between pings that a gRPC server allows by default (gRFC A8).
const GRPC_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Maximum number of doublings of an interval: from 5 min to almost a day.
const MAX_DOUBLINGS: u32 = 8;

/// Longest wait that a clock can represent.
const MAX_WAIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Pace of pings to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Silence before a ping.
    interval: Duration,
    /// Timeout of a ping.
    timeout: Duration,
    /// True if pings are sent without a call in flight too.
    while_idle: bool,
}

impl Pace {
    /// Returns the pace for a peer with this many complaints about pings.
    pub(super) fn new(settings: &ClientSettings, is_gantry: bool, complaints: u32) -> Self {
        let shortest = if is_gantry { Duration::ZERO } else { GRPC_INTERVAL };
        let interval = settings.keep_alive_interval.max(shortest);
        Self {
            interval: interval.saturating_mul(1 << complaints.min(MAX_DOUBLINGS)).min(MAX_WAIT),
            timeout: settings.keep_alive_timeout.min(MAX_WAIT),
            while_idle: is_gantry && complaints == 0,
        }
    }
}

/// Schedule of pings to one peer.
#[derive(Debug)]
struct Policy {
    pace: Pace,
    /// Time of the last arrival.
    last_arrival: Instant,
    /// Time of an unanswered ping.
    pinged: Option<Instant>,
}

/// Next step of the schedule.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// No ping until there is a call.
    Rest,
    /// No ping until then.
    Wait(Instant),
    Ask,
    /// The peer is dead.
    GiveUp,
}

impl Policy {
    fn step(&mut self, now: Instant, is_idle: bool) -> Step {
        if let Some(pinged) = self.pinged {
            let until = pinged + self.pace.timeout;
            return if now < until { Step::Wait(until) } else { Step::GiveUp };
        }
        let due = self.last_arrival + self.pace.interval;
        if is_idle && !self.pace.while_idle {
            Step::Rest
        } else if now < due {
            Step::Wait(due)
        } else {
            self.pinged = Some(now);
            Step::Ask
        }
    }

    fn answered(&mut self, now: Instant) {
        self.last_arrival = now;
        self.pinged = None;
    }
}

/// Pings a peer and detects its death.
pub(super) struct KeepAlive {
    policy: Policy,
    pings: PingPong,
    timer: Pin<Box<Sleep>>,
    resting: bool,
}

impl KeepAlive {
    pub(super) fn new(pings: PingPong, pace: Pace) -> Self {
        let policy = Policy { pace, last_arrival: Instant::now(), pinged: None };
        Self { timer: Box::pin(sleep(pace.interval)), policy, pings, resting: false }
    }

    /// Records an arrival.
    pub(super) fn record_arrival(&mut self) {
        self.policy.last_arrival = Instant::now();
    }

    /// Ready when a ping was not answered in time. Poll it after each poll of the connection, which
    /// records arrivals. Wakes the task for its own timers.
    pub(super) fn poll_dead(&mut self, cx: &mut Context<'_>, is_idle: bool) -> Poll<()> {
        if self.policy.pinged.is_some() && matches!(self.pings.poll_pong(cx), Poll::Ready(Ok(_))) {
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
                    // It fails if the connection ends, which reports its own error.
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
        let pace = Pace { interval: 20 * SECOND, timeout: 10 * SECOND, while_idle };
        (Policy { pace, last_arrival: now, pinged: None }, now)
    }

    #[test]
    fn peers_not_known_as_ours_are_pinged_at_grpcs_default() {
        let settings = ClientSettings::default();
        let minutes = |count: u32| 60 * count * SECOND;
        for (is_gantry, complaints, interval, while_idle) in [
            (true, 0, 20 * SECOND, true),
            // A proxy on the way may complain.
            (true, 1, 40 * SECOND, false),
            (true, 2, 80 * SECOND, false),
            (false, 0, minutes(5), false),
            (false, 1, minutes(10), false),
            (false, 2, minutes(20), false),
            (false, 8, minutes(1280), false),
            (false, u32::MAX, minutes(1280), false),
        ] {
            let pace = Pace { interval, timeout: 10 * SECOND, while_idle };
            assert_eq!(Pace::new(&settings, is_gantry, complaints), pace);
        }
        let rare = ClientSettings { keep_alive_interval: minutes(60), ..settings };
        assert_eq!(Pace::new(&rare, false, 0).interval, minutes(60));
        let never = ClientSettings { keep_alive_interval: Duration::MAX, ..rare };
        assert_eq!(Pace::new(&never, false, 3).interval, MAX_WAIT);
    }

    #[test]
    fn a_ping_follows_silence_and_must_be_answered_in_time() {
        let (mut policy, now) = policy(false);
        assert_eq!(policy.step(now, false), Step::Wait(now + 20 * SECOND));
        policy.last_arrival = now + 5 * SECOND;
        assert_eq!(policy.step(now + 20 * SECOND, false), Step::Wait(now + 25 * SECOND));
        assert_eq!(policy.step(now + 25 * SECOND, false), Step::Ask);
        assert_eq!(policy.step(now + 26 * SECOND, false), Step::Wait(now + 35 * SECOND));
        policy.answered(now + 30 * SECOND);
        assert_eq!(policy.step(now + 30 * SECOND, false), Step::Wait(now + 50 * SECOND));
        assert_eq!(policy.step(now + 50 * SECOND, false), Step::Ask);
        assert_eq!(policy.step(now + 60 * SECOND, false), Step::GiveUp);
    }

    #[test]
    fn an_idle_connection_is_pinged_only_if_its_peer_allows() {
        let (mut foreign, now) = policy(false);
        assert_eq!(foreign.step(now + 60 * SECOND, true), Step::Rest);
        assert_eq!(foreign.step(now + 61 * SECOND, false), Step::Ask);
        // An open ping is awaited even if the call has ended meanwhile.
        assert_eq!(foreign.step(now + 62 * SECOND, true), Step::Wait(now + 71 * SECOND));
        let (mut ours, now) = policy(true);
        assert_eq!(ours.step(now + 20 * SECOND, true), Step::Ask);
    }
}
