//! A proxy between services and their database that delays what it forwards.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Pieces in flight in one direction of a connection.
const IN_FLIGHT: usize = 1_024;

/// Running proxy. Stopped when dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Forwards connections to a Unix socket. Requests arrive after `delay`, responses at once.
    pub(super) async fn start(socket: PathBuf, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let socket = socket.clone();
                connections.spawn(async move {
                    // Either end closes both: the other sees that its connection ends.
                    let Ok(server) = UnixStream::connect(socket).await else { return };
                    if client.set_nodelay(true).is_err() {
                        return;
                    }
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::select! {
                        () = forward(from_client, to_server, delay) => {}
                        () = forward(from_server, to_client, Duration::ZERO) => {}
                    }
                });
            }
        });
        Ok(Self { address, _tasks: tasks })
    }
}

/// Forwards pieces in order, each `delay` after its arrival, until one side ends.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let read = async move {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let due = Instant::now() + delay;
            if sender.send((due, piece[..length].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = pieces.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpStream, UnixListener};

    use super::*;

    #[tokio::test]
    async fn a_request_arrives_late_and_whole() {
        const DELAY: Duration = Duration::from_millis(20);
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let server = UnixListener::bind(&socket).unwrap();
        let proxy = Proxy::start(socket, DELAY).await.unwrap();
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        let (mut server, _) = server.accept().await.unwrap();
        let started = Instant::now();
        client.write_all(b"question").await.unwrap();
        let mut text = [0; 8];
        server.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"question");
        assert!(started.elapsed() >= DELAY);
        server.write_all(b"answered").await.unwrap();
        client.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"answered");
        drop(server);
        assert_eq!(client.read(&mut text).await.unwrap(), 0);
    }
}
