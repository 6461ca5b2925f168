//! Floods: frames that carry no call and calls that are refused for their headers. Both cost their
//! peer almost nothing.
//!
//! h2 answers PING and SETTINGS and processes the others without a limit, so [`ClientFrames`]
//! counts them before h2 does. Each kind has an allowance. It is refilled over time and by frames
//! that the server sends, because a caller that receives data may ping (to measure the connection)
//! and grant windows. The rules are grpc-core's for ping strikes and Envoy's for PRIORITY and
//! WINDOW_UPDATE. A peer beyond its allowance gets a GOAWAY with ENHANCE_YOUR_CALM; its debug data
//! names the kind.

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
    /// PRIORITY, RST_STREAM, acknowledgements and unknown types.
    Others,
    /// Calls whose headers exceed a limit.
    Headers,
}

impl Flood {
    /// Returns the debug data of the GOAWAY. gRPC clients that get `too_many_pings` (gRFC A8) ping
    /// less often afterwards.
    pub(crate) fn debug_data(self) -> &'static str {
        match self {
            Self::Pings => "too_many_pings",
            Self::Settings => "too_many_settings",
            Self::Windows => "too_many_window_updates",
            Self::Others => "too_many_control_frames",
            Self::Headers => "too_many_large_headers",
        }
    }
}

/// Flood state shared by the tasks of a connection.
#[derive(Debug, Default)]
pub(crate) struct FloodWatch {
    found: AtomicU8,
    /// Number of frames that responses sent and that no allowance has counted yet.
    sent: AtomicU32,
}

impl FloodWatch {
    /// Counts a frame that a response sent.
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the flood that was detected, if any.
    pub(crate) fn found(&self) -> Option<Flood> {
        match self.found.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Flood::Pings),
            2 => Some(Flood::Settings),
            3 => Some(Flood::Windows),
            4 => Some(Flood::Others),
            _ => Some(Flood::Headers),
        }
    }
}

/// Allowance for one kind of frame or call.
#[derive(Debug)]
struct Allowance {
    left: u32,
    max: u32,
    /// Refill interval of one frame or call.
    every: Duration,
    refilled: Instant,
}

impl Allowance {
    fn new(max: u32, every: Duration) -> Self {
        Self { left: max, max, every, refilled: Instant::now() }
    }

    fn earn(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.max);
    }

    /// Takes one from the allowance, if any is left. Reads the clock for a refill only if the
    /// allowance is empty.
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

/// Allowance of a connection for calls that are refused for their headers (METADATA_TOO_LARGE). A
/// header of one byte costs the server a lookup and a copy, so such calls are a cheap attack.
#[derive(Debug)]
pub(crate) struct RefusedHeaders(Allowance);

impl RefusedHeaders {
    /// Creates the allowance of a new connection: as many calls as it may have streams by default,
    /// and ten per second.
    pub(crate) fn new() -> Self {
        Self(Allowance::new(100, Duration::from_millis(100)))
    }

    /// Counts a call. A call within the limits adds one to the allowance, so that a proxy keeps its
    /// connection if most of its callers are honest. A refused call without allowance is a flood.
    pub(crate) fn count(&mut self, is_refused: bool, watch: &FloodWatch) {
        if !is_refused {
            self.0.earn(1);
        } else if !self.0.take() {
            watch.found.store(Flood::Headers as u8, Ordering::Relaxed);
        }
    }
}

/// Server policy for the frames of its clients.
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
            // Twice the rate of the fastest keepalive, 1 s, and a burst.
            pings: Allowance::new(10, Duration::from_millis(500)),
            // Clients that measure the bandwidth double their windows up to ten times.
            settings: Allowance::new(20, Duration::from_secs(1)),
            windows: Allowance::new(1000, Duration::from_millis(10)),
            others: Allowance::new(1000, Duration::from_millis(10)),
        }
    }

    /// Adds to the allowances for the frames that responses sent since the last call of this
    /// method.
    fn earn_by_answers(&mut self) {
        let sent = self.watch.sent.swap(0, Ordering::Relaxed);
        self.pings.earn(sent);
        self.settings.earn(sent);
        self.windows.earn(sent.saturating_mul(10));
    }
}

impl FramePolicy for ClientFrames {
    fn judge(&mut self, head: &FrameHead) -> Verdict {
        let (flood, of): (_, fn(&mut Self) -> &mut Allowance) = match head.kind {
            FrameHead::DATA | FrameHead::CONTINUATION => return self.empty_data.judge(head),
            FrameHead::HEADERS => {
                self.windows.earn(4);
                self.others.earn(10);
                return self.empty_data.judge(head);
            }
            FrameHead::PING if !head.has(FrameHead::ACK) => (Flood::Pings, |all| &mut all.pings),
            FrameHead::SETTINGS => (Flood::Settings, |all| &mut all.settings),
            FrameHead::WINDOW_UPDATE => (Flood::Windows, |all| &mut all.windows),
            _ => (Flood::Others, |all| &mut all.others),
        };
        if of(self).left == 0 {
            self.earn_by_answers();
        }
        if of(self).take() {
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

    /// Returns the number of frames that pass before the flood is detected.
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
    async fn calls_refused_for_their_headers_are_a_flood() {
        let (mut calls, watch) = (RefusedHeaders::new(), FloodWatch::default());
        (0..100).for_each(|_| calls.count(true, &watch));
        assert_eq!(watch.found(), None);
        calls.count(true, &watch);
        assert_eq!(watch.found(), Some(Flood::Headers));
    }

    #[tokio::test(start_paused = true)]
    async fn few_calls_with_large_headers_are_no_flood() {
        let (mut calls, watch) = (RefusedHeaders::new(), FloodWatch::default());
        for _ in 0..10_000 {
            calls.count(false, &watch);
            calls.count(true, &watch);
        }
        for _ in 0..10_000 {
            advance(Duration::from_millis(100)).await;
            calls.count(true, &watch);
        }
        assert_eq!(watch.found(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn keepalive_is_never_a_flood() {
        for every in [1, 10, 20, 300].map(Duration::from_secs) {
            let (mut frames, watch) = frames();
            for _ in 0..10_000 {
                advance(every).await;
                assert_eq!(frames.judge(&frame(FrameHead::PING)), Verdict::Pass);
                // Acknowledgement of a ping of the server.
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
    fn a_client_that_measures_bandwidth_is_no_flood() {
        let (mut frames, watch) = frames();
        // Like grpc-go and grpc-core: a ping for data received, then larger windows.
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
    fn streams_with_priorities_and_resets_are_no_flood() {
        let (mut frames, _) = frames();
        for _ in 0..10_000 {
            for kind in [FrameHead::HEADERS, FrameHead::PRIORITY, FrameHead::RST_STREAM, UNKNOWN] {
                assert_eq!(frames.judge(&frame(kind)), Verdict::Pass, "{kind}");
            }
        }
    }
}
