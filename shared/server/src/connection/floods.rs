//! Floods: frames that cost their peer next to nothing and carry no call.
//!
//! h2 answers PING and SETTINGS and handles the others without end. [`ClientFrames`] counts
//! them before h2 sees them. Each kind has an allowance that is refilled by time and by what
//! the server sends, because a caller that gets answers may ping (to measure the connection)
//! and grants windows. This is grpc-core's rule of ping strikes, Envoy's limits for PRIORITY
//! and WINDOW_UPDATE. A peer beyond its allowance gets GOAWAY, ENHANCE_YOUR_CALM, and the debug
//! data says of what there was too much.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
};

use gantry_http2::{EmptyDataPolicy, FrameHead, FramePolicy, Verdict};
use tokio::time::Instant;

/// Kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Flood {
    Pings = 1,
    Settings,
    Windows,
    /// PRIORITY, RST_STREAM, acknowledgements, and types that nobody knows.
    Others,
}

impl Flood {
    /// Debug data of the GOAWAY. Clients of gRPC know `too_many_pings` (gRFC A8) and then ping
    /// less often.
    pub(crate) fn debug_data(self) -> &'static str {
        match self {
            Self::Pings => "too_many_pings",
            Self::Settings => "too_many_settings",
            Self::Windows => "too_many_window_updates",
            Self::Others => "too_many_control_frames",
        }
    }
}

/// What a connection's tasks tell each other of floods.
#[derive(Debug, Default)]
pub(crate) struct FloodWatch {
    found: AtomicU8,
    /// Frames that answers sent since somebody looked.
    sent: AtomicU32,
}

impl FloodWatch {
    /// Notes that an answer sent a frame.
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Flood that was found, if any.
    pub(crate) fn found(&self) -> Option<Flood> {
        match self.found.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Flood::Pings),
            2 => Some(Flood::Settings),
            3 => Some(Flood::Windows),
            _ => Some(Flood::Others),
        }
    }
}

/// Frames that a peer may send.
#[derive(Debug)]
struct Allowance {
    left: u32,
    max: u32,
    /// Time for which it gets another one.
    every: Duration,
    refilled: Instant,
}

impl Allowance {
    fn new(max: u32, every: Duration) -> Self {
        Self { left: max, max, every, refilled: Instant::now() }
    }

    fn earn(&mut self, frames: u32) {
        self.left = self.left.saturating_add(frames).min(self.max);
    }

    /// Takes one, if there is one. Reads the clock only if there seems to be none.
    fn take(&mut self) -> bool {
        if self.left == 0 {
            let earned = self.refilled.elapsed().as_nanos() / self.every.as_nanos().max(1);
            if earned > 0 {
                self.earn(u32::try_from(earned).unwrap_or(u32::MAX));
                self.refilled = Instant::now();
            }
        }
        let is_left = self.left > 0;
        self.left -= u32::from(is_left);
        is_left
    }
}

/// Policy of a server for the frames of its clients.
#[derive(Debug)]
pub(crate) struct ClientFrames {
    watch: Arc<FloodWatch>,
    empty_data: EmptyDataPolicy,
    pings: Allowance,
    settings: Allowance,
    windows: Allowance,
    others: Allowance,
}

impl ClientFrames {
    pub(crate) fn new(watch: Arc<FloodWatch>) -> Self {
        Self {
            watch,
            empty_data: EmptyDataPolicy::new(),
            // Twice the rate of the most eager keepalive, 1 s, after a burst.
            pings: Allowance::new(10, Duration::from_millis(500)),
            // Clients that measure the connection double their windows up to ten times.
            settings: Allowance::new(20, Duration::from_secs(1)),
            windows: Allowance::new(1000, Duration::from_millis(10)),
            others: Allowance::new(1000, Duration::from_millis(10)),
        }
    }

    fn of(&mut self, flood: Flood) -> &mut Allowance {
        match flood {
            Flood::Pings => &mut self.pings,
            Flood::Settings => &mut self.settings,
            Flood::Windows => &mut self.windows,
            Flood::Others => &mut self.others,
        }
    }

    /// Adds what the frames that answers sent since the last time are worth.
    fn earn_by_answers(&mut self) {
        let sent = self.watch.sent.swap(0, Ordering::Relaxed);
        self.pings.earn(sent);
        self.settings.earn(sent);
        self.windows.earn(sent.saturating_mul(10));
    }
}

impl FramePolicy for ClientFrames {
    fn judge(&mut self, head: &FrameHead) -> Verdict {
        let flood = match head.kind {
            FrameHead::DATA | FrameHead::CONTINUATION => return self.empty_data.judge(head),
            FrameHead::HEADERS => {
                self.windows.earn(4);
                self.others.earn(10);
                return self.empty_data.judge(head);
            }
            FrameHead::PING if !head.has(FrameHead::ACK) => Flood::Pings,
            FrameHead::SETTINGS => Flood::Settings,
            FrameHead::WINDOW_UPDATE => Flood::Windows,
            _ => Flood::Others,
        };
        if self.of(flood).left == 0 {
            self.earn_by_answers();
        }
        if self.of(flood).take() {
            return Verdict::Pass;
        }
        self.watch.found.store(flood as u8, Ordering::Relaxed);
        Verdict::Stop
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn frames() -> (ClientFrames, Arc<FloodWatch>) {
        let watch = Arc::<FloodWatch>::default();
        (ClientFrames::new(Arc::clone(&watch)), watch)
    }

    fn frame(kind: u8) -> FrameHead {
        FrameHead { length: 8, kind, flags: 0, stream: 0 }
    }

    /// Frames in a row until they are a flood.
    fn until_stopped(frames: &mut ClientFrames, head: FrameHead) -> usize {
        (0..100_000).find(|_| frames.judge(&head) == Verdict::Stop).expect("a flood is stopped")
    }

    const ACK: u8 = FrameHead::ACK;
    const UNKNOWN: u8 = 0x42;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_each_kind_is_stopped_and_named() {
        for (kind, flags, most, found) in [
            (FrameHead::PING, 0, 10, Flood::Pings),
            (FrameHead::SETTINGS, 0, 20, Flood::Settings),
            (FrameHead::SETTINGS, ACK, 20, Flood::Settings),
            (FrameHead::WINDOW_UPDATE, 0, 1000, Flood::Windows),
            (FrameHead::PING, ACK, 1000, Flood::Others),
            (FrameHead::PRIORITY, 0, 1000, Flood::Others),
            (FrameHead::RST_STREAM, 0, 1000, Flood::Others),
            (FrameHead::GOAWAY, 0, 1000, Flood::Others),
            (UNKNOWN, 0, 1000, Flood::Others),
        ] {
            let (mut frames, watch) = frames();
            let head = FrameHead { flags, ..frame(kind) };
            assert_eq!(until_stopped(&mut frames, head), most, "{kind}");
            assert_eq!(watch.found(), Some(found), "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keepalive_is_no_flood_however_long_it_lasts() {
        for every in [1, 10, 20, 300].map(Duration::from_secs) {
            let (mut frames, watch) = frames();
            for _ in 0..10_000 {
                advance(every).await;
                assert_eq!(frames.judge(&frame(FrameHead::PING)), Verdict::Pass);
                // The answer to ours.
                let pong = FrameHead { flags: ACK, ..frame(FrameHead::PING) };
                assert_eq!(frames.judge(&pong), Verdict::Pass);
            }
            assert_eq!(watch.found(), None, "{every:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_ten_times_a_second_are_a_flood() {
        let (mut frames, watch) = frames();
        let mut passed = 0;
        while frames.judge(&frame(FrameHead::PING)) == Verdict::Pass {
            passed += 1;
            advance(Duration::from_millis(100)).await;
        }
        assert!((10..20).contains(&passed), "{passed}");
        assert_eq!(watch.found(), Some(Flood::Pings));
    }

    #[test]
    fn a_client_that_measures_the_connection_is_no_flood() {
        let (mut frames, watch) = frames();
        // As grpc-go and grpc-core do: a ping for data that came, then larger windows.
        for _ in 0..10_000 {
            watch.sent();
            assert_eq!(frames.judge(&frame(FrameHead::PING)), Verdict::Pass);
            assert_eq!(frames.judge(&frame(FrameHead::SETTINGS)), Verdict::Pass);
            for _ in 0..10 {
                assert_eq!(frames.judge(&frame(FrameHead::WINDOW_UPDATE)), Verdict::Pass);
            }
        }
    }

    #[test]
    fn streams_that_are_ranked_and_reset_are_no_flood() {
        let (mut frames, _) = frames();
        for _ in 0..10_000 {
            for kind in [FrameHead::HEADERS, FrameHead::PRIORITY, FrameHead::RST_STREAM, UNKNOWN] {
                assert_eq!(frames.judge(&frame(kind)), Verdict::Pass, "{kind}");
            }
        }
    }
}
