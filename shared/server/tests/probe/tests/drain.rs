//! Drain of a real process under load, with a health watch, open streams and unresponsive peers:
//! orderly, without loss, bounded in time, and with exit code 0.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use gantry_probe::probe::v1::{
    ActRequest, CountRequest, CountResponse, probe_service_client::ProbeServiceClient,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_types::StatusExt;

/// Guard against a hanging test. Longer than any test takes on a busy machine.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Number of answered calls before the signal.
const CALLS: usize = 3000;

/// A running probe; killed when dropped.
struct Probe {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
    address: SocketAddr,
}

impl Probe {
    /// Starts a probe with this drain timeout.
    async fn start(drain: Duration) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_probe"))
            .args(["127.0.0.1:0", &drain.as_millis().to_string()])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = line_with(&mut log, "serving").await;
        let address = value(&line, "address").parse().unwrap();
        Self { process, log, address }
    }

    async fn channel(&self) -> Channel {
        let address = format!("http://{}", self.address);
        Channel::from_shared(address).unwrap().connect().await.unwrap()
    }

    async fn client(&self) -> ProbeServiceClient<Channel> {
        ProbeServiceClient::new(self.channel().await)
    }

    async fn count(&self, to: u32, pause_ms: u32) -> Streaming<CountResponse> {
        let request = CountRequest { to, pause_ms, panic_at: 0 };
        self.client().await.count(request).await.unwrap().into_inner()
    }

    async fn watch(&self) -> Streaming<HealthCheckResponse> {
        let request = HealthCheckRequest { service: "probe.v1.ProbeService".into() };
        HealthClient::new(self.channel().await).watch(request).await.unwrap().into_inner()
    }

    async fn terminate(&self) {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    }

    /// Returns the report of the process, and its exit status.
    async fn ended(mut self) -> (Done, ExitStatus) {
        let line = line_with(&mut self.log, "counted").await;
        let done = |key| value(&line, key).parse().unwrap();
        let done =
            Done { started: done("started"), finished: done("finished"), dropped: done("dropped") };
        (done, timeout(TEST_TIMEOUT, self.process.wait()).await.unwrap().unwrap())
    }
}

/// Calls that reached the handlers.
#[derive(Debug, PartialEq)]
struct Done {
    started: usize,
    finished: usize,
    dropped: usize,
}

async fn line_with(log: &mut Lines<BufReader<ChildStderr>>, part: &str) -> String {
    let found = async {
        loop {
            let line = log.next_line().await.unwrap().expect("the log ended");
            if line.contains(part) {
                return line;
            }
        }
    };
    timeout(TEST_TIMEOUT, found).await.unwrap()
}

fn value<'a>(line: &'a str, key: &str) -> &'a str {
    let rest = line.split_once(&format!("{key}=")).unwrap_or_else(|| panic!("{line}")).1;
    rest.split_whitespace().next().unwrap()
}

/// Callers that continue until the process accepts no more calls.
struct Load {
    answered: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<Status>>,
}

impl Load {
    async fn start(probe: &Probe) -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let mut callers = Vec::new();
        for _ in 0..4 {
            let client = probe.client().await;
            callers.extend((0..8).map(|_| {
                let (mut client, answered) = (client.clone(), Arc::clone(&answered));
                tokio::spawn(async move {
                    loop {
                        match client.act(ActRequest { nap_ms: 2, ..Default::default() }).await {
                            Ok(_) => answered.fetch_add(1, Ordering::SeqCst),
                            Err(status) => return status,
                        };
                    }
                })
            }));
        }
        let load = Self { answered, callers };
        let started = Instant::now();
        while load.answered.load(Ordering::SeqCst) < CALLS {
            assert!(started.elapsed() < TEST_TIMEOUT);
            sleep(Duration::from_millis(5)).await;
        }
        load
    }

    /// Returns the number of answered calls.
    async fn answered(self) -> usize {
        for caller in self.callers {
            let last = timeout(TEST_TIMEOUT, caller).await.unwrap().unwrap();
            // The last error comes from the client, because the process has ended.
            assert!(last.get_details_error_info().is_none(), "{last:?}");
        }
        self.answered.load(Ordering::SeqCst)
    }
}

/// Opens connections that must not delay the drain: one with half of the preface, one with the
/// whole preface and nothing else, and an idle one.
async fn idlers(probe: &Probe) -> (TcpStream, TcpStream, ProbeServiceClient<Channel>) {
    let connect = || async { TcpStream::connect(probe.address).await.unwrap() };
    let (mut half, mut whole) = (connect().await, connect().await);
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    whole.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut idle = probe.client().await;
    idle.act(ActRequest::default()).await.unwrap();
    (half, whole, idle)
}

async fn next_status(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let next = timeout(TEST_TIMEOUT, watch.next()).await.unwrap();
    next.map(|answer| answer.unwrap().status())
}

/// Returns the remaining numbers of a stream, and its status.
async fn rest(mut numbers: Streaming<CountResponse>) -> (usize, Option<Status>) {
    let mut seen = 0;
    loop {
        match timeout(TEST_TIMEOUT, numbers.next()).await.unwrap() {
            Some(Ok(_)) => seen += 1,
            Some(Err(status)) => return (seen, Some(status)),
            None => return (seen, None),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_loses_no_call_and_no_stream() {
    // Longer than the guards: a drain that waits for its timeout fails the test.
    let probe = Probe::start(Duration::from_secs(600)).await;
    let (mut watch, idlers) = (probe.watch().await, idlers(&probe).await);
    assert_eq!(next_status(&mut watch).await, Some(ServingStatus::Serving));
    let load = Load::start(&probe).await;
    let numbers = probe.count(100, 10).await;

    probe.terminate().await;
    assert_eq!(next_status(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(next_status(&mut watch).await, None, "the watch ends without an error");
    let (numbers, ended) = rest(numbers).await;
    assert!(ended.is_none() && numbers == 100, "{numbers} {ended:?}");
    let (done, status) = probe.ended().await;
    assert_eq!(status.code(), Some(0));
    // The call of the idle connection and the stream count as well.
    let finished = load.answered().await + 2;
    assert_eq!(done, Done { started: finished, finished, dropped: 0 });
    drop(idlers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_ends_endless_calls_at_its_timeout() {
    let limit = Duration::from_secs(2);
    let probe = Probe::start(limit).await;
    let (mut watch, idlers) = (probe.watch().await, idlers(&probe).await);
    assert_eq!(next_status(&mut watch).await, Some(ServingStatus::Serving));
    let load = Load::start(&probe).await;
    let numbers = probe.count(0, 10).await;

    let signalled = Instant::now();
    probe.terminate().await;
    assert_eq!(next_status(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(next_status(&mut watch).await, None, "the watch ends without an error");
    let ended = rest(numbers).await.1.unwrap();
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(ended.get_details_error_info().unwrap().reason, "DRAINING");
    let (done, status) = probe.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(signalled.elapsed() >= limit, "{:?}", signalled.elapsed());
    let finished = load.answered().await + 1;
    assert_eq!(done, Done { started: finished + 1, finished, dropped: 1 });
    drop(idlers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_under_load_ends_the_process_at_once() {
    let mut probe = Probe::start(Duration::from_secs(600)).await;
    let load = Load::start(&probe).await;
    let numbers = probe.count(0, 10).await;
    probe.terminate().await;
    line_with(&mut probe.log, "draining").await;
    probe.terminate().await;
    let ended = timeout(TEST_TIMEOUT, probe.process.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(143));
    assert!(rest(numbers).await.1.is_some());
    for caller in load.callers {
        timeout(TEST_TIMEOUT, caller).await.unwrap().unwrap();
    }
}
