use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread,
};

use gantry_test_authority::Authority;
use gantry_tls::{ClientTls, ServerTls};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    trace::v1::ResourceSpans,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::OtlpSettings;

/// Request that the collector of a test received: its head in lower case, and its body.
type Received = (String, Vec<u8>);

/// Starts a collector over HTTP/1.1 that gives one answer for each connection.
fn collector(
    tls: Option<Arc<ServerConfig>>,
    answers: Vec<(&'static str, Vec<u8>)>,
) -> (SocketAddr, mpsc::Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (received, requests) = mpsc::channel();
    thread::spawn(move || {
        for (status, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            match &tls {
                None => answer(stream, status, &body, &received),
                Some(config) => {
                    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                    answer(StreamOwned::new(connection, stream), status, &body, &received);
                }
            }
        }
    });
    (address, requests)
}

fn answer(
    mut stream: impl Read + Write,
    status: &str,
    body: &[u8],
    received: &mpsc::Sender<Received>,
) {
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    let (head, mut message) = loop {
        // A client that does not trust this server ends the connection.
        let Ok(read) = stream.read(&mut bytes) else { return };
        request.extend_from_slice(&bytes[..read]);
        if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..at]).to_lowercase();
            break (head, request.split_off(at + 4));
        }
        if read == 0 {
            return;
        }
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap().parse().unwrap();
    while message.len() < length {
        let read = stream.read(&mut bytes).unwrap();
        message.extend_from_slice(&bytes[..read]);
    }
    // Before the answer, so that whoever has the answer finds the request.
    received.send((head, message)).unwrap();
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(&[answer.as_bytes(), body].concat()).unwrap();
    stream.flush().unwrap();
}

fn over_http(endpoint: String) -> OtlpSettings {
    OtlpSettings::default().protocol(Protocol::Http).endpoint(endpoint)
}

fn client(otlp: OtlpSettings) -> Collector {
    Collector::new(&Settings::default().otlp(otlp)).unwrap()
}

fn request() -> ExportTraceServiceRequest {
    let spans = ResourceSpans { schema_url: "test".to_owned(), ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![spans] }
}

#[tokio::test]
async fn a_request_has_its_path_headers_and_message() {
    let (address, requests) = collector(None, vec![("200 OK", vec![])]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    std::fs::write(&file, "x-tenant: blue\n").unwrap();
    let otlp = over_http(format!("http://{address}/base/")).headers_file(file);
    let accepted = client(otlp).export(request(), None).await.unwrap();
    assert_eq!(accepted, Accepted::default());
    let (head, message) = requests.recv().unwrap();
    assert!(head.starts_with("post /base/v1/traces "), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-protobuf"), "{head}");
    assert!(head.contains("\r\nx-tenant: blue"), "{head}");
    assert_eq!(ExportTraceServiceRequest::decode(&*message).unwrap(), request());
}

#[tokio::test]
async fn traces_may_have_a_collector_of_their_own() {
    let (address, requests) = collector(None, vec![("200 OK", vec![])]);
    let mut settings = Settings::default().otlp(over_http("http://127.0.0.1:1".to_owned()));
    settings.traces.endpoint = Some(format!("http://{address}/elsewhere"));
    Collector::new(&settings).unwrap().export(request(), None).await.unwrap();
    assert!(requests.recv().unwrap().0.starts_with("post /elsewhere "));
}

#[tokio::test]
async fn a_temporary_refusal_is_repeated() {
    let answers =
        vec![("503 Service Unavailable", vec![]), ("429 Slow", vec![]), ("200 OK", vec![])];
    let (address, requests) = collector(None, answers);
    client(over_http(format!("http://{address}"))).export(request(), None).await.unwrap();
    assert_eq!(requests.iter().count(), 3);
}

#[tokio::test]
async fn a_final_refusal_is_not_repeated() {
    let answers = vec![("400 Bad Request", vec![]), ("200 OK", vec![])];
    let (address, requests) = collector(None, answers);
    let error = client(over_http(format!("http://{address}"))).export(request(), None).await;
    assert!(matches!(error, Err(ExportError::Refused(_, false))), "{error:?}");
    requests.recv().unwrap();
    assert_eq!(requests.try_recv(), Err(mpsc::TryRecvError::Empty));
}

#[tokio::test]
async fn spans_that_the_collector_rejects_are_told() {
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "odd".to_owned() };
    let response = ExportTraceServiceResponse { partial_success: Some(partial) };
    let (address, _requests) = collector(None, vec![("200 OK", response.encode_to_vec())]);
    let accepted = client(over_http(format!("http://{address}"))).export(request(), None).await;
    let expected = Accepted { rejected: 2, message: "odd".to_owned() };
    assert_eq!(accepted.unwrap(), expected);
}

#[tokio::test]
async fn a_collector_that_hangs_or_is_away_fails_at_the_timeout() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let timeout = Duration::from_millis(300);
        let to = |address: SocketAddr| {
            over_http(format!("http://{address}")).protocol(protocol).timeout(timeout)
        };
        let error = client(to(hanging.local_addr().unwrap())).export(request(), None).await;
        assert!(matches!(error, Err(ExportError::Timeout(_))), "{error:?}");
        let error = client(to(away)).export(request(), None).await;
        assert!(matches!(error, Err(ExportError::Transport(_))), "{error:?}");
    }
}

#[tokio::test]
async fn only_a_collector_of_the_named_authority_is_trusted() {
    let (ours, other) = (Authority::new(), Authority::new());
    let issued = ours.issue("collector", &["localhost"]);
    let tls = ServerTls::new(issued.cert_file, issued.key_file).load().unwrap().current();
    let (address, requests) = collector(Some(tls), vec![("200 OK", vec![]); 100]);
    let secure = |ca_file| {
        over_http(format!("https://localhost:{}", address.port()))
            .tls(ClientTls::trusting(ca_file))
            .timeout(Duration::from_millis(500))
    };
    let error = client(secure(other.ca_file())).export(request(), None).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    client(secure(ours.ca_file()).timeout(Duration::from_secs(60)))
        .export(request(), None)
        .await
        .unwrap();
    requests.recv().unwrap();
    assert_eq!(requests.try_recv(), Err(mpsc::TryRecvError::Empty));
}

#[test]
fn unusable_settings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    std::fs::write(&file, "authorization: secret").unwrap();
    let otlp = OtlpSettings::default;
    let away = "http://collector.example:4317";
    for (otlp, key) in [
        (otlp().endpoint("collector:4317"), "otlp.endpoint"),
        (otlp().endpoint("ftp://collector:4317"), "otlp.endpoint"),
        (otlp().endpoint("http://user:pw@collector:4317"), "otlp.endpoint"),
        (otlp().endpoint("https://collector:4317"), "otlp.tls.ca_file"),
        (otlp().headers_file(folder.path().join("none")), "otlp.headers_file"),
        (otlp().headers_file(&file).endpoint(away), "otlp.headers_file"),
        (otlp().tls(ClientTls::trusting(folder.path().join("none"))), "otlp.tls.ca_file"),
    ] {
        let error = Collector::new(&Settings::default().otlp(otlp)).unwrap_err();
        assert_eq!(error.key, key, "{error}");
        assert!(!error.why.contains("pw"), "{error}");
    }
    let allowed = otlp().headers_file(&file).endpoint(away).allow_plaintext(true);
    Collector::new(&Settings::default().otlp(allowed)).unwrap();
    let mut settings = Settings::default();
    settings.traces = settings.traces.endpoint("nonsense").batch(10).queue(5);
    settings.metrics = settings.metrics.endpoint("nonsense");
    let keys: Vec<_> = settings.problems().into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["traces.endpoint", "metrics.endpoint", "traces.batch"]);
}
