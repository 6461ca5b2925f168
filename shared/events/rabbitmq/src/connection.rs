//! Connections to the broker.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gantry_events::BusError;
use gantry_tls::{ClientTls, InvalidTls};
use lapin::{
    Channel, ConnectionProperties,
    auth::AuthProvider,
    tcp::AsyncTcpStream,
    types::{LongString, ShortString},
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};
use rustls::ClientConfig;
use tokio::{task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    failure,
    quiet::Silence,
    settings::{Endpoint, InvalidSettings, Settings},
    transport,
};

/// Time that the broker has to answer that a channel or connection is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Way to a broker: address, credentials and certificates, all checked.
#[derive(Debug)]
pub(crate) struct Connector {
    endpoint: Endpoint,
    files: Files,
    /// Latest usable certificates.
    tls: Mutex<Option<Arc<ClientConfig>>>,
    connect_timeout: Duration,
    /// Seconds.
    heartbeat: u16,
}

/// Files that are read for each connection.
#[derive(Clone, Debug)]
struct Files {
    password: Option<PathBuf>,
    tls: Option<ClientTls>,
}

impl Connector {
    /// Checks the settings and reads their files.
    pub(crate) fn new(settings: &Settings) -> Result<Self, InvalidSettings> {
        if let Some(problem) = settings.problems().into_iter().next() {
            return Err(problem);
        }
        let endpoint = settings.endpoint().map_err(|why| InvalidSettings { key: "url", why })?;
        let tls = settings.ca_file.as_ref().map(|ca_file| {
            let mut tls = ClientTls::trusting(ca_file);
            tls.cert_file.clone_from(&settings.cert_file);
            tls.key_file.clone_from(&settings.key_file);
            tls
        });
        let files = Files { password: settings.password_file.clone(), tls };
        if let Some(path) = &files.password {
            // Also checks the permissions of the file.
            let read = gantry_files::read_secret(path).map_err(|error| error.to_string());
            read.and_then(password).map_err(|why| InvalidSettings {
                key: "password_file",
                why: format!("{}: {why}", path.display()),
            })?;
        }
        let loaded = files.tls.as_ref().map(load).transpose();
        let loaded = loaded.map_err(|InvalidTls { key, why }| InvalidSettings { key, why })?;
        Ok(Self {
            endpoint,
            files,
            tls: Mutex::new(loaded),
            connect_timeout: settings.connect_timeout,
            heartbeat: u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX),
        })
    }

    /// Opens a connection. Operators see its name in the broker.
    pub(crate) async fn open(&self, name: String) -> Result<Connection, BusError> {
        let end = CancellationToken::new();
        // A connection that is given up on the way ends, and with it the library's thread.
        let guard = end.clone().drop_guard();
        let opening = self.open_until(name, end);
        let opened = timeout(self.connect_timeout, opening).await.unwrap_or_else(|_| {
            Err(BusError::Unavailable(format!(
                "the broker at {} does not answer within {:?}",
                self.endpoint.address(),
                self.connect_timeout
            )))
        })?;
        Ok(Connection { end: guard.disarm(), opened, is_idle: false })
    }

    async fn open_until(
        &self,
        name: String,
        end: CancellationToken,
    ) -> Result<lapin::Connection, BusError> {
        let endpoint = &self.endpoint;
        let password = self.password().await?;
        let tls = self.certificates().await?;
        let silence = Silence::default();
        let stream =
            transport::connect(&endpoint.host, endpoint.port, tls, end, silence.clone()).await;
        let stream = stream.map_err(|error| failure::of_stream(&error, endpoint))?;
        let stream = Mutex::new(Some(stream));
        let connect = async move |_, _| {
            // This runs on the library's thread.
            Silence::begin();
            // The library asks once, because its recovery is off.
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            let stream = stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
            Ok(AsyncTcpStream::Plain(stream))
        };
        let options = ConnectionProperties::default()
            .with_connection_name(name.into())
            .with_auth_provider(Plain { user: endpoint.user.clone(), password });
        let opening =
            lapin::Connection::connector(self.uri(), transport::runtime(), connect, options);
        let opened = opening.await.map_err(|error| failure::of_opening(&error, endpoint))?;
        silence.end();
        Ok(opened)
    }

    /// Returns the address in the form of the library, without the password.
    fn uri(&self) -> AMQPUri {
        let Endpoint { host, port, user, vhost, .. } = &self.endpoint;
        let userinfo = AMQPUserInfo { username: user.clone(), password: String::new() };
        let query =
            AMQPQueryString { heartbeat: Some(self.heartbeat), ..AMQPQueryString::default() };
        AMQPUri {
            // The stream has its TLS already.
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority { userinfo, host: host.clone(), port: *port },
            vhost: vhost.clone(),
            query,
        }
    }

    async fn password(&self) -> Result<String, BusError> {
        let Some(path) = self.files.password.clone() else { return Ok("guest".to_owned()) };
        let shown = path.display().to_string();
        let read = blocking(move || gantry_files::read_text(&path)).await?;
        read.map_err(|error| error.to_string()).and_then(password).map_err(|why| {
            BusError::Misconfigured(format!("events.rabbitmq.password_file: {shown}: {why}"))
        })
    }

    /// Returns the certificates in their files, or the previous ones if those are unusable.
    async fn certificates(&self) -> Result<Option<Arc<ClientConfig>>, BusError> {
        let Some(tls) = self.files.tls.clone() else { return Ok(None) };
        let loaded = blocking(move || load(&tls)).await?;
        let mut current = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(config) => *current = Some(config),
            Err(InvalidTls { key, why }) => tracing::warn!(
                key = format_args!("events.rabbitmq.{key}"),
                why,
                "certificates not reloaded, previous ones stay in use"
            ),
        }
        Ok(current.clone())
    }
}

/// Runs a function that reads files.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BusError> {
    let read = spawn_blocking(read).await;
    read.map_err(|_| BusError::Unavailable("the process is shutting down".to_owned()))
}

/// Checks the content of a password's file.
fn password(text: String) -> Result<String, String> {
    let password = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("holds no password".to_owned());
    }
    // The separator of AMQP's authentication.
    if password.contains(['\0', '\n', '\r']) {
        return Err("holds more than one line".to_owned());
    }
    Ok(password.to_owned())
}

fn load(tls: &ClientTls) -> Result<Arc<ClientConfig>, InvalidTls> {
    let mut config = ClientConfig::clone(&*tls.load()?.current());
    // AMQP has no name in ALPN.
    config.alpn_protocols.clear();
    Ok(Arc::new(config))
}

/// SASL's mechanism PLAIN (RFC 4616).
struct Plain {
    user: String,
    password: String,
}

impl AuthProvider for Plain {
    fn mechanism(&self) -> ShortString {
        "PLAIN".into()
    }

    fn auth_starter(&self) -> Result<LongString, String> {
        Ok(format!("\0{}\0{}", self.user, self.password).into())
    }
}

/// Connection to the broker, of one publisher or one subscription. Ends at once when it is dropped.
pub(crate) struct Connection {
    end: CancellationToken,
    opened: lapin::Connection,
    /// The broker is told when the connection is dropped.
    is_idle: bool,
}

impl Connection {
    /// Opens a channel.
    pub(crate) async fn channel(&self) -> Result<Channel, BusError> {
        let channel = self.opened.create_channel().await;
        channel.map_err(|error| failure::of_channel(&error, "open a channel"))
    }

    /// Declares that nothing is under way: a drop then closes the connection with the broker's consent, or
    /// without it once heartbeats are missed. Not while the broker blocks writes, which has no limit.
    pub(crate) fn set_idle(&mut self, is_idle: bool) {
        self.is_idle = is_idle && !self.opened.status().blocked();
    }

    /// Closes a channel and then the connection, both with the broker's consent if it answers soon.
    pub(crate) async fn close(self, channel: &Channel) {
        let closing = async {
            channel.close(lapin::protocol::constants::REPLY_SUCCESS, "OK".into()).await?;
            self.opened.close(lapin::protocol::constants::REPLY_SUCCESS, "OK".into()).await
        };
        match timeout(CLOSE_TIMEOUT, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "connection to the broker was closed already");
            }
            Err(_) => tracing::debug!("broker does not answer that the connection is closed"),
        }
    }
}

impl Drop for Connection {
    /// Ends the stream before the library can write to it: its `basic.cancel` for a dropped consumer would
    /// give later messages to the next consumer while earlier ones are unsettled.
    fn drop(&mut self) {
        if !self.is_idle {
            self.end.cancel();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
