//! Settings of the connection to the collector.

use std::{path::PathBuf, time::Duration};

use derive_setters::Setters;
use gantry_tls::ClientTls;
use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::InvalidSetting;

/// Section `telemetry.otlp`: the collector, as traces and metrics share it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct OtlpSettings {
    /// Collector: `http://HOST:PORT` or `https://HOST:PORT`. Default: port 4317 of this machine for
    /// gRPC, 4318 for HTTP.
    #[setters(into)]
    pub endpoint: Option<String>,
    /// Protocol of the collector.
    pub protocol: Protocol,
    /// File with headers of each request, one `name: value` a line, for a collector that requires
    /// credentials. Read once, at the start.
    #[setters(into)]
    pub headers_file: Option<PathBuf>,
    /// Allows the headers to be sent without TLS to another machine. Default: false.
    pub allow_plaintext: bool,
    /// TLS. Required for `https`.
    pub tls: Option<ClientTls>,
    /// Longest time for delivering one batch, its repetitions included. Default 10 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

/// Protocol of the collector, by OpenTelemetry's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Protocol {
    /// OTLP over gRPC.
    #[default]
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP over HTTP, in protobuf.
    #[serde(rename = "http/protobuf")]
    Http,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: Protocol::Grpc,
            headers_file: None,
            allow_plaintext: false,
            tls: None,
            timeout: Duration::from_secs(10),
        }
    }
}

impl OtlpSettings {
    /// Returns the URL for one kind of data. `own` is the kind's own endpoint with its key, `path`
    /// the path that OTLP over HTTP adds to the common endpoint.
    pub(crate) fn url(&self, own: (&str, Option<&str>), path: &str) -> Result<Uri, InvalidSetting> {
        let (key, own) = own;
        if let Some(own) = own {
            return url(key, own);
        }
        let common = match (self.endpoint.as_deref(), self.protocol) {
            (Some(common), _) => common,
            (None, Protocol::Grpc) => "http://127.0.0.1:4317",
            (None, Protocol::Http) => "http://127.0.0.1:4318",
        };
        let base = url("otlp.endpoint", common)?;
        match self.protocol {
            Protocol::Grpc => Ok(base),
            Protocol::Http => {
                let common = common.trim_end_matches('/');
                url("otlp.endpoint", &format!("{common}{path}"))
            }
        }
    }
}

/// Parses the URL of a collector. An error does not quote it, because it may contain a password.
pub(super) fn url(key: &str, text: &str) -> Result<Uri, InvalidSetting> {
    let invalid = || InvalidSetting::new(key, "expected http://HOST:PORT or https://HOST:PORT");
    let uri: Uri = text.parse().map_err(|_| invalid())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if is_http && has_host && !has_user && uri.query().is_none() { Ok(uri) } else { Err(invalid()) }
}

/// Returns true if the traffic to a URL is readable on the network: no TLS, and another machine.
pub(crate) fn is_open_to_others(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    uri.scheme_str() != Some("https") && !gantry_tls::is_loopback(host)
}
