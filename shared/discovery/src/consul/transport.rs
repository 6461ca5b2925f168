//! Connections to the agent, with or without TLS.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use gantry_tls::Live;
use http::Request;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Builder, Client, ResponseFuture, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;
use tokio::task::JoinHandle;

/// A connection pool for one agent.
pub(super) enum Transport {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Secure(Secure),
}

/// A connection pool with TLS. New connections use the current certificates.
pub(super) struct Secure {
    live: Arc<Live<ClientConfig>>,
    /// Current configuration and the pool that uses it.
    current: Mutex<(Arc<ClientConfig>, SecureClient)>,
    /// Task that follows the files. Starts with the first request, because it needs a runtime.
    following: OnceLock<Following>,
    connect_timeout: Duration,
}

type SecureClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Follows the files until it is dropped.
struct Following(JoinHandle<Infallible>);

impl Transport {
    pub(super) fn plain(connect_timeout: Duration) -> Self {
        Self::Plain(pool().build(connector(connect_timeout)))
    }

    pub(super) fn secure(live: Live<ClientConfig>, connect_timeout: Duration) -> Self {
        let config = live.current();
        let client = secure_client(&config, connect_timeout);
        Self::Secure(Secure {
            live: Arc::new(live),
            current: Mutex::new((config, client)),
            following: OnceLock::new(),
            connect_timeout,
        })
    }

    pub(super) fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Secure(secure) => secure.client().request(request),
        }
    }
}

impl Secure {
    fn client(&self) -> SecureClient {
        self.following.get_or_init(|| {
            let live = Arc::clone(&self.live);
            Following(tokio::spawn(async move { live.follow().await }))
        });
        let config = self.live.current();
        // The pair is consistent even if code under the lock panics.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current.0, &config) {
            let client = secure_client(&config, self.connect_timeout);
            *current = (config, client);
        }
        current.1.clone()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn secure_client(config: &ClientConfig, connect_timeout: Duration) -> SecureClient {
    let mut config = config.clone();
    // The connector itself negotiates HTTP/1.
    config.alpn_protocols.clear();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .wrap_connector(connector(connect_timeout));
    pool().build(connector)
}

fn connector(connect_timeout: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect_timeout));
    connector.set_keepalive(Some(Duration::from_secs(30)));
    connector.enforce_http(false);
    connector
}

fn pool() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30));
    builder
}
