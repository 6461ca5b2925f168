//! Generated clients, servers and tables.

use std::{pin::Pin, time::Duration};

use gantry_contract::{
    Access, GantryReason, HedgingPolicy, Idempotency, MethodKind, MethodPolicy, RateClass, Reason,
    Repeats, RetryPolicy,
};
use gantry_contract_conformance::{
    CONTRACT,
    conformance::v1::{
        PutRequest, Word, WordReason,
        words_client::WordsClient,
        words_server::{Words, WordsServer},
    },
};
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt;

/// A server whose responses are longer than a request may be.
struct Shouting;

type WordStream = Pin<Box<dyn Stream<Item = Result<Word, Status>> + Send>>;

fn shout(word: &Word) -> Word {
    Word { text: format!("{}!!!!!", word.text) }
}

#[tonic::async_trait]
impl Words for Shouting {
    type RepeatStream = WordStream;
    type ChatStream = WordStream;

    async fn echo(&self, request: Request<Word>) -> Result<Response<Word>, Status> {
        Ok(Response::new(shout(request.get_ref())))
    }

    async fn collect(&self, request: Request<Streaming<Word>>) -> Result<Response<Word>, Status> {
        let mut words = request.into_inner();
        let mut text = String::new();
        while let Some(word) = words.message().await? {
            text += &word.text;
        }
        Ok(Response::new(Word { text }))
    }

    async fn repeat(&self, request: Request<Word>) -> Result<Response<WordStream>, Status> {
        let word = shout(request.get_ref());
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(word.clone()), Ok(word)]))))
    }

    async fn chat(
        &self,
        request: Request<Streaming<Word>>,
    ) -> Result<Response<WordStream>, Status> {
        let words = request.into_inner().map(|word| word.map(|word| shout(&word)));
        Ok(Response::new(Box::pin(words)))
    }

    async fn clear(&self, _: Request<()>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }

    async fn find(&self, request: Request<Word>) -> Result<Response<Word>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<Word>, Status> {
        Ok(Response::new(request.into_inner().word.unwrap_or_default()))
    }
}

/// Creates a client that calls the server without a connection.
fn client() -> WordsClient<WordsServer<Shouting>> {
    WordsClient::new(WordsServer::new(Shouting))
}

fn word(text: &str) -> Word {
    Word { text: text.to_owned() }
}

/// Returns the fields in the violations of a status.
fn fields(status: &Status) -> Vec<String> {
    let bad_request = status.get_details_bad_request();
    let violations = bad_request.into_iter().flat_map(|details| details.field_violations);
    violations.map(|violation| violation.field).collect()
}

fn policy(method: &str) -> &'static MethodPolicy {
    let path = format!("/conformance.v1.Words/{method}");
    CONTRACT.methods().find(|policy| policy.path == path).unwrap_or_else(|| unreachable!())
}

#[tokio::test]
async fn only_requests_are_validated() {
    let answer = client().echo(word("hello")).await.unwrap();
    assert_eq!(answer.get_ref().text, "hello!!!!!");

    let status = client().echo(word("hello!")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "text must have at most 5 characters");
    assert_eq!(fields(&status), ["text"]);
    assert!(GantryReason::ValidationFailed.is_given_by(&status));
}

#[tokio::test]
async fn all_violations_of_a_request_are_reported() {
    let request = PutRequest { word: Some(word("too long")), ..PutRequest::default() };
    let status = client().put(request).await.unwrap_err();
    assert_eq!(fields(&status), ["word.text", "request_id"]);
}

#[tokio::test]
async fn every_message_of_a_stream_is_validated() {
    let good = client().collect(tokio_stream::iter([word("a"), word("b")])).await.unwrap();
    assert_eq!(good.get_ref().text, "ab");
    let status =
        client().collect(tokio_stream::iter([word("a"), word("too long")])).await.unwrap_err();
    assert!(GantryReason::ValidationFailed.is_given_by(&status), "{status:?}");

    let status = client().repeat(word("too long")).await.unwrap_err();
    assert!(GantryReason::ValidationFailed.is_given_by(&status), "{status:?}");

    let mut chat = client()
        .chat(tokio_stream::iter([word("a"), word("too long"), word("b")]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(chat.message().await.unwrap().unwrap().text, "a!!!!!");
    let status = chat.message().await.unwrap_err();
    assert!(GantryReason::ValidationFailed.is_given_by(&status), "{status:?}");
}

#[tokio::test]
async fn an_empty_request_has_nothing_to_check() {
    assert!(client().clear(()).await.is_ok());
}

/// A gRPC message of four bytes that are not protobuf.
const MALFORMED: &[u8] = &[0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff];

fn malformed() -> tonic::body::Body {
    tonic::body::Body::new(http_body_util::Full::from(MALFORMED))
}

#[tokio::test]
async fn a_malformed_request_is_an_invalid_argument() {
    use tower::ServiceExt as _;

    let request = http::Request::post("/conformance.v1.Words/Echo").body(malformed()).unwrap();
    let response = WordsServer::new(Shouting).oneshot(request).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(GantryReason::MalformedMessage.is_given_by(&status), "{status:?}");
}

#[tokio::test]
async fn a_malformed_response_is_an_internal_error() {
    let server = tower::service_fn(|_: http::Request<tonic::body::Body>| async {
        let response = http::Response::builder().header("content-type", "application/grpc");
        response.body(malformed())
    });
    let status = WordsClient::new(server).echo(word("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(GantryReason::MalformedMessage.is_given_by(&status), "{status:?}");
}

#[test]
fn the_tables_have_the_declared_policy() {
    let echo = policy("Echo");
    assert_eq!(echo.timeout, Duration::from_millis(1500));
    assert_eq!(echo.access, Access::Permission("words:read"));
    assert_eq!(echo.idempotency, Idempotency::NoSideEffects);
    assert_eq!(
        echo.repeats,
        Repeats::Retry(RetryPolicy {
            max_attempts: 5,
            initial_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_secs(1),
            backoff_multiplier: 1.5,
        })
    );
    let hedging = HedgingPolicy { max_attempts: 3, delay: Duration::from_millis(20) };
    assert_eq!(policy("Find").repeats, Repeats::Hedging(hedging));
    assert_eq!(policy("Repeat").access, Access::Public);
    assert_eq!(policy("Collect").idempotency, Idempotency::NotIdempotent);
    assert_eq!(policy("Put").idempotency, Idempotency::Idempotent);
}

#[test]
fn only_repeatable_methods_are_retried_by_default() {
    let default = Repeats::Retry(RetryPolicy::DEFAULT);
    let repeats = ["Repeat", "Clear", "Put", "Collect", "Chat"].map(|name| policy(name).repeats);
    assert_eq!(repeats, [default, default, Repeats::Never, Repeats::Never, Repeats::Never]);
}

#[test]
fn a_method_has_its_kind_of_streaming() {
    let kinds = ["Echo", "Collect", "Repeat", "Chat"].map(|method| policy(method).kind);
    assert_eq!(
        kinds,
        [
            MethodKind::Unary,
            MethodKind::ClientStreaming,
            MethodKind::ServerStreaming,
            MethodKind::Bidirectional
        ]
    );
}

#[test]
fn a_method_has_the_rate_class_that_it_names() {
    let writing = RateClass { name: "writing", per_second: 0.5, burst: 3 };
    assert_eq!(policy("Put").rate_class, Some(&writing));
    assert_eq!(policy("Echo").rate_class, None);
    assert_eq!(CONTRACT.rate_classes, [writing]);
}

#[test]
fn roles_and_permissions_are_as_declared() {
    assert_eq!(CONTRACT.permissions, ["words:read", "words:write"]);
    let reader = CONTRACT.role("reader").unwrap();
    assert_eq!((reader.permissions, reader.own), (&["words:read"][..], &["words:write"][..]));
}

#[test]
fn a_reason_is_sent_without_its_enums_name() {
    assert_eq!(WordReason::Taken.reason(), "TAKEN");
    assert_eq!(WordReason::Taken.domain(), "words");
}

#[test]
fn debug_hides_a_secret_field() {
    let put = PutRequest { secret: "hush".to_owned(), ..PutRequest::default() };
    assert_eq!(
        format!("{put:?}"),
        "PutRequest { word: None, secret: [redacted], request_id: \"\" }"
    );
}
