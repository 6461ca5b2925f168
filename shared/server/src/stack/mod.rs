//! Layers between a connection and a handler.
//!
//! [`compose`] alone decides their order. Each layer has its own file and takes the stage of a call
//! that the layer before it produced (see [`call`](crate::call)). So the compiler checks the order
//! of layers that depend on each other.
//!
//! The layers are hyper services, not tower services. They are called through a shared reference,
//! so a call does not clone the stack. They have no `poll_ready`, in which a layer could accept a
//! call that it refuses later.

mod addresses;
mod admission;
mod authenticate;
mod authorize;
mod bearer;
mod callers;
mod collect;
mod deadline;
mod handle;
mod identify;
mod infrastructure;
mod layers;
mod messages;
mod observe_call;
mod opening;
mod outcome;
mod panic;
mod peer_status;
mod requests;
mod route;
mod shed;
mod uploads;

use std::{convert::Infallible, sync::Arc};

use gantry_contract::{Contract, access::Grants};
use gantry_identity::Verifier;
use gantry_resilience::limits::Limiter;
use http::Response;
use hyper::service::Service;
use tower::{ServiceBuilder, layer::layer_fn};

pub(crate) use self::{
    addresses::Addresses,
    callers::{Callers, InvalidClass},
    handle::{Answering, Generated, Handlers},
    layers::Layers,
    uploads::Uploads,
};
pub use self::{layers::Handler, shed::release_place};
use crate::{
    call::{Received, Timed},
    client::Proxies,
    connection::InfrastructureCalls,
    measure::Measures,
    methods::Methods,
    transport::RequestBody,
};

/// Dependencies of the layers.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// Name of the service, for spans.
    pub(crate) service: Arc<str>,
    /// Handlers by the index of their service.
    pub(crate) services: Arc<[Box<dyn Handlers>]>,
    pub(crate) methods: Arc<Methods>,
    pub(crate) contract: &'static Contract,
    pub(crate) verifier: Option<Arc<Verifier>>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) max_message_bytes: u32,
    pub(crate) compression: bool,
    pub(crate) measures: Arc<Measures>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) infrastructure: Arc<InfrastructureCalls>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) limiter: Limiter,
    pub(crate) callers: Arc<Callers>,
}

/// Composes the layers, outermost first.
pub(crate) fn compose(
    parts: Parts,
) -> impl Service<
    Received<RequestBody>,
    Response = Response<impl Timed<Data = bytes::Bytes> + Send>,
    Error = Infallible,
    Future: Send,
> + Send
+ Sync
+ 'static {
    let Parts {
        service,
        services,
        methods,
        contract,
        verifier,
        grants,
        max_message_bytes,
        compression,
        proxies,
        addresses,
        infrastructure,
        uploads,
        limiter,
        callers,
        measures,
    } = parts;
    ServiceBuilder::new()
        // Outermost, so that every response has the request id, even after a panic.
        .layer(layer_fn(|inner| {
            identify::Identify::new(inner, Arc::clone(&methods), Arc::clone(&proxies))
        }))
        // Around all code that can panic, including the layers and the code that they call.
        .layer(layer_fn(panic::CatchPanic::new))
        // Around every refusal, so that refusals are traced, counted and logged like responses.
        .layer(layer_fn(|inner| {
            observe_call::ObserveCall::new(inner, Arc::clone(&measures), Arc::clone(&service))
        }))
        // Before any work for requests that are not calls of this server.
        .layer(layer_fn(route::FindRoute::new))
        // Before any state is kept for calls of health and reflection, which have no other limit.
        .layer(layer_fn(|inner| {
            infrastructure::LimitInfrastructure::new(inner, Arc::clone(&infrastructure))
        }))
        // Before any wait or work, so that all of it counts towards the deadline.
        .layer(layer_fn(deadline::Deadline::new))
        // Before the signature check, which a flood would otherwise cause.
        .layer(layer_fn(|inner| {
            addresses::LimitAddress::new(inner, Arc::clone(&addresses), verifier.clone())
        }))
        // Before every layer that needs the caller.
        .layer(layer_fn(|inner| {
            authenticate::Authenticate::new(inner, verifier.clone(), Arc::clone(&addresses))
        }))
        // As soon as the caller is known: calls without permission count as well.
        .layer(layer_fn(|inner| callers::LimitCaller::new(inner, Arc::clone(&callers))))
        // Before any byte of the message is read.
        .layer(layer_fn(|inner| authorize::Authorize::new(inner, contract, Arc::clone(&grants))))
        // Before the concurrency limit: a slow upload must not hold a permit.
        .layer(layer_fn(|inner| {
            collect::Collect::new(inner, Arc::clone(&uploads), max_message_bytes)
        }))
        // Before the message is decoded, which is work. After every other refusal, so that no call
        // is shed that would have been refused anyway.
        .layer(layer_fn(|inner| shed::Shed::new(inner, limiter.clone())))
        // Innermost: the custom layers, then the codec that decodes and validates the message, then
        // the handler.
        .service(handle::Handle::new(services, max_message_bytes, compression))
}
