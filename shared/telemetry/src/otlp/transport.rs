//! Connections to the collector, with or without TLS.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gantry_tls::{ClientTls, Live};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tonic::body::Body;

use crate::settings::{InvalidSetting, Protocol};

/// Pool of connections. Clones share it.
pub(super) type Client = legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// Connections of which new ones use the current certificates.
pub(super) struct Transport {
    live: Option<Live<ClientConfig>>,
    /// Current configuration and the pool that uses it.
    current: Mutex<(Arc<ClientConfig>, Client)>,
    server_name: Option<ServerName<'static>>,
    protocol: Protocol,
    connect_timeout: Duration,
}

impl Transport {
    pub(super) fn new(
        tls: Option<&ClientTls>,
        protocol: Protocol,
        connect_timeout: Duration,
    ) -> Result<Self, InvalidSetting> {
        let invalid = |key: &str, why: String| InvalidSetting::new(&format!("otlp.tls.{key}"), why);
        let live = tls.map(ClientTls::load).transpose();
        let live = live.map_err(|error| invalid(error.key, error.why))?;
        let named = tls.filter(|tls| tls.server_name.is_some());
        let server_name = named.map(|tls| tls.certificate_name("")).transpose();
        let server_name = server_name.map_err(|error| invalid(error.key, error.why))?;
        let config = match &live {
            Some(live) => live.current(),
            None => Arc::new(trusting_nobody().map_err(|why| invalid("ca_file", why))?),
        };
        let client = client(&config, server_name.as_ref(), protocol, connect_timeout);
        let current = Mutex::new((config, client));
        Ok(Self { live, current, server_name, protocol, connect_timeout })
    }

    pub(super) fn client(&self) -> Client {
        // The pair is consistent even if code under the lock panics.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = self.live.as_ref().map(Live::current)
            && !Arc::ptr_eq(&current.0, &config)
        {
            let name = self.server_name.as_ref();
            let client = client(&config, name, self.protocol, self.connect_timeout);
            *current = (config, client);
        }
        current.1.clone()
    }

    /// Reloads changed certificates while it is polled. Never completes.
    pub(super) async fn follow(&self) {
        match &self.live {
            Some(live) => match live.follow().await {},
            None => std::future::pending().await,
        }
    }
}

/// Returns a configuration for a connector that makes no TLS connections.
fn trusting_nobody() -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn client(
    config: &ClientConfig,
    server_name: Option<&ServerName<'static>>,
    protocol: Protocol,
    connect_timeout: Duration,
) -> Client {
    let mut config = config.clone();
    // The connector itself negotiates the version of HTTP.
    config.alpn_protocols.clear();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect_timeout));
    connector.set_keepalive(Some(Duration::from_secs(30)));
    connector.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    let builder = match server_name {
        Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name.clone())),
        None => builder,
    };
    let mut pool = legacy::Client::builder(TokioExecutor::new());
    pool.pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(90))
        .timer(TokioTimer::new());
    match protocol {
        Protocol::Grpc => {
            // Pings notice a collector that went away without a word.
            pool.http2_only(true)
                .http2_keep_alive_interval(Some(Duration::from_secs(20)))
                .http2_keep_alive_timeout(Duration::from_secs(10));
            pool.build(builder.enable_http2().wrap_connector(connector))
        }
        Protocol::Http => pool.build(builder.enable_http1().wrap_connector(connector)),
    }
}
