//! Hedged calls.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gantry_client::{
    AttemptEnded, CallEnded, ClientSettings, EjectionSettings, HedgingSettings, MethodSettings,
    Metrics, RetrySettings, circuit_breaker::State,
};
use gantry_contract::GantryReason;
use gantry_discovery::Registration;
use http::{Response, uri::PathAndQuery};
use tokio::time::timeout;
use tonic::{Code, Request, Status, body::Body, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    caller::{FOLLOW, GUARD, SEEK, Setup, assert_failed, builder, call, idle, send, warm, within},
    raw,
    server::{Hit, Server, reply, trailers_only},
};

type Fields = &'static [(&'static str, &'static str)];

const UNAVAILABLE: Fields = &[("grpc-status", "14"), ("grpc-message", "not now")];

/// Behaviour of a server in a call.
#[derive(Clone, Copy)]
enum Act {
    /// Never answers.
    Hang,
    /// Succeeds after this many milliseconds.
    Well(u64),
    /// Fails after this many milliseconds.
    Fail(u64, Fields),
}

/// Behaviours of several servers, in the order of the calls; the last one repeats.
struct Script {
    acts: Vec<Act>,
    seen: Mutex<Vec<Seen>>,
    /// Calls in flight at the servers.
    under_way: AtomicUsize,
}

struct Seen {
    address: SocketAddr,
    previous: Option<String>,
}

/// Call in flight, until this is dropped.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Script {
    async fn play(self: Arc<Self>, hit: Hit) -> Response<Body> {
        let act = {
            let mut seen = self.seen.lock().unwrap();
            let previous = hit.header("grpc-previous-rpc-attempts");
            seen.push(Seen { address: hit.address, previous });
            self.acts[(seen.len() - 1).min(self.acts.len() - 1)]
        };
        let _under_way = UnderWay::new(&self.under_way);
        let millis = |millis| tokio::time::sleep(Duration::from_millis(millis));
        match act {
            Act::Hang => std::future::pending().await,
            Act::Well(after) => {
                millis(after).await;
                reply(&hit.address.to_string())
            }
            Act::Fail(after, fields) => {
                millis(after).await;
                trailers_only(fields)
            }
        }
    }
}

/// Servers that follow a script, and a channel to them.
struct Play {
    script: Arc<Script>,
    setup: Setup,
    _servers: Vec<(Server, Registration)>,
}

impl Play {
    async fn new(servers: usize, acts: &[Act]) -> Self {
        Self::with(ClientSettings::default(), servers, acts).await
    }

    async fn with(settings: ClientSettings, servers: usize, acts: &[Act]) -> Self {
        Self::through(Setup::with(settings), servers, acts).await
    }

    async fn through(setup: Setup, servers: usize, acts: &[Act]) -> Self {
        let (seen, under_way) = (Mutex::default(), AtomicUsize::new(0));
        let script = Arc::new(Script { acts: acts.to_vec(), seen, under_way });
        let mut running = Vec::new();
        for _ in 0..servers {
            let script = Arc::clone(&script);
            let server = Server::answering(move |hit| Arc::clone(&script).play(hit)).await;
            let registration = setup.register(server.address).await;
            running.push((server, registration));
        }
        warm(&setup.channel, servers).await;
        Self { script, setup, _servers: running }
    }

    async fn seek(&self) -> Result<String, Status> {
        call(&self.setup.channel, SEEK).await
    }

    /// Calls with this timeout.
    async fn seek_within(&self, time: Duration) -> Result<String, Status> {
        let mut request = Request::new("hello".to_owned());
        request.set_timeout(time);
        send(&self.setup.channel, SEEK, request).await.map(tonic::Response::into_inner)
    }

    /// Returns the endpoints of the calls, in order.
    fn went_to(&self) -> Vec<SocketAddr> {
        self.script.seen.lock().unwrap().iter().map(|seen| seen.address).collect()
    }

    /// Waits until this many calls have arrived, and long enough for a further one.
    async fn went(&self, calls: usize) {
        within("attempts", || {
            let hits = self.went_to().len();
            (hits >= calls).then_some(()).ok_or(hits)
        })
        .await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }

    /// Waits until all calls in flight are cancelled, at the servers and in the channel.
    async fn all_are_cancelled(&self) {
        within("cancellation", || {
            let under_way = self.script.under_way.load(Ordering::SeqCst);
            (under_way == 0).then_some(()).ok_or(under_way)
        })
        .await;
        idle(&self.setup.channel).await;
    }
}

/// In milliseconds.
const HALF_AN_HOUR: u64 = 1_800_000;

/// Returns settings for this many attempts with this delay between them. A call may take an hour.
fn apart(attempts: u32, millis: u64) -> ClientSettings {
    let delay = Duration::from_millis(millis);
    let hedging = HedgingSettings::default().max_attempts(attempts).delay(delay);
    let method = MethodSettings::default().timeout(Duration::from_secs(3_600)).hedging(hedging);
    let methods = [("test.Echo/Seek".to_owned(), method)].into();
    ClientSettings::default().methods(methods)
}

#[tokio::test]
async fn a_slow_replica_is_overtaken_and_cancelled() {
    let play = Play::with(apart(2, 50), 2, &[Act::Hang, Act::Well(0)]).await;
    let started = Instant::now();
    let answer = play.seek().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(50));
    let went_to = play.went_to();
    assert_eq!(went_to.len(), 2);
    assert_ne!(went_to[0], went_to[1], "the hedge goes elsewhere");
    assert_eq!(answer, went_to[1].to_string());
    let previous: Vec<_> =
        play.script.seen.lock().unwrap().iter().map(|seen| seen.previous.clone()).collect();
    assert_eq!(previous, [None, Some("1".to_owned())]);
    play.all_are_cancelled().await;
}

#[tokio::test]
async fn the_first_attempt_wins_if_it_answers_before_its_hedge() {
    let play = Play::with(apart(2, 200), 2, &[Act::Well(300), Act::Hang]).await;
    let answer = play.seek().await.unwrap();
    assert_eq!(answer, play.went_to()[0].to_string());
    play.all_are_cancelled().await;
}

#[tokio::test]
async fn a_call_that_is_answered_in_time_is_sent_once() {
    let play = Play::with(apart(3, HALF_AN_HOUR), 2, &[Act::Well(0)]).await;
    for _ in 0..20 {
        play.seek().await.unwrap();
    }
    assert_eq!(play.went_to().len(), 20);
}

#[tokio::test]
async fn hedges_end_with_their_number_and_at_the_deadline() {
    let play = Play::new(3, &[Act::Hang]).await;
    let started = Instant::now();
    let status = play.seek_within(Duration::from_secs(1)).await.unwrap_err();
    assert!(started.elapsed() >= Duration::from_secs(1));
    let mut went_to = play.went_to();
    let names: Vec<_> = went_to.iter().map(|address| format!("{address}: no answer")).collect();
    let says: Vec<_> = names.iter().map(String::as_str).collect();
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &says);
    went_to.sort();
    went_to.dedup();
    assert_eq!(went_to.len(), 3, "each of three attempts goes somewhere else");
    play.all_are_cancelled().await;
    assert_eq!(play.went_to().len(), 3);
}

#[tokio::test]
async fn a_hedge_goes_to_the_only_endpoint() {
    let play = Play::with(apart(2, 50), 1, &[Act::Hang, Act::Well(0)]).await;
    play.seek().await.unwrap();
    assert_eq!(play.went_to().len(), 2);
    play.all_are_cancelled().await;
}

#[tokio::test]
async fn a_failure_hastens_a_hedge_and_a_pushback_delays_it() {
    let acts = [Act::Fail(0, UNAVAILABLE), Act::Well(0)];
    let play = Play::with(apart(2, HALF_AN_HOUR), 2, &acts).await;
    timeout(GUARD, play.seek()).await.expect("it waits for the delay").unwrap();
    let went_to = play.went_to();
    assert!(went_to.len() == 2 && went_to[0] != went_to[1], "{went_to:?}");

    let pushed_back: Fields = &[("grpc-status", "8"), ("grpc-retry-pushback-ms", "300")];
    let play = Play::with(apart(2, 50), 2, &[Act::Fail(0, pushed_back), Act::Well(0)]).await;
    let started = Instant::now();
    play.seek().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(play.went_to().len(), 2);
}

#[tokio::test]
async fn a_negative_pushback_stops_hedges_not_open_attempts() {
    let stop: Fields = &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "-1")];
    let acts = [Act::Fail(600, stop), Act::Well(1_000), Act::Well(0)];
    let play = Play::with(apart(3, 500), 3, &acts).await;
    let answer = play.seek().await.unwrap();
    let went_to = play.went_to();
    assert_eq!(went_to.len(), 2, "the third was due while the second was under way");
    assert_eq!(answer, went_to[1].to_string());

    let play = Play::new(3, &[Act::Fail(0, stop)]).await;
    assert_eq!(play.seek().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(play.went_to().len(), 1);
}

#[tokio::test]
async fn a_final_failure_ends_a_hedged_call() {
    let missing: Fields = &[("grpc-status", "5"), ("grpc-message", "no such thing")];
    let play = Play::new(2, &[Act::Hang, Act::Fail(0, missing)]).await;
    let status = play.seek().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such thing"));
    play.all_are_cancelled().await;
}

#[tokio::test]
async fn a_status_after_failures_keeps_its_message_and_names_all() {
    let play = Play::new(3, &[Act::Fail(0, UNAVAILABLE)]).await;
    let status = play.seek().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "not now"));
    let went_to = play.went_to();
    assert_eq!(went_to.len(), 3);
    let said = |name| status.metadata().get(name).unwrap().to_str().unwrap();
    assert_eq!(said("gantry-attempts"), "3");
    for address in &went_to {
        assert!(said("gantry-failed-attempts").contains(&address.to_string()), "{status:?}");
    }
}

#[tokio::test]
async fn an_error_after_several_failures_names_them_all() {
    let play = Play::new(2, &[Act::Hang]).await;
    let channel = play.setup.channel.clone();
    let seeking = tokio::spawn(async move { call(&channel, SEEK).await });
    play.went(3).await;
    let went_to = play.went_to();
    // All connections die at once, and all attempts are made.
    let Play { _servers: servers, setup, .. } = play;
    drop(servers);
    let status = seeking.await.unwrap().unwrap_err();
    let lost: Vec<_> = went_to.iter().map(|address| format!("{address}: lost")).collect();
    let says: Vec<_> = lost.iter().map(String::as_str).collect();
    assert_failed(&status, Code::Unavailable, GantryReason::OutcomeUnknown, &says);
    idle(&setup.channel).await;
}

#[tokio::test]
async fn a_spent_budget_leaves_one_attempt() {
    let retry = RetrySettings::default().budget_tokens(2);
    let settings = ClientSettings::default().retry(retry);
    let play = Play::with(settings, 2, &[Act::Fail(0, UNAVAILABLE), Act::Hang]).await;
    play.seek().await.unwrap_err();
    assert_eq!(play.went_to().len(), 1, "half of the tokens are left, which is too few");
    let channel = play.setup.channel.clone();
    let seeking = tokio::spawn(async move { call(&channel, SEEK).await });
    play.went(2).await;
    assert_eq!(play.went_to().len(), 2, "nor is one that takes long sent again");
    seeking.abort();
}

#[tokio::test]
async fn a_request_too_long_to_be_kept_is_sent_once() {
    let play = Play::new(2, &[Act::Hang]).await;
    let channel = play.setup.channel.clone();
    let request = Request::new("x".repeat(300 * 1024));
    let seeking = tokio::spawn(async move { send(&channel, SEEK, request).await });
    play.went(1).await;
    assert_eq!(play.went_to().len(), 1);
    seeking.abort();
}

#[tokio::test]
async fn a_refused_hedge_does_not_count() {
    let refusing = raw::refusing(raw::Refusal::RefusedStream).await;
    let play = Play::new(1, &[Act::Well(0)]).await;
    let _refusing = play.setup.register(refusing.address).await;
    warm(&play.setup.channel, 2).await;
    for turn in 0.. {
        play.seek().await.unwrap();
        if refusing.streams() > 0 {
            break;
        }
        assert!(turn < 100, "the one that refuses got no call");
    }
    let seen = play.script.seen.lock().unwrap();
    assert_eq!(seen.last().unwrap().previous, None);
}

#[tokio::test]
async fn the_breaker_counts_one_call_and_probes_with_one_attempt() {
    let mut settings =
        ClientSettings::default().ejection(EjectionSettings::default().consecutive_failures(1_000));
    settings.breaker.open = Duration::from_millis(200);
    let play = Play::with(settings, 3, &[Act::Fail(0, UNAVAILABLE)]).await;
    for calls in 1..=5 {
        assert_eq!(play.setup.channel.snapshot().breaker.state, State::Closed);
        play.seek().await.unwrap_err();
        assert_eq!(play.went_to().len(), 3 * calls);
    }
    assert_eq!(play.setup.channel.snapshot().breaker.state, State::Open);
    tokio::time::sleep(Duration::from_millis(250)).await;
    play.seek().await.unwrap_err();
    assert_eq!(play.went_to().len(), 16, "a probe is a single attempt");
}

#[tokio::test]
async fn an_overtaken_endpoint_is_not_blamed() {
    let play = Play::with(apart(2, 1_000), 2, &[Act::Hang, Act::Well(0)]).await;
    play.seek().await.unwrap();
    for endpoint in play.setup.channel.snapshot().endpoints {
        assert_eq!((endpoint.consecutive_failures, endpoint.ejections), (0, 0));
    }
    // The estimate of the slow endpoint includes the wait in vain.
    let estimate = |attempt: usize| {
        let address = play.went_to()[attempt];
        let endpoints = play.setup.channel.snapshot().endpoints;
        endpoints.into_iter().find(|e| e.address == address).unwrap().estimate.unwrap()
    };
    let (slow, quick) = (estimate(0), estimate(1));
    assert!(slow > Duration::from_millis(900) && slow > quick, "{slow:?} and {quick:?}");
}

#[tokio::test]
async fn a_stream_of_answers_is_hedged_until_one_begins() {
    let play = Play::new(2, &[Act::Hang, Act::Well(0)]).await;
    let codec = ProstCodec::<String, String>::default();
    let request = Request::new("hello".to_owned());
    let mut answers = Grpc::new(play.setup.channel.clone())
        .server_streaming(request, PathAndQuery::from_static(FOLLOW), codec)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), play.went_to()[1].to_string());
    assert!(answers.message().await.unwrap().is_none());
    play.all_are_cancelled().await;
}

#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Metrics for Told {
    fn call(&self, ended: &CallEnded<'_>) {
        self.0.lock().unwrap().push(format!("call {:?} {}", ended.code, ended.attempts));
    }

    fn attempt(&self, ended: &AttemptEnded<'_>) {
        self.0.lock().unwrap().push(format!("attempt {:?}", ended.code));
    }

    fn hedge(&self, service: &str, method: &str) {
        self.0.lock().unwrap().push(format!("hedge {service}{method}"));
    }
}

#[tokio::test]
async fn every_attempt_is_reported() {
    let mut setup = Setup::new();
    let told = Arc::<Told>::default();
    setup.channel =
        builder(&setup.registry).settings(apart(2, 50)).metrics(told.clone()).build().unwrap();
    let play = Play::through(setup, 2, &[Act::Hang, Act::Well(0)]).await;
    play.seek().await.unwrap();
    assert_eq!(
        *told.0.lock().unwrap(),
        ["hedge echo/test.Echo/Seek", "attempt Some(Cancelled)", "attempt Some(Ok)", "call Ok 2"]
    );
}
