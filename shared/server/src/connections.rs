//! Accepting connections and owning them, so that ending them is bounded in time.

use std::{fmt::Display, future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, warn};

/// How long to wait after a failed accept: mostly the process is out of file
/// descriptors, and asking again at once would only burn the processor.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long a connection may stay silent at first; a client of gRPC speaks at once.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer may take to acknowledge a GOAWAY while none of its calls is in
/// flight: one that is suspended never does, and must not hold up a drain.
const SILENCE: Duration = Duration::from_secs(5);

/// How long tasks may take to notice that their connection was cut.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// The connections of one listener.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    tasks: JoinSet<()>,
    /// What hyper spawns for single calls.
    pub(crate) calls: TaskTracker,
    /// Tells every connection to finish what is in flight and take nothing more.
    pub(crate) goaway: CancellationToken,
}

impl Connections {
    /// Accepts until `stop` says so, and closes the listener. Each connection is
    /// what `serve` makes of it, in a task of its own.
    pub(crate) async fn accept<F, C>(
        &mut self,
        listener: TcpListener,
        stop: CancellationToken,
        mut serve: F,
    ) where
        F: FnMut(TcpStream, SocketAddr) -> C,
        C: Future<Output = ()> + Send + 'static,
    {
        let mut stopped = pin!(stop.cancelled());
        loop {
            tokio::select! {
                () = &mut stopped => return,
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        error!(%error, "a connection's task failed");
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        no_delay(&stream);
                        self.tasks.spawn(serve(stream, peer));
                    }
                    Err(error) if is_of_connection(&error) => {
                        debug!(%error, "a connection was gone before it was accepted");
                    }
                    Err(error) => {
                        warn!(%error, "accepting connections fails");
                        sleep(ACCEPT_BACKOFF).await;
                    }
                },
            }
        }
    }

    /// Lets every connection finish, for `patience` at most, and cuts the rest.
    pub(crate) async fn drain(mut self, patience: Duration) {
        self.goaway.cancel();
        self.calls.close();
        let finished = async {
            while self.tasks.join_next().await.is_some() {}
            self.calls.wait().await;
        };
        tokio::select! {
            () = finished => return,
            () = no_call_for(SILENCE, &self.calls) => {
                debug!(connections = self.tasks.len(), "peers that do not go away are cut off");
            }
            () = sleep(patience) => warn!(
                connections = self.tasks.len(),
                calls = self.calls.len(),
                "not everything was done in time and is cut"
            ),
        }
        self.tasks.shutdown().await;
        if timeout(CUT_GRACE, self.calls.wait()).await.is_err() {
            warn!(calls = self.calls.len(), "calls do not stop");
        }
    }
}

/// Waits until there has been no call for so long.
async fn no_call_for(silence: Duration, calls: &TaskTracker) {
    const LOOK: Duration = Duration::from_millis(50);
    let mut since = Instant::now();
    while since.elapsed() < silence {
        sleep(LOOK).await;
        if !calls.is_empty() {
            since = Instant::now();
        }
    }
}

/// Waits for a connection's first byte; whether there was one before the peer had
/// its time, or it was time to go.
///
/// hyper does not let go of a connection that has not said anything yet, and so a
/// peer that only connects would hold up every drain.
pub(crate) async fn speaks(stream: &TcpStream, goaway: &CancellationToken) -> bool {
    let mut first = [0];
    tokio::select! {
        // Not `readable`, which may say so of a connection that has nothing to read.
        peeked = timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut first)) => {
            matches!(peeked, Ok(Ok(1..)))
        }
        () = goaway.cancelled() => false,
    }
}

/// Runs one connection until it ends; once told to go away, only what is in
/// flight. `graceful` tells the connection so.
pub(crate) async fn run<C, E>(
    connection: C,
    peer: SocketAddr,
    goaway: CancellationToken,
    graceful: impl FnOnce(std::pin::Pin<&mut C>),
) where
    C: Future<Output = Result<(), E>>,
    E: Display,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = goaway.cancelled() => {
            graceful(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = ended {
        // A peer that speaks something else, or has gone: its affair, not ours.
        debug!(%peer, %error, "a connection ended badly");
    }
}

fn no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection stays without TCP_NODELAY");
    }
}

/// Whether the error is of one connection that came and went, and not of accepting.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_begins_anew_with_every_call() {
        let calls = TaskTracker::new();
        let started = Instant::now();
        calls.spawn(sleep(Duration::from_secs(3)));
        no_call_for(SILENCE, &calls).await;
        assert_eq!(started.elapsed().as_secs(), 3 + SILENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_closes_is_cut_after_the_silence() {
        let mut connections = Connections::default();
        connections.tasks.spawn(std::future::pending());
        let started = Instant::now();
        connections.drain(Duration::from_secs(20)).await;
        assert!(started.elapsed() < SILENCE + Duration::from_secs(1), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_in_flight_has_the_whole_drain() {
        let mut connections = Connections::default();
        connections.tasks.spawn(std::future::pending());
        connections.calls.spawn(sleep(Duration::from_secs(19)));
        let started = Instant::now();
        connections.drain(Duration::from_secs(20)).await;
        assert!(started.elapsed() >= Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
