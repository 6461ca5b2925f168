//! Limits and timeouts of connections.

use std::time::Duration;

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidSetting;

/// RFC 9113, 6.9.1: windows have 31 bits.
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// Default of [`ConnectionSettings::max`].
pub(crate) const DEFAULT_MAX: u32 = 1000;

/// Limits and timeouts of connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct ConnectionSettings {
    /// Maximum number of open connections. At the limit, a new connection replaces an unproven or
    /// idle one, or is closed. Default: 1,000, or fewer if the limit of open files allows only
    /// fewer.
    pub max: Option<u32>,
    /// Percentage of `max` reserved for sources that made an authenticated call in the last hour.
    /// Default 25, at most 90.
    pub reserved_percent: u32,
    /// Maximum number of connections per address (IPv6: per /64 network), so that one client cannot
    /// take all. `limits.trusted_proxies` are exempt. Set it to `max` behind a load balancer that
    /// forwards connections under its own address and is not a trusted proxy. Default 250.
    pub max_per_address: u32,
    /// Maximum number of connections per IPv6 /48 network, which has 65,536 /64 networks. Default
    /// 500.
    pub max_per_site: u32,
    /// Time without a call after which the server closes a connection (GOAWAY). Default 5 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// Maximum number of calls in flight per connection. Lowered to `concurrency.min` if that is
    /// less: a single caller may always have that many. Default 100.
    pub max_streams: u32,
    /// Timeout of the handshakes of TLS and HTTP/2. Default 10 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub handshake_timeout: Duration,
    /// Time without data from the peer after which the server sends a PING. Default 20 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub keep_alive_interval: Duration,
    /// Timeout of the response to that PING. Default 10 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub keep_alive_timeout: Duration,
    /// Maximum time that a response waits for a peer that reads nothing of it; then the call is
    /// reset (RST_STREAM, CANCEL). A call whose deadline is earlier ends at its deadline. Same as
    /// nginx's `send_timeout`; default 60 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub send_timeout: Duration,
    /// Maximum number of response bytes that wait to be sent or read, on all connections together.
    /// Beyond it, waiting responses are reset (RST_STREAM, ENHANCE_YOUR_CALM) on connections that
    /// hold more than 256 KiB. Default 64 MiB.
    pub max_unsent_bytes: u32,
    /// Maximum age of a connection, with a jitter of 10 %. Its peer then gets a GOAWAY and opens a
    /// new one, so that load reaches new instances. Default 30 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_age: Duration,
    /// Time for calls in flight to finish after `max_age`, before they end with UNAVAILABLE.
    /// Default 5 min.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_age_grace: Duration,
    /// Maximum number of request headers, without pseudo-headers. Same as Envoy's
    /// `max_headers_count`; default 100.
    pub max_headers: u32,
    /// Maximum size of a request's headers in bytes, counted as in HTTP/2: name, value and 32 for
    /// each header. Beyond twice the limit the response is a bare HTTP 431. Default 16 KiB.
    pub max_header_bytes: u32,
    /// Flow-control window of one call: bytes that a peer may send before they are read. Default
    /// 256 KiB.
    pub stream_window_bytes: u32,
    /// Flow-control window of one connection, in bytes. Larger than that of a call, so that one
    /// unread call does not block the others. Default 1 MiB.
    pub connection_window_bytes: u32,
    /// Maximum number of calls that a peer may reset before the server processes them; more end the
    /// connection (CVE-2023-44487, "rapid reset"). Default 20.
    pub max_pending_resets: u32,
    /// Maximum number of calls that a peer may reset within their first second, out of twice as
    /// many calls. More end the connection with a GOAWAY, so that no call is lost; with
    /// ENHANCE_YOUR_CALM if the peer continues or is still connected 5 s later. Same as Envoy's
    /// `premature_reset_total_stream_count`. Default 500, of 1,000.
    pub max_resets: u32,
    /// Maximum number of calls of a connection that the server resets for the peer's errors, such
    /// as calls beyond `max_streams`; more end the connection (RUSTSEC-2024-0003). Default 1,024.
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
            // A call of Gantry's client has up to ten headers.
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
