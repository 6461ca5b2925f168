//! What a server grants its connections.

use std::time::Duration;

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidSetting;

/// RFC 9113, 6.9.1: windows have 31 bits.
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// Default of [`ConnectionSettings::max`].
pub(crate) const DEFAULT_MAX: u32 = 1000;

/// What a server grants its connections, and when it ends them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct ConnectionSettings {
    /// Most open connections. One more makes an unproven or idle one close, or is closed
    /// itself. Default: 1,000, or as many as the limit of open files leaves.
    pub max: Option<u32>,
    /// Percentage of `max` that only sources with an authenticated call in the last hour may
    /// use. Default 25, at most 90.
    pub reserved_percent: u32,
    /// The most of one address (of IPv6, of one network of 64 bits), so that nobody takes
    /// all of them. `limits.trusted_proxies` are exempt; behind a balancer that passes
    /// connections on under its own address and is none of these, this is to be `max`.
    /// Default 250.
    pub max_per_address: u32,
    /// Most connections of one IPv6 network of 48 bits, which has 65,536 of those of 64 bits.
    /// Default 500.
    pub max_per_site: u32,
    /// Time without a call after which a connection is told to go (GOAWAY). Default 5 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// The most calls in flight on one connection; fewer if `concurrency.min` is lower, which
    /// is what one caller alone may always have at once. Default 100.
    pub max_streams: u32,
    /// How long a peer may take until it has said that it speaks HTTP/2. Default 10 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub handshake_timeout: Duration,
    /// Silence after which a peer is asked for a sign of life. Default 20 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub keep_alive_interval: Duration,
    /// How long it may take to give one. Default 10 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub keep_alive_timeout: Duration,
    /// How long an answer waits for a peer that takes nothing of it, until the call is reset
    /// (RST_STREAM, CANCEL). A call whose own time is over before ends then. nginx's
    /// `send_timeout`; default 60 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub send_timeout: Duration,
    /// How many bytes of answers may wait for their peers, on all connections together: for
    /// a window, or to be read. Beyond it, answers that wait are reset (RST_STREAM,
    /// ENHANCE_YOUR_CALM) on connections where more than 256 KiB do. Default 64 MiB.
    pub max_unsent_bytes: u32,
    /// How old a connection gets, give or take a tenth, until its peer is told to open
    /// another one: so that load finds new instances. Default 30 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_age: Duration,
    /// How long the calls in flight may then take, before they end with UNAVAILABLE.
    /// Default 5 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_age_grace: Duration,
    /// Most headers of a request, without pseudo-headers. Envoy's `max_headers_count`; default
    /// 100.
    pub max_headers: u32,
    /// Most bytes of a request's headers, as HTTP/2 counts them: name, value and 32 each. Beyond
    /// twice as many the answer is a bare HTTP 431. Default 16 KiB.
    pub max_header_bytes: u32,
    /// What a peer may send of one call before it is read, in bytes. Default 256 KiB.
    pub stream_window_bytes: u32,
    /// What a peer may send on one connection before it is read, in bytes: more than
    /// for one call, so that one that is not read does not stop the others. Default
    /// 1 MiB.
    pub connection_window_bytes: u32,
    /// How many calls a peer may take back before the server got to see them; more end
    /// the connection (CVE-2023-44487, "rapid reset"). Default 20.
    pub max_pending_resets: u32,
    /// How many of twice as many calls a peer may take back within their first second; more
    /// end the connection: with a GOAWAY, so that no call is lost, and with
    /// ENHANCE_YOUR_CALM where the peer goes on or is not gone 5 s later. Envoy's
    /// `premature_reset_total_stream_count`. Default 500, of 1,000.
    pub max_resets: u32,
    /// How many calls of a connection the server may have to reset for the peer's
    /// mistakes, calls beyond `max_streams` among them; more end the connection
    /// (RUSTSEC-2024-0003). Default 1,024.
    pub max_local_resets: u32,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            max: None,
            reserved_percent: 25,
            max_per_address: 250,
            max_per_site: 500,
            idle_timeout: Duration::from_secs(5 * 60),
            max_streams: 100,
            handshake_timeout: Duration::from_secs(10),
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(60),
            max_unsent_bytes: 64 * 1024 * 1024,
            max_age: Duration::from_secs(30 * 60),
            max_age_grace: Duration::from_secs(5 * 60),
            max_headers: 100,
            max_header_bytes: 16 * 1024,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 1024 * 1024,
            max_pending_resets: 20,
            max_resets: 500,
            max_local_resets: 1024,
        }
    }
}

impl ConnectionSettings {
    pub(super) fn problems(&self) -> impl Iterator<Item = InvalidSetting> {
        let windows = 65_535..=MAX_WINDOW;
        let time =
            |key, value: Duration| InvalidSetting::unless(!value.is_zero(), key, "longer than 0s");
        let count = |key, value| InvalidSetting::unless(value > 0, key, "at least 1");
        [
            count("connections.max", self.max.unwrap_or(1)),
            InvalidSetting::unless(
                self.reserved_percent <= 90,
                "connections.reserved_percent",
                "from 0 to 90",
            ),
            count("connections.max_per_address", self.max_per_address),
            count("connections.max_per_site", self.max_per_site),
            time("connections.idle_timeout", self.idle_timeout),
            count("connections.max_streams", self.max_streams),
            time("connections.handshake_timeout", self.handshake_timeout),
            time("connections.keep_alive_interval", self.keep_alive_interval),
            time("connections.keep_alive_timeout", self.keep_alive_timeout),
            time("connections.send_timeout", self.send_timeout),
            time("connections.max_age", self.max_age),
            // A call of our own has up to ten.
            InvalidSetting::unless(
                (20..=10_000).contains(&self.max_headers),
                "connections.max_headers",
                "from 20 to 10000",
            ),
            InvalidSetting::unless(
                (1024..=1024 * 1024).contains(&self.max_header_bytes),
                "connections.max_header_bytes",
                "from 1024 to 1048576",
            ),
            InvalidSetting::unless(
                windows.contains(&self.stream_window_bytes),
                "connections.stream_window_bytes",
                "from 65535 to 2147483647",
            ),
            InvalidSetting::unless(
                windows.contains(&self.connection_window_bytes)
                    && self.connection_window_bytes >= self.stream_window_bytes,
                "connections.connection_window_bytes",
                "from stream_window_bytes to 2147483647",
            ),
            count("connections.max_pending_resets", self.max_pending_resets),
            count("connections.max_resets", self.max_resets),
            count("connections.max_local_resets", self.max_local_resets),
        ]
        .into_iter()
        .flatten()
    }
}
