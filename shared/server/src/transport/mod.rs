//! Accepts connections and owns them, so that ending them is bounded in time.

mod answer;
mod body;
mod goaway;
mod keep_alive;
mod run;
mod serve;

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, warn};

pub(crate) use self::{
    body::RequestBody,
    goaway::GoawayDebugData,
    run::{Age, Endable, Ends, run},
    serve::{Serving, protocol},
};
use crate::{
    connection::{ConnectionLimiter, Peer, Refused},
    measure::ServerMeasures,
};

/// Pause after a failed accept. Usually the process has no free file descriptors, and an immediate
/// retry would only use the processor.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Maximum wait for a peer without calls in flight to acknowledge a GOAWAY. A suspended peer never
/// does, and must not delay a drain.
const SILENCE: Duration = Duration::from_secs(5);

/// Time for cancelled calls to end, and for tasks to notice that their connection was cut.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Interval of log lines about refused connections.
const REFUSED_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Connections of one listener.
#[derive(Debug)]
pub(crate) struct Connections {
    tasks: JoinSet<()>,
    limiter: ConnectionLimiter,
    /// Tasks of single calls.
    pub(crate) calls: TaskTracker,
    /// Makes every connection finish its calls and accept no more.
    pub(crate) goaway: CancellationToken,
    /// Ends every call.
    pub(crate) cut: CancellationToken,
    log: Log,
    measures: Option<Arc<ServerMeasures>>,
}

impl Connections {
    /// Creates an empty set. Without `measures`, refusals are not counted.
    pub(crate) fn new(limiter: ConnectionLimiter, measures: Option<Arc<ServerMeasures>>) -> Self {
        Self {
            tasks: JoinSet::new(),
            limiter,
            calls: TaskTracker::new(),
            goaway: CancellationToken::new(),
            cut: CancellationToken::new(),
            log: Log::default(),
            measures,
        }
    }

    /// Accepts connections until `stop`, then closes the listener. Each connection runs the future
    /// of `serve` in its own task. At a limit, this or another connection is closed instead: see
    /// [`ConnectionLimiter`].
    pub(crate) async fn accept<F, C>(
        &mut self,
        listener: TcpListener,
        stop: CancellationToken,
        mut serve: F,
    ) where
        F: FnMut(TcpStream, SocketAddr, Peer) -> C,
        C: Future<Output = ()> + Send + 'static,
    {
        let mut stopped = pin!(stop.cancelled());
        loop {
            tokio::select! {
                () = &mut stopped => return,
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        error!(%error, "connection task failed");
                    }
                }
                // While too many connections are closing, new ones wait in the system's queue. A
                // task that ends resumes accepting.
                accepted = listener.accept(), if !self.limiter.is_clearing() => match accepted {
                    Ok((stream, peer)) => match self.limiter.admit(peer.ip()) {
                        Ok(permit) => {
                            if permit.evicted {
                                self.log.evicted(peer);
                            }
                            no_delay(&stream);
                            let served = serve(stream, peer, permit.peer.clone());
                            self.tasks.spawn(async move {
                                served.await;
                                drop(permit);
                            });
                        }
                        Err(full) => {
                            drop(stream);
                            self.log.refused(full, peer);
                            if let Some(measures) = &self.measures {
                                measures.refused(full);
                            }
                        }
                    },
                    Err(error) if is_of_connection(&error) => {
                        debug!(%error, "connection closed before it was accepted");
                    }
                    Err(error) => {
                        warn!(%error, "cannot accept connections");
                        sleep(ACCEPT_BACKOFF).await;
                    }
                },
            }
        }
    }

    /// Lets every connection finish within `drain_timeout`. Then ends the remaining calls and cuts
    /// the connections that stay open.
    pub(crate) async fn drain(mut self, drain_timeout: Duration) {
        self.goaway.cancel();
        self.calls.close();
        tokio::select! {
            () = finished(&mut self.tasks, &self.calls) => return,
            () = no_call_for(SILENCE, &self.calls) => {
                debug!(connections = self.tasks.len(), "cutting connections that did not close after a GOAWAY");
            }
            () = sleep(drain_timeout) => {
                warn!(
                    connections = self.tasks.len(),
                    calls = self.calls.len(),
                    "drain timeout expired, remaining calls are ended"
                );
                self.cut.cancel();
                if timeout(CUT_GRACE, finished(&mut self.tasks, &self.calls)).await.is_ok() {
                    return;
                }
            }
        }
        self.tasks.shutdown().await;
        if timeout(CUT_GRACE, self.calls.wait()).await.is_err() {
            warn!(calls = self.calls.len(), "calls still run after the drain");
        }
    }
}

/// Waits until all connections and their calls have ended.
async fn finished(tasks: &mut JoinSet<()>, calls: &TaskTracker) {
    while tasks.join_next().await.is_some() {}
    calls.wait().await;
}

/// Log of refused connections.
#[derive(Debug, Default)]
struct Log {
    refused: u64,
    evicted: u64,
    last_line: Option<Instant>,
}

impl Log {
    fn refused(&mut self, why: Refused, peer: SocketAddr) {
        self.refused += 1;
        if self.is_due() {
            let (reason, refused_total) = (why.as_str(), self.refused);
            warn!(%peer, reason, refused_total, "too many connections: more are closed at once");
        }
    }

    fn evicted(&mut self, newcomer: SocketAddr) {
        self.evicted += 1;
        if self.is_due() {
            let evicted_total = self.evicted;
            warn!(%newcomer, evicted_total, "too many connections: others are closed for new ones");
        }
    }

    fn is_due(&mut self) -> bool {
        let due = self.last_line.is_none_or(|at| at.elapsed() >= REFUSED_LOG_INTERVAL);
        if due {
            self.last_line = Some(Instant::now());
        }
        due
    }
}

/// Waits until there was no call for the duration of `silence`.
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

fn no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
}

/// Returns true if the error concerns one connection and not the listener.
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
    use crate::{client::Proxies, connection::Limits, settings::LimitSettings};

    fn connections() -> Connections {
        let limits = Limits { max: 10, reserved: 0, per_source: 10, per_site: 10 };
        let nobody = Arc::new(Proxies::new(&LimitSettings::default()));
        Connections::new(ConnectionLimiter::new(limits, nobody), None)
    }

    #[tokio::test(start_paused = true)]
    async fn every_call_restarts_the_silence() {
        let calls = TaskTracker::new();
        let started = Instant::now();
        calls.spawn(sleep(Duration::from_secs(3)));
        no_call_for(SILENCE, &calls).await;
        assert_eq!(started.elapsed().as_secs(), 3 + SILENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_closes_is_cut_after_the_silence() {
        let mut connections = connections();
        connections.tasks.spawn(std::future::pending());
        let started = Instant::now();
        connections.drain(Duration::from_secs(20)).await;
        assert!(started.elapsed() < SILENCE + Duration::from_secs(1), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_in_flight_has_the_whole_drain() {
        let mut connections = connections();
        connections.tasks.spawn(std::future::pending());
        connections.calls.spawn(sleep(Duration::from_secs(19)));
        let started = Instant::now();
        connections.drain(Duration::from_secs(20)).await;
        assert!(started.elapsed() >= Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
