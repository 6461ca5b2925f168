//! TLS from files that may change while the process runs.
//!
//! [`ServerTls`] names a server's certificate. With `client_ca_file` it also requires a certificate
//! from callers (mTLS). [`ClientTls`] names the authorities that a client trusts, and optionally
//! its own certificate. Both load into a [`Live`], which holds a complete rustls configuration and
//! reloads it when the files change.
//!
//! Rules:
//! - The crypto provider is aws-lc-rs. It is passed explicitly, so that it does not depend on the
//!   process's default. TLS versions are 1.2 and 1.3; the application protocol (ALPN) is `h2`.
//! - An unusable file at the start is an error that names the setting. An unusable file later is
//!   one warning, and the previous configuration stays in use.
//! - A certificate and its key are replaced one after the other. A mismatched pair is therefore
//!   reported only if it is still mismatched at the next check.
//! - New connections use the latest configuration. Existing connections are not affected. Sessions
//!   are never resumed: each new connection verifies both sides again, so a removed authority or an
//!   expired certificate takes effect at once.

mod client;
mod files;
mod live;
mod loopback;
mod measure;
mod own_client;
mod server;

pub use client::ClientTls;
pub use files::{InvalidTls, dns_names};
pub use live::{Followed, Live};
pub use loopback::is_loopback;
pub use measure::observe;
pub use server::ServerTls;

use std::time::Duration;

use rustls::{
    ConfigBuilder, ConfigSide, WantsVerifier, WantsVersions,
    crypto::{CryptoProvider, aws_lc_rs},
};

/// ALPN name of HTTP/2 (RFC 9113).
const H2: &[u8] = b"h2";

/// Default interval between checks of the files.
fn reload_interval() -> Duration {
    Duration::from_secs(10)
}

/// Shortest interval that the settings allow.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

fn provider() -> std::sync::Arc<CryptoProvider> {
    std::sync::Arc::new(aws_lc_rs::default_provider())
}

/// Enables TLS 1.2 and 1.3, and the provider's default cipher suites.
fn versions<S: ConfigSide>(
    builder: ConfigBuilder<S, WantsVersions>,
) -> Result<ConfigBuilder<S, WantsVerifier>, InvalidTls> {
    builder
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidTls { key: "cert_file", why: error.to_string() })
}

fn check_interval(interval: Duration) -> Result<(), InvalidTls> {
    if interval < SHORTEST_INTERVAL {
        let why = format!("must be at least {SHORTEST_INTERVAL:?}");
        return Err(InvalidTls { key: "reload_interval", why });
    }
    Ok(())
}
