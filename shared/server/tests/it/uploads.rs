//! Fairness of the concurrency limit towards callers with incomplete requests and callers with many
//! calls.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{future::join_all, stream};
use gantry_probe::probe::v1::{
    ActRequest, ActResponse, AddRequest, RepeatRequest, probe_service_client::ProbeServiceClient,
};
use gantry_server::Settings;
use h2::client::{ResponseFuture, SendRequest};
use tokio::{
    net::TcpSocket,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Response, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    raw::{framed, request},
    world::{TEST_TIMEOUT, World, eventually, lenient, reason, with_token},
};

const ACT: &str = "/probe.v1.ProbeService/Act";
const GUARDED: &str = "/probe.v1.ProbeService/Guarded";
const ADD: &str = "/probe.v1.ProbeService/Add";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

fn nap(nap_ms: u32) -> ActRequest {
    ActRequest { nap_ms, ..ActRequest::default() }
}

async fn world(change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = lenient();
    change(&mut settings);
    World::with(|builder| builder.settings(settings)).await
}

/// Limits the server to `calls` concurrent calls, regardless of their latency.
fn at_most(calls: u32) -> impl FnOnce(&mut Settings) {
    move |settings| {
        let concurrency = &mut settings.concurrency;
        (concurrency.min, concurrency.initial, concurrency.max) = (calls, calls, calls);
    }
}

/// Opens a connection from this address of the machine.
async fn peer(address: SocketAddr, host: u8) -> SendRequest<Bytes> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Call that has begun.
struct Begun {
    answer: ResponseFuture,
    body: h2::SendStream<Bytes>,
}

/// Sends the headers of a call without a message.
async fn begin(peer: &SendRequest<Bytes>, path: &str, token: Option<&str>) -> Begun {
    let mut head = request(path, Bytes::new()).map(drop);
    if let Some(token) = token {
        head.headers_mut().insert("authorization", token.parse().unwrap());
    }
    let ready = timeout(TEST_TIMEOUT, peer.clone().ready());
    let mut sender = ready.await.expect("there is a stream").unwrap();
    let (answer, body) = sender.send_request(head, false).unwrap();
    Begun { answer, body }
}

async fn begin_all(peer: &SendRequest<Bytes>, count: usize, path: &str) -> Vec<Begun> {
    let mut begun = Vec::new();
    for _ in 0..count {
        begun.push(begin(peer, path, None).await);
    }
    begun
}

/// Returns the status that ends a call.
async fn status(answer: ResponseFuture) -> Status {
    let mut answer = timeout(TEST_TIMEOUT, answer).await.expect("it is answered").unwrap();
    if answer.headers().contains_key("grpc-status") {
        return Status::from_header_map(answer.headers()).unwrap();
    }
    while let Some(data) = timeout(TEST_TIMEOUT, answer.body_mut().data()).await.unwrap() {
        data.unwrap();
    }
    let trailers = timeout(TEST_TIMEOUT, answer.body_mut().trailers()).await.unwrap().unwrap();
    Status::from_header_map(&trailers.unwrap()).unwrap()
}

fn limit(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap();
    info.metadata.get("limit").cloned().unwrap_or_default()
}

/// Makes several calls at once, all of which must succeed.
async fn served(client: &ProbeServiceClient<Channel>, calls: usize) {
    let calls = (0..calls).map(|_| {
        let mut client = client.clone();
        async move { client.act(nap(20)).await.unwrap() }
    });
    timeout(TEST_TIMEOUT, join_all(calls)).await.expect("others are served");
}

#[tokio::test]
async fn calls_without_a_message_hold_no_permit() {
    let world = world(at_most(16)).await;
    let token = world.keys.user("admin", 0);
    let others = world.client().await;
    let peers = join_all((0..7).map(|_| peer(world.address, 2))).await;
    let mut begun = Vec::new();
    for peer in &peers {
        for _ in 0..15 {
            begun.push(begin(peer, GUARDED, Some(&token)).await);
        }
    }
    for _ in 0..10 {
        served(&others, 16).await;
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.seen.started(), 160);
    drop((begun, peers));
}

#[tokio::test]
async fn incomplete_calls_of_four_addresses_exclude_no_client() {
    let limits = Settings::default().limits;
    let world = world(|settings| {
        at_most(16)(settings);
        settings.limits = limits;
    })
    .await;
    let mut held = Vec::new();
    for host in 2..=5 {
        let peer = peer(world.address, host).await;
        held.push((begin_all(&peer, 16, ACT).await, peer));
    }
    sleep(Duration::from_millis(200)).await;
    let user = peer(world.address, 9).await;
    for _ in 0..5 {
        let Begun { answer, mut body } = begin(&user, ACT, None).await;
        body.send_data(framed(&nap(0)), true).unwrap();
        assert_eq!(status(answer).await.code(), Code::Ok);
    }
    drop(held);
}

#[tokio::test]
async fn a_slow_upload_ends_at_its_timeout_with_a_reason() {
    let world = world(|settings| settings.uploads.timeout = Duration::from_secs(1)).await;
    let peer = peer(world.address, 2).await;
    let message = framed(&ActRequest { ballast: vec![0; 1000], ..nap(0) });
    let started = Instant::now();
    // No data; a part of the message; single bytes with pauses.
    let nothing = begin(&peer, ACT, None).await;
    let mut part = begin(&peer, ACT, None).await;
    part.body.send_data(message.slice(..500), false).unwrap();
    let mut dribble = begin(&peer, ACT, None).await;
    let dribbling = tokio::spawn(async move {
        for n in 0.. {
            sleep(Duration::from_millis(50)).await;
            if dribble.body.send_data(message.slice(n..=n), false).is_err() {
                return;
            }
        }
    });
    // A stream whose first message does not arrive.
    let stream = begin(&peer, ADD, None).await;
    for answer in [nothing.answer, part.answer, dribble.answer, stream.answer] {
        let status = status(answer).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert_eq!(reason(&status), "UPLOAD_TOO_SLOW");
        assert!(status.message().contains("1s"), "{}", status.message());
    }
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    dribbling.abort();
    // The handler of the stream ran and was cancelled.
    assert_eq!((world.seen.started(), world.seen.finished()), (1, 0));
}

#[tokio::test]
async fn each_message_of_a_stream_has_a_timeout() {
    let world = world(|settings| settings.uploads.timeout = Duration::from_secs(1)).await;
    let peer = peer(world.address, 2).await;
    let whole = framed(&AddRequest { number: 1, ..AddRequest::default() });
    let mut silent = begin(&peer, ADD, None).await;
    silent.body.send_data(whole.clone(), false).unwrap();
    let mut part = begin(&peer, ADD, None).await;
    part.body.send_data([&whole[..], &whole[..3]].concat().into(), false).unwrap();
    assert_eq!(reason(&status(part.answer).await), "UPLOAD_TOO_SLOW");
    sleep(Duration::from_millis(500)).await;
    silent.body.send_data(whole, true).unwrap();
    assert_eq!(status(silent.answer).await.code(), Code::Ok);
}

#[tokio::test]
async fn an_upload_with_progress_has_more_time() {
    let world = world(|settings| {
        settings.uploads.timeout = Duration::from_secs(1);
        settings.uploads.min_bytes_per_second = 1000;
    })
    .await;
    let peer = peer(world.address, 2).await;
    let message = framed(&ActRequest { ballast: vec![0; 10_000], ..nap(0) });
    let Begun { answer, mut body } = begin(&peer, ACT, None).await;
    let mut parts = message.chunks(2000).peekable();
    while let Some(part) = parts.next() {
        sleep(Duration::from_millis(500)).await;
        body.send_data(Bytes::copy_from_slice(part), parts.peek().is_none()).unwrap();
    }
    assert_eq!(status(answer).await.code(), Code::Ok);
}

#[tokio::test]
async fn messages_of_probes_have_the_upload_timeout() {
    let world = world(|settings| settings.uploads.timeout = Duration::from_secs(1)).await;
    let peer = peer(world.address, 2).await;
    let probe = status(begin(&peer, HEALTH, None).await.answer).await;
    assert_eq!(reason(&probe), "UPLOAD_TOO_SLOW");
    // A reflection stream has begun its response, and ends with a status.
    status(begin(&peer, REFLECTION, None).await.answer).await;
}

#[tokio::test]
async fn each_caller_has_its_own_limit_of_incomplete_calls() {
    let world = world(|settings| settings.uploads.max_per_caller = 4).await;
    let token = world.keys.user("admin", 0);
    let peer = peer(world.address, 2).await;
    let mut begun = Vec::new();
    for _ in 0..10 {
        begun.push(begin(&peer, GUARDED, Some(&token)).await);
    }
    let mut refused = JoinSet::new();
    let mut bodies = Vec::new();
    for Begun { answer, body } in begun {
        refused.spawn(status(answer));
        bodies.push(body);
    }
    for _ in 0..6 {
        let status = refused.join_next().await.unwrap().unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert_eq!((&*reason(&status), &*limit(&status)), ("TOO_MANY_UPLOADS", "caller"));
        assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
    }
    // Another caller from the same address uploads slowly and completes.
    let Begun { answer, mut body } = begin(&peer, ACT, None).await;
    sleep(Duration::from_millis(300)).await;
    body.send_data(framed(&nap(0)), true).unwrap();
    assert_eq!(status(answer).await.code(), Code::Ok);
    // The first uploads complete too.
    for mut body in bodies {
        let _ = body.send_data(framed(&nap(0)), true);
    }
    while let Some(status) = refused.join_next().await {
        assert_eq!(status.unwrap().code(), Code::Ok);
    }
}

#[tokio::test]
async fn incomplete_messages_are_limited_in_bytes() {
    let world = world(|settings| {
        settings.max_message_bytes = 100_000;
        settings.uploads.max_bytes = 400_000;
    })
    .await;
    let peer = peer(world.address, 2).await;
    let message = framed(&ActRequest { ballast: vec![0; 90_000], ..nap(0) });
    let (mut answers, mut bodies) = (JoinSet::new(), Vec::new());
    for _ in 0..8 {
        let Begun { answer, mut body } = begin(&peer, ACT, None).await;
        body.send_data(message.slice(..80_000), false).unwrap();
        answers.spawn(status(answer));
        bodies.push(body);
    }
    // A caller may hold half of the bytes, enough for two messages.
    for _ in 0..5 {
        let status = answers.join_next().await.unwrap().unwrap();
        assert_eq!((&*reason(&status), &*limit(&status)), ("TOO_MANY_UPLOADS", "upload_bytes"));
    }
    for mut body in bodies {
        let _ = body.send_data(message.slice(80_000..), true);
    }
    while let Some(status) = answers.join_next().await {
        assert!([Code::Ok, Code::ResourceExhausted].contains(&status.unwrap().code()));
    }
    assert!((1..=3).contains(&world.seen.finished()), "{}", world.seen.finished());
}

#[tokio::test]
async fn a_streams_first_message_takes_a_permit() {
    let world = world(at_most(2)).await;
    let mut client = world.client().await;
    let peer = peer(world.address, 2).await;
    let waiting = begin_all(&peer, 5, ADD).await;
    eventually("their handlers run", || world.seen.started() == 5).await;
    served(&client, 2).await;
    // The limit is two concurrent calls.
    let mut busy = JoinSet::new();
    for _ in 0..2 {
        let mut client = client.clone();
        busy.spawn(async move { client.act(nap(50_000)).await });
    }
    eventually("both run", || world.seen.started() == 9).await;
    let overloaded = |status: &Status| {
        assert_eq!((status.code(), &*reason(status)), (Code::ResourceExhausted, "OVERLOADED"));
    };
    let number = AddRequest { number: 1, ..AddRequest::default() };
    overloaded(&client.add(stream::iter([number.clone()])).await.unwrap_err());
    let asked = stream::iter([RepeatRequest { number: 1, last: true }]);
    overloaded(&client.repeat(asked).await.unwrap_err());
    for Begun { answer, mut body } in waiting {
        body.send_data(framed(&number), true).unwrap();
        overloaded(&status(answer).await);
    }
    drop(busy);
    let sum = async || client.clone().add(stream::iter([number.clone()])).await;
    let started = Instant::now();
    while sum().await.is_err() {
        assert!(started.elapsed() < TEST_TIMEOUT, "a call is admitted again");
    }
}

type Running = JoinSet<Result<Response<ActResponse>, Status>>;

/// Starts a hundred calls that last until they are dropped. Waits until `run` of them run and the
/// others are refused.
async fn take_all(world: &World, token: &str, run: usize) -> Running {
    let clients = join_all((0..5).map(|_| world.client())).await;
    let mut running = JoinSet::new();
    let before = world.seen.started();
    for n in 0..100 {
        let (mut client, token) = (clients[n % clients.len()].clone(), token.to_owned());
        running.spawn(async move { client.guarded(with_token(nap(50_000), &token)).await });
    }
    for _ in run..100 {
        let ended = timeout(TEST_TIMEOUT, running.join_next()).await.expect("it is refused");
        assert_eq!(reason(&ended.unwrap().unwrap().unwrap_err()), "OVERLOADED");
    }
    eventually("the others run", || world.seen.started() == before + run).await;
    running
}

#[tokio::test]
async fn a_greedy_caller_leaves_permits_for_others() {
    let world = world(at_most(30)).await;
    let token = world.keys.user("admin", 0);
    // A single caller may use the whole limit.
    let first = take_all(&world, &token, 30).await;
    let mut client = world.client().await;
    let refused = client.guarded(with_token(nap(0), &token)).await.unwrap_err();
    assert_eq!((&*reason(&refused), &*limit(&refused)), ("OVERLOADED", "caller"));
    // Another caller gets a reserved permit.
    let second = take_all(&world, &world.keys.service(None), 1).await;
    for _ in 0..5 {
        served(&client, 1).await;
    }
    drop((first, second));
}

#[tokio::test]
async fn one_connection_is_not_shed_at_the_lowest_limit() {
    for min in [16, 64] {
        let world = world(at_most(min)).await;
        let peer = peer(world.address, 2).await;
        assert_eq!(status(whole(&peer).await).await.code(), Code::Ok);
        let granted = peer.current_max_send_streams();
        assert!(granted <= min as usize, "{granted} streams for {min} permits");
        // Calls beyond the stream limit wait at the client, and none is refused.
        let client = world.client().await;
        served(&client, 1).await;
        served(&client, 100).await;
    }
}

async fn whole(peer: &SendRequest<Bytes>) -> ResponseFuture {
    let Begun { answer, mut body } = begin(peer, ACT, None).await;
    body.send_data(framed(&nap(0)), true).unwrap();
    answer
}

#[tokio::test]
async fn a_call_that_only_waits_can_release_its_permit() {
    let world = world(at_most(2)).await;
    let client = world.client().await;
    let mut waiting = JoinSet::new();
    for _ in 0..5 {
        let mut client = client.clone();
        let wait = ActRequest { release: true, ..nap(50_000) };
        waiting.spawn(async move { client.act(wait).await });
    }
    eventually("all wait", || world.seen.started() == 5).await;
    served(&client, 2).await;
    assert_eq!(waiting.len(), 5);
}
