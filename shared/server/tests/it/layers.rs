//! Custom layers around the handlers.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use gantry_contract::{Authorized, CallContext, MethodPolicy};
use gantry_probe::probe::v1::ActRequest;
use gantry_server::Handler;
use http::{Request, Response};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{BoxFuture, Service},
    service::InterceptorLayer,
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::layer::layer_fn;

use crate::world::{World, with_token};

type Notes = Arc<Mutex<Vec<String>>>;

/// Layer that records the caller and the method, then calls the inner service.
#[derive(Clone)]
struct Noting {
    name: &'static str,
    notes: Notes,
    inner: Handler,
}

impl Service<Request<Body>> for Noting {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let caller = request.extensions().get::<Authorized>().unwrap().caller.subject();
        let method = request.extensions().get::<&'static MethodPolicy>().unwrap().path;
        let inherited = CallContext::current().unwrap().caller.subject();
        assert_eq!(caller, inherited);
        let method = method.rsplit('/').next().unwrap();
        self.notes.lock().unwrap().push(format!("{}: {caller} {method}", self.name));
        self.inner.call(request)
    }
}

/// Returns a server with two layers, and their records.
async fn noting() -> (World, Notes) {
    let notes = Notes::default();
    let layer = |name| {
        let notes = Arc::clone(&notes);
        layer_fn(move |inner| Noting { name, notes: Arc::clone(&notes), inner })
    };
    let world = World::with(|builder| builder.layer(layer("outer")).layer(layer("inner"))).await;
    (world, notes)
}

#[tokio::test]
async fn layers_see_authorized_calls_outermost_first() {
    let (world, notes) = noting().await;
    let mut client = world.client().await;
    client.guarded(ActRequest::default()).await.unwrap_err();
    let stranger = world.keys.user("customer", 0);
    client.guarded(with_token(ActRequest::default(), &stranger)).await.unwrap_err();
    assert_eq!(*notes.lock().unwrap(), [""; 0]);
    let admin = world.keys.user("admin", 0);
    client.guarded(with_token(ActRequest::default(), &admin)).await.unwrap();
    assert_eq!(*notes.lock().unwrap(), ["outer: ann Guarded", "inner: ann Guarded"]);
    assert_eq!(world.seen.finished(), 1);
}

#[tokio::test]
async fn health_has_no_layers() {
    let (world, notes) = noting().await;
    let mut health = HealthClient::new(world.channel().await);
    health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(*notes.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_call_that_a_layer_refuses_reaches_no_handler() {
    let refuse = |_: tonic::Request<()>| Err(Status::failed_precondition("not on Sundays"));
    let world = World::with(|builder| builder.layer(InterceptorLayer::new(refuse))).await;
    let status = world.client().await.act(ActRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not on Sundays"));
    assert_eq!(world.seen.started(), 0);
}
