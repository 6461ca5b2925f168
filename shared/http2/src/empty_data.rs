//! Policy for empty DATA frames.

use std::time::Duration;

use tokio::time::Instant;

use crate::{FrameHead, FramePolicy, Verdict};

/// Empty frames that a new connection may send before it sends anything else.
const INITIAL_ALLOWANCE: u32 = 100;

/// Maximum number of empty frames in a row, regardless of the frames before them.
const MAX_ALLOWANCE: u32 = 1000;

/// Empty frames granted for each header block. A response has two blocks: headers and trailers.
const PER_HEADERS: u32 = 4;

/// Empty frames granted for each DATA frame that has a payload.
const PER_DATA: u32 = 1;

/// Time after which a connection without allowance is granted one more empty frame.
const REFILL: Duration = Duration::from_millis(100);

/// Policy that drops empty DATA frames without END_STREAM.
///
/// RFC 9113, section 6.1, allows them, and peers such as Jetty end every message body with one
/// before the trailers. h2 counts them over the lifetime of a connection and closes the connection,
/// with all of its calls, at the 101st. They change no state, so h2 can do without them.
///
/// Each header block, each DATA frame with a payload and each 100 ms grants an allowance of empty
/// frames. Frames beyond the allowance are a flood: they reach h2, which closes the connection with
/// ENHANCE_YOUR_CALM. An empty frame with padding always reaches h2, because its padding consumes
/// flow-control windows.
#[derive(Debug)]
pub struct EmptyDataPolicy {
    allowance: u32,
    refilled: Instant,
}

impl EmptyDataPolicy {
    /// Policy of a new connection.
    pub fn new() -> Self {
        Self { allowance: INITIAL_ALLOWANCE, refilled: Instant::now() }
    }

    fn earn(&mut self, frames: u32) {
        self.allowance = self.allowance.saturating_add(frames).min(MAX_ALLOWANCE);
    }

    /// Grants one frame for each [`REFILL`] since the last refill.
    fn refill(&mut self) {
        let frames = self.refilled.elapsed().as_millis() / REFILL.as_millis();
        if frames > 0 {
            self.earn(frames.try_into().unwrap_or(MAX_ALLOWANCE));
            self.refilled = Instant::now();
        }
    }

    fn spend(&mut self) -> Verdict {
        // Only an empty allowance needs the clock: normal traffic never reads it.
        if self.allowance == 0 {
            self.refill();
        }
        if self.allowance == 0 {
            return Verdict::Pass;
        }
        self.allowance -= 1;
        Verdict::Drop
    }
}

impl Default for EmptyDataPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl FramePolicy for EmptyDataPolicy {
    fn judge(&mut self, head: &FrameHead) -> Verdict {
        match head.kind {
            FrameHead::HEADERS => self.earn(PER_HEADERS),
            FrameHead::DATA if head.length > 0 => self.earn(PER_DATA),
            // An empty frame with padding or on stream 0 is malformed. h2 reports the error.
            FrameHead::DATA
                if head.stream > 0
                    && !head.has(FrameHead::END_STREAM)
                    && !head.has(FrameHead::PADDED) =>
            {
                return self.spend();
            }
            _ => {}
        }
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const EMPTY: FrameHead = FrameHead { length: 0, kind: FrameHead::DATA, flags: 0, stream: 1 };
    const HEADERS: FrameHead =
        FrameHead { length: 9, kind: FrameHead::HEADERS, flags: 4, stream: 1 };

    /// Number of empty frames that are dropped in a row.
    fn dropped(policy: &mut EmptyDataPolicy) -> u32 {
        let mut dropped = 0;
        while policy.judge(&EMPTY) == Verdict::Drop {
            dropped += 1;
        }
        dropped
    }

    #[test]
    fn two_for_each_answer_are_dropped_for_ever() {
        let mut policy = EmptyDataPolicy::new();
        for _ in 0..10_000 {
            assert_eq!(policy.judge(&HEADERS), Verdict::Pass);
            assert_eq!(policy.judge(&FrameHead { length: 5, ..EMPTY }), Verdict::Pass);
            assert_eq!(policy.judge(&EMPTY), Verdict::Drop);
            assert_eq!(policy.judge(&EMPTY), Verdict::Drop);
            assert_eq!(policy.judge(&HEADERS), Verdict::Pass);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_reaches_h2_whatever_was_earned_before() {
        let mut policy = EmptyDataPolicy::new();
        assert_eq!(dropped(&mut policy), INITIAL_ALLOWANCE);
        assert_eq!(policy.judge(&EMPTY), Verdict::Pass);
        for _ in 0..10_000 {
            policy.judge(&HEADERS);
        }
        assert_eq!(dropped(&mut policy), MAX_ALLOWANCE);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_in_a_second_are_no_flood() {
        let mut policy = EmptyDataPolicy::new();
        dropped(&mut policy);
        for _ in 0..100 {
            advance(Duration::from_secs(1)).await;
            assert_eq!(dropped(&mut policy), 10);
        }
        advance(Duration::from_secs(100_000)).await;
        assert_eq!(dropped(&mut policy), MAX_ALLOWANCE);
    }

    #[test]
    fn frames_that_mean_something_reach_h2() {
        for head in [
            FrameHead { flags: FrameHead::END_STREAM, ..EMPTY },
            FrameHead { flags: FrameHead::PADDED, ..EMPTY },
            FrameHead { flags: FrameHead::PADDED, length: 1, ..EMPTY },
            FrameHead { stream: 0, ..EMPTY },
            FrameHead { length: 1, ..EMPTY },
            FrameHead { kind: FrameHead::HEADERS, ..EMPTY },
            FrameHead { kind: FrameHead::SETTINGS, stream: 0, ..EMPTY },
        ] {
            assert_eq!(EmptyDataPolicy::new().judge(&head), Verdict::Pass, "{head:?}");
        }
    }
}
