//! A foreign server: stock grpcio, in Python.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use gantry_client::ClientSettings;
use gantry_contract::GantryReason;
use gantry_discovery::{Instance, Registration};
use http::uri::PathAndQuery;
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, client::Grpc};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use crate::{
    caller::{
        ADD, CHAT, FIND, GET, LIST, PUT, Setup, assert_failed, call, idle, patient, send, warm,
        within,
    },
    load::Load,
};

/// Running server. Dropping it kills it.
struct Foreign {
    address: SocketAddr,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Foreign {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let python = std::env::var_os("FOREIGN_PYTHON").expect(
            "FOREIGN_PYTHON names a Python with services/gantry/tests/foreign/requirements.txt \
             installed; `./test setup` makes one at target/venv/bin/python",
        );
        let mut child = Command::new(python)
            .arg("-B")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/server.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { address: ([127, 0, 0, 1], 0).into(), child, input, output };
        let port = server.line().parse().unwrap();
        server.address.set_port(port);
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends GOAWAY, and ends with the last call.
    async fn drain(mut self) {
        let drained = spawn_blocking(move || {
            self.input.write_all(b"drain\n").unwrap();
            self.line()
        });
        assert_eq!(drained.await.unwrap(), "drained");
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Registered without the name of its implementation.
async fn register(setup: &Setup, server: &Foreign) -> Registration {
    let mut instance = Instance::new("echo", server.address);
    instance.meta.clear();
    setup.registry.registrar.register(instance).await.unwrap()
}

async fn started() -> (Setup, Foreign, Registration) {
    let (setup, server) = (Setup::new(), Foreign::start());
    let registration = register(&setup, &server).await;
    warm(&setup.channel, 1).await;
    (setup, server, registration)
}

#[tokio::test]
async fn unary_calls_work_with_a_foreign_server() {
    let (setup, server, _registration) = started().await;
    assert_eq!(call(&setup.channel, ADD).await.unwrap(), "hello, deadline");
    assert_eq!(call(&setup.channel, FIND).await.unwrap(), "attempt after 1");
    let status = call(&setup.channel, GET).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not now: äöü"));
    let info = status.get_details_error_info().unwrap();
    assert_eq!((&*info.reason, &*info.domain), ("NOT_NOW", "foreign"));
    let endpoint = status.metadata().get("gantry-endpoint").unwrap();
    assert_eq!(endpoint.to_str().unwrap(), server.address.to_string());
    idle(&setup.channel).await;
}

#[tokio::test]
async fn messages_are_compressed_both_ways_with_a_foreign_server() {
    let settings = patient().compression(true);
    let (setup, server) = (Setup::with(settings), Foreign::start_with(&["gzip"]));
    let _registration = register(&setup, &server).await;
    warm(&setup.channel, 1).await;
    for length in [0, 10, 100_000] {
        let text = "a".repeat(length);
        let answer = send(&setup.channel, ADD, Request::new(text.clone())).await.unwrap();
        assert_eq!(answer.into_inner(), format!("{text}, deadline"));
    }
    let texts = ["b".repeat(50_000), String::new(), "c".repeat(50_000)];
    let request = Request::new(tokio_stream::iter(texts.clone()));
    let codec = ProstCodec::<String, String>::default();
    let mut answers = Grpc::new(setup.channel.clone())
        .streaming(request, PathAndQuery::from_static(CHAT), codec)
        .await
        .unwrap()
        .into_inner();
    for text in texts {
        assert_eq!(answers.message().await.unwrap(), Some(text));
    }
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_deadline_reaches_a_foreign_server_and_holds() {
    let (setup, mut server, _registration) = started().await;
    // Python is slow at the first call, and the handler must get this one.
    call(&setup.channel, ADD).await.unwrap();
    let mut request = Request::new("hello".to_owned());
    request.set_timeout(Duration::from_secs(2));
    let status = send(&setup.channel, PUT, request).await.unwrap_err();
    let says = [&*server.address.to_string()];
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &says);
    assert_eq!(spawn_blocking(move || server.line()).await.unwrap(), "cancelled");
    idle(&setup.channel).await;
}

#[tokio::test]
async fn streams_with_a_foreign_server_work_and_fail_well() {
    let (setup, _server, _registration) = started().await;
    let codec = ProstCodec::<String, String>::default();
    let request = Request::new("number".to_owned());
    let mut answers = Grpc::new(setup.channel.clone())
        .server_streaming(request, PathAndQuery::from_static(LIST), codec)
        .await
        .unwrap()
        .into_inner();
    for number in 0..5 {
        assert_eq!(answers.message().await.unwrap().unwrap(), format!("number {number}"));
    }
    assert_eq!(answers.message().await.unwrap(), None);

    let (sender, receiver) = mpsc::unbounded_channel();
    let request = Request::new(UnboundedReceiverStream::new(receiver));
    let codec = ProstCodec::<String, String>::default();
    sender.send("first".to_owned()).unwrap();
    let mut answers = Grpc::new(setup.channel.clone())
        .streaming(request, PathAndQuery::from_static(CHAT), codec)
        .await
        .unwrap()
        .into_inner();
    for text in ["first", "second", "third"] {
        sender.send(text.to_owned()).unwrap();
        answers.message().await.unwrap().unwrap();
    }
    sender.send("fail".to_owned()).unwrap();
    let failed = loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!((failed.code(), failed.message()), (Code::DataLoss, "lost in the middle"));
    idle(&setup.channel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_server_that_shuts_down_under_calls_loses_none() {
    let setup = Setup::with(patient());
    let leaving = Foreign::start();
    let staying = Foreign::start();
    let registration = register(&setup, &leaving).await;
    let _staying = register(&setup, &staying).await;
    warm(&setup.channel, 2).await;
    let load = Load::start(&setup, 8);
    load.pass(100).await;
    // In this order, since grpcio itself answers a call between its decision to stop and its GOAWAY
    // with CANCELLED.
    registration.deregister().await;
    within("removal from the list", || {
        let endpoints = setup.channel.snapshot().endpoints;
        (endpoints.iter().filter(|e| e.listed).count() == 1).then_some(()).ok_or(endpoints)
    })
    .await;
    leaving.drain().await;
    load.pass(100).await;
    let (good, failed) = load.stop().await;
    assert!(failed.is_empty(), "{} of {good}: {:?}", failed.len(), failed.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_foreign_server_is_a_named_unknown_outcome() {
    let (setup, server, _registration) = started().await;
    let address = server.address.to_string();
    let channel = setup.channel.clone();
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send("hello".to_owned()).unwrap();
    let request = Request::new(UnboundedReceiverStream::new(receiver));
    let codec = ProstCodec::<String, String>::default();
    let mut answers = Grpc::new(channel)
        .streaming(request, PathAndQuery::from_static(CHAT), codec)
        .await
        .unwrap()
        .into_inner();
    answers.message().await.unwrap().unwrap();
    drop(server);
    let status = answers.message().await.unwrap_err();
    assert_failed(&status, Code::Unavailable, GantryReason::OutcomeUnknown, &[&address]);
}

#[tokio::test]
async fn an_idle_foreign_server_is_not_pinged() {
    // It answers the third ping without a call by GOAWAY, too_many_pings.
    let settings = ClientSettings::default().keep_alive_interval(Duration::from_millis(100));
    let (setup, server) = (Setup::with(settings), Foreign::start());
    let _registration = register(&setup, &server).await;
    warm(&setup.channel, 1).await;
    call(&setup.channel, ADD).await.unwrap();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(setup.channel.snapshot().endpoints[0].connections, 1);
    }
}

#[tokio::test]
async fn a_silent_call_to_a_foreign_server_is_not_ended_by_pings() {
    // The third ping within 5 min is too many for it.
    let settings = patient().keep_alive_interval(Duration::from_millis(50));
    let (setup, server) = (Setup::with(settings), Foreign::start());
    let _registration = register(&setup, &server).await;
    warm(&setup.channel, 1).await;
    let (sender, receiver) = mpsc::unbounded_channel();
    let request = Request::new(UnboundedReceiverStream::new(receiver));
    let codec = ProstCodec::<String, String>::default();
    sender.send("first".to_owned()).unwrap();
    let mut answers = Grpc::new(setup.channel.clone())
        .streaming(request, PathAndQuery::from_static(CHAT), codec)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), "first");
    // Forty intervals.
    tokio::time::sleep(Duration::from_secs(2)).await;
    sender.send("second".to_owned()).unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap(), "second");
}
