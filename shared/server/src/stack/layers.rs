//! Custom layers around the handlers.

use std::{convert::Infallible, fmt};

use bytes::Bytes;
use http::{Request, Response};
use tonic::{body::Body, codegen::StdError};
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};

use super::handle::{Generated, Handlers};

/// Handlers of a service as a custom layer receives them: see
/// [`ServerBuilder::layer`](crate::ServerBuilder::layer).
pub type Handler = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Custom layers of a server, outermost first.
#[derive(Default)]
pub(crate) struct Layers(Vec<Box<dyn Fn(Handler) -> Handler + Send + Sync>>);

impl Layers {
    pub(crate) fn add<L, B>(&mut self, layer: L)
    where
        L: Layer<Handler> + Send + Sync + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        self.0.push(Box::new(move |inner| erased(layer.layer(inner))));
    }

    /// Wraps the handlers of one service. Without layers the handlers are used directly.
    pub(crate) fn around<S, B>(&self, handlers: S) -> Box<dyn Handlers>
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        if self.0.is_empty() {
            return Box::new(Generated(handlers));
        }
        let inner = erased(handlers);
        Box::new(Generated(self.0.iter().rev().fold(inner, |inner, layer| layer(inner))))
    }
}

fn erased<S, B>(service: S) -> Handler
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    Handler::new(service.map_response(|answer: Response<B>| answer.map(Body::new)))
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layers").field(&self.0.len()).finish()
    }
}
