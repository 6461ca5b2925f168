//! How a channel connects and how long it waits.

use std::time::Duration;

use serde::Deserialize;

/// The `client` section of a service's configuration. The defaults suit services
/// within one network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSettings {
    /// The longest it may take until an endpoint is connected and speaks HTTP/2.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The pause after a first failure to connect; it grows by 1.6 each time.
    #[serde(with = "humantime_serde")]
    pub reconnect_initial: Duration,
    /// The longest pause between attempts to connect.
    #[serde(with = "humantime_serde")]
    pub reconnect_max: Duration,
    /// How long a call waits for an endpoint while none is connected.
    #[serde(with = "humantime_serde")]
    pub endpoint_wait: Duration,
    /// Silence on a connection after which it is asked for a sign of life.
    #[serde(with = "humantime_serde")]
    pub keep_alive_interval: Duration,
    /// How long it may take to give one before it counts as lost.
    #[serde(with = "humantime_serde")]
    pub keep_alive_timeout: Duration,
    /// The most connections to one endpoint. Where there are more than 16 endpoints
    /// each has one.
    pub max_connections: usize,
    /// The calls in flight on a connection above which another one is opened.
    pub calls_per_connection: usize,
    /// The longest message of a unary call, in bytes; more is refused before it is sent.
    pub max_request_bytes: usize,
    /// The longest life of a streaming call.
    #[serde(with = "humantime_serde")]
    pub stream_max_age: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            reconnect_initial: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(10),
            endpoint_wait: Duration::from_secs(3),
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            max_connections: 4,
            calls_per_connection: 16,
            max_request_bytes: 4 * 1024 * 1024,
            stream_max_age: Duration::from_secs(60 * 60),
        }
    }
}
