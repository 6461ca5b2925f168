//! The compiled greeter as a process, called by a stock client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[cfg(target_os = "linux")]
mod control_frames;
#[cfg(target_os = "linux")]
mod floods;
#[cfg(target_os = "linux")]
mod frames;
#[cfg(target_os = "linux")]
mod headers;
#[cfg(target_os = "linux")]
mod log;
#[cfg(target_os = "linux")]
mod open_files;

use std::{collections::BTreeSet, net::SocketAddr, process::Stdio, time::Duration};

use greeter::greeter::v1::{SayHelloRequest, greeter_service_client::GreeterServiceClient};
use prost::Message;
use prost_types::FileDescriptorProto;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};
use tokio_stream::StreamExt;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt;

const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A running greeter; killed when dropped.
struct Greeter {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
    address: SocketAddr,
    channel: Channel,
}

impl Greeter {
    async fn start() -> Self {
        Self::start_as(&mut Command::new(env!("CARGO_BIN_EXE_greeter"))).await
    }

    /// Starts a greeter with this soft and hard limit of open files.
    #[cfg(target_os = "linux")]
    async fn start_with_files(limit: u32) -> Self {
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$1\"");
        let greeter = env!("CARGO_BIN_EXE_greeter");
        Self::start_as(Command::new("sh").arg("-c").arg(script).arg(greeter)).await
    }

    async fn start_as(command: &mut Command) -> Self {
        let mut process =
            command.arg("127.0.0.1:0").stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = line_with(&mut log, "serving").await;
        let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
        let channel =
            Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self { process, log, address: address.parse().unwrap(), channel }
    }

    async fn terminate(&mut self) {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    }
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

#[tokio::test]
async fn it_greets_and_logs_the_trace_of_the_caller() {
    let mut greeter = Greeter::start().await;
    let mut request = tonic::Request::new(SayHelloRequest { name: "ann".into() });
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request.metadata_mut().insert("x-request-id", "greet-1".parse().unwrap());
    let answer = GreeterServiceClient::new(greeter.channel.clone()).say_hello(request).await;
    assert_eq!(answer.unwrap().into_inner().message, "hello, ann");
    let line = line_with(&mut greeter.log, "call ended").await;
    for part in ["greeter.v1.GreeterService/SayHello", "OK", trace, "greet-1"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[tokio::test]
async fn an_invalid_name_is_refused_with_its_field() {
    let greeter = Greeter::start().await;
    let mut client = GreeterServiceClient::new(greeter.channel.clone());
    for name in [String::new(), "a".repeat(65)] {
        let refused = client.say_hello(SayHelloRequest { name }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let violations = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].field, "name");
        assert_eq!(refused.get_details_error_info().unwrap().reason, "VALIDATION_FAILED");
    }
}

/// Returns the reflection response to one query.
async fn reflect(greeter: &Greeter, question: MessageRequest) -> MessageResponse {
    let query = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let answers = ServerReflectionClient::new(greeter.channel.clone())
        .server_reflection_info(tokio_stream::once(query))
        .await;
    answers.unwrap().into_inner().next().await.unwrap().unwrap().message_response.unwrap()
}

#[tokio::test]
async fn it_lists_its_services_to_every_caller() {
    let greeter = Greeter::start().await;
    let answer = reflect(&greeter, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}");
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"greeter.v1.GreeterService"), "{names:?}");
}

#[tokio::test]
async fn reflection_serves_the_whole_contract() {
    let greeter = Greeter::start().await;
    let mut questions =
        vec![MessageRequest::FileContainingSymbol("greeter.v1.GreeterService".into())];
    let mut files = BTreeSet::new();
    while let Some(question) = questions.pop() {
        let answer = reflect(&greeter, question.clone()).await;
        let MessageResponse::FileDescriptorResponse(found) = answer else {
            panic!("{question:?}: {answer:?}");
        };
        for file in found.file_descriptor_proto {
            let file = FileDescriptorProto::decode(&*file).unwrap();
            let imported = file.dependency.into_iter().filter(|name| files.insert(name.clone()));
            questions.extend(imported.map(MessageRequest::FileByFilename));
        }
    }
    assert!(files.contains("buf/validate/validate.proto"), "{files:?}");
}

#[tokio::test]
async fn a_signal_drains_it_and_ends_it_with_success() {
    let mut greeter = Greeter::start().await;
    let request = HealthCheckRequest { service: "greeter.v1.GreeterService".into() };
    let mut health =
        HealthClient::new(greeter.channel.clone()).watch(request).await.unwrap().into_inner();
    let next = |answer: tonic_health::pb::HealthCheckResponse| answer.status();
    assert_eq!(next(health.next().await.unwrap().unwrap()), ServingStatus::Serving);
    greeter.terminate().await;
    assert_eq!(next(health.next().await.unwrap().unwrap()), ServingStatus::NotServing);
    line_with(&mut greeter.log, "drained").await;
    let ended = timeout(TEST_TIMEOUT, greeter.process.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn a_second_signal_ends_it_without_waiting() {
    let mut greeter = Greeter::start().await;
    // An open stream would delay the end until the drain timeout, whose exit code is 0.
    let _open = ServerReflectionClient::new(greeter.channel.clone())
        .server_reflection_info(tokio_stream::pending())
        .await
        .unwrap();
    greeter.terminate().await;
    line_with(&mut greeter.log, "draining").await;
    greeter.terminate().await;
    let ended = timeout(TEST_TIMEOUT, greeter.process.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(143));
}
