//! What stands between a connection and a handler.
//!
//! [`compose`] is the one place where the order is decided. Each layer has its
//! own file; each takes the stage of a call that the layer before it made (see
//! [`call`](crate::call)), so that the order of what depends on each other is
//! checked by the compiler.
//!
//! The layers are hyper's services and not tower's: those are called through a shared
//! reference and need no clone of the whole stack for each call, and they have no
//! `poll_ready` in which a layer could claim what it refuses later.

mod addresses;
mod authenticate;
mod authorize;
mod bearer;
mod callers;
mod collect;
mod deadline;
mod handed_on;
mod handle;
mod identify;
mod infrastructure;
mod layers;
mod messages;
mod observe_call;
mod opening;
mod outcome;
mod panic;
mod requests;
mod route;
mod shed;
mod uploads;
mod verdict;

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

/// What the layers need to know.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// By the services' numbers.
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

/// The whole stack, outermost first.
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
        // Outermost, so that every answer says the request id, even that to a panic.
        .layer(layer_fn(|inner| {
            identify::Identify::new(inner, Arc::clone(&methods), Arc::clone(&proxies))
        }))
        // Around everything that can go wrong, the layers and what they call included.
        .layer(layer_fn(panic::CatchPanic::new))
        // Around every refusal, so that each is traced, counted and logged like an answer.
        .layer(layer_fn(|inner| observe_call::ObserveCall::new(inner, Arc::clone(&measures))))
        // Before anything is spent on what is no call of ours.
        .layer(layer_fn(route::FindRoute::new))
        // Before anything is kept of a call that has no other limit.
        .layer(layer_fn(|inner| {
            infrastructure::LimitInfrastructure::new(inner, Arc::clone(&infrastructure))
        }))
        // Before any wait or work, so that all of it counts and ends in time.
        .layer(layer_fn(deadline::Deadline::new))
        // Before a signature check, which is what a flood would otherwise buy.
        .layer(layer_fn(|inner| {
            addresses::LimitAddress::new(inner, Arc::clone(&addresses), verifier.clone())
        }))
        // Before whatever asks who calls.
        .layer(layer_fn(|inner| {
            authenticate::Authenticate::new(inner, verifier.clone(), Arc::clone(&addresses))
        }))
        // As soon as it is known who calls: what the caller may not do counts as well.
        .layer(layer_fn(|inner| callers::LimitCaller::new(inner, Arc::clone(&callers))))
        // Before a byte of the request's message is read.
        .layer(layer_fn(|inner| authorize::Authorize::new(inner, contract, Arc::clone(&grants))))
        // Before the call takes a place: whoever dawdles keeps nobody else from one.
        .layer(layer_fn(|inner| {
            collect::Collect::new(inner, Arc::clone(&uploads), max_message_bytes)
        }))
        // Before the message is decoded, which is work. Nothing is shed that its caller could
        // have been refused for.
        .layer(layer_fn(|inner| shed::Shed::new(inner, limiter.clone())))
        // Innermost: the team's own layers, then the codec, which decodes and validates the
        // message, then the handler.
        .service(handle::Handle::new(services, max_message_bytes, compression))
}
