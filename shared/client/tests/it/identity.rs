//! Identities of callers and users, and correlation of calls.

use std::sync::{Arc, Mutex};

use gantry_client::{Acting, ActingFor};
use gantry_contract::{Actor, CallContext, Caller};
use gantry_discovery::{Instance, Registry};
use gantry_identity::{Issues, ServiceSigner, SigningKey, TrustedKey, Verifier};
use http::HeaderMap;
use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tonic::Request;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

use crate::{
    caller::{GET, Setup, builder, call, send},
    server::{Server, reply},
};

/// Returns a server that records the headers of the last call.
async fn noting() -> (Server, Arc<Mutex<HeaderMap>>) {
    let noted = Arc::<Mutex<HeaderMap>>::default();
    let notes = Arc::clone(&noted);
    let server = Server::answering(move |hit| {
        *notes.lock().unwrap() = hit.request.headers().clone();
        async { reply("noted") }
    })
    .await;
    (server, noted)
}

fn actor(subject: &str) -> Actor {
    Actor { subject: subject.into(), roles: vec!["user".into()] }
}

fn context(caller: Caller) -> CallContext {
    CallContext { deadline: None, request_id: "r-1".into(), caller }
}

fn bearer(headers: &Mutex<HeaderMap>) -> String {
    let headers = headers.lock().unwrap();
    let value = headers["authorization"].to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

#[tokio::test]
async fn a_call_is_signed_for_the_callee_and_names_the_user() {
    let (server, noted) = noting().await;
    let registry = Registry::memory();
    let instance = Instance::new("echo", server.address);
    let _registration = registry.registrar.register(instance).await.unwrap();
    let key = SigningKey::generate();
    let trusted = TrustedKey { issuer: "order".into(), issues: Issues::Service, key: key.public() };
    let verifier = Verifier::new("echo", vec![trusted]);
    let signer = Arc::new(ServiceSigner::new("order", key));
    let channel = builder(&registry).signer(signer).build().unwrap();
    let caller = || verifier.verify(&bearer(&noted)).unwrap();
    let service = |cause| Caller::Service { service: "order".into(), cause };
    let delegate = |actor| Caller::Delegate { service: "order".into(), actor };

    call(&channel, GET).await.unwrap();
    assert_eq!(caller(), service(None));

    context(Caller::User(actor("ann"))).scope(call(&channel, GET)).await.unwrap();
    assert_eq!(caller(), delegate(actor("ann")));

    let inbound = Caller::Delegate { service: "gateway".into(), actor: actor("ben") };
    context(inbound).scope(call(&channel, GET)).await.unwrap();
    assert_eq!(caller(), delegate(actor("ben")));

    // A call of another service gains no user's rights on the way.
    let inbound = Caller::Service { service: "gateway".into(), cause: Some(actor("ann")) };
    context(inbound).scope(call(&channel, GET)).await.unwrap();
    assert_eq!(caller(), service(Some(actor("ann"))));

    let mut request = Request::new(String::new());
    request.extensions_mut().insert(ActingFor(Acting::Itself { cause: Some(actor("eve")) }));
    let inbound = context(Caller::User(actor("ann")));
    inbound.scope(send(&channel, GET, request)).await.unwrap();
    assert_eq!(caller(), service(Some(actor("eve"))));

    // The token of the incoming call is never forwarded.
    let mut request = Request::new(String::new());
    request.metadata_mut().insert("authorization", "Bearer the-users-own".parse().unwrap());
    send(&channel, GET, request).await.unwrap();
    assert_eq!(caller(), service(None));
}

#[tokio::test]
async fn without_a_signer_the_authorization_is_passed_on() {
    let (server, noted) = noting().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let mut request = Request::new(String::new());
    request.metadata_mut().insert("authorization", "Bearer own".parse().unwrap());
    send(&setup.channel, GET, request).await.unwrap();
    assert_eq!(bearer(&noted), "own");
    call(&setup.channel, GET).await.unwrap();
    assert!(!noted.lock().unwrap().contains_key("authorization"));
}

#[tokio::test]
async fn the_request_id_is_inherited_unless_it_is_set() {
    let (server, noted) = noting().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let id = || noted.lock().unwrap().get("x-request-id").cloned();

    call(&setup.channel, GET).await.unwrap();
    assert_eq!(id(), None);
    context(Caller::Anonymous).scope(call(&setup.channel, GET)).await.unwrap();
    assert_eq!(id().unwrap(), "r-1");
    let mut request = Request::new(String::new());
    request.metadata_mut().insert("x-request-id", "own".parse().unwrap());
    context(Caller::Anonymous).scope(send(&setup.channel, GET, request)).await.unwrap();
    assert_eq!(id().unwrap(), "own");
}

#[tokio::test]
async fn a_call_has_the_headers_of_grpc() {
    let (server, noted) = noting().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    call(&setup.channel, GET).await.unwrap();
    let headers = noted.lock().unwrap().clone();
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["te"], "trailers");
    assert!(headers["user-agent"].to_str().unwrap().starts_with("gantry/"));
    assert!(!headers.contains_key("content-length"));
}

#[tokio::test]
async fn the_trace_goes_on_through_the_attempts_span() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // For all threads: a scoped subscriber misses callsites that others registered first.
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let (server, noted) = noting().await;
    let setup = Setup::new();
    let _registration = setup.register(server.address).await;
    let outer = tracing::info_span!("outer");
    let trace_id = {
        use opentelemetry::trace::TraceContextExt;
        use tracing_opentelemetry::OpenTelemetrySpanExt;
        outer.context().span().span_context().trace_id().to_string()
    };
    call(&setup.channel, GET).instrument(outer.clone()).await.unwrap();
    let first = noted.lock().unwrap()["traceparent"].to_str().unwrap().to_owned();
    call(&setup.channel, GET).instrument(outer).await.unwrap();
    let second = noted.lock().unwrap()["traceparent"].to_str().unwrap().to_owned();
    assert!(first.contains(&trace_id) && second.contains(&trace_id), "{first}, {second}");
    assert_ne!(first, second, "each attempt is a span of its own");
}
