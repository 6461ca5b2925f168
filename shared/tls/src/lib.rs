//! TLS from files that change while the process runs.
//!
//! A server says who it is with [`ServerTls`], and with `client_ca_file` asks its callers
//! for the same (mTLS); a client says with [`ClientTls`] whom it believes, and who it is.
//! Both load into a [`Live`], which holds a whole configuration of rustls and follows
//! the files.
//!
//! Rules:
//! - the provider is aws-lc-rs and named here, so that it depends on no other part of the
//!   process; TLS 1.2 and 1.3; the application protocol (ALPN) is `h2`;
//! - what is wrong at the start is an error that names the key; what is wrong later is one
//!   warning, and what was loaded before stays in use;
//! - a certificate and its key are changed one after the other: a pair that does not match
//!   is not spoken of before it has been seen twice;
//! - new connections use what was loaded last, those there are stay as they are. No session
//!   is resumed: each connection proves both sides anew, so an authority that is taken away,
//!   or a certificate that has expired, is gone for new connections.

mod client;
mod files;
mod live;
mod measure;
mod server;

pub use client::ClientTls;
pub use files::{InvalidTls, dns_names};
pub use live::{Followed, Live};
pub use measure::observe;
pub use server::ServerTls;

use std::time::Duration;

use rustls::{
    ConfigBuilder, ConfigSide, WantsVerifier, WantsVersions,
    crypto::{CryptoProvider, aws_lc_rs},
};

/// HTTP/2, as RFC 9113 names it in ALPN.
const H2: &[u8] = b"h2";

/// How often files are looked at, unless the settings say otherwise.
fn reload_interval() -> Duration {
    Duration::from_secs(10)
}

/// The shortest interval that is of any use.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

fn provider() -> std::sync::Arc<CryptoProvider> {
    std::sync::Arc::new(aws_lc_rs::default_provider())
}

/// TLS 1.2 and 1.3, with everything that the provider thinks safe.
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
