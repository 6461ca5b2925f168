//! How long a call holds its slot: policy, apart from the mechanism.

use http::{Request, Response};
use http_body::Body;

use super::{body::HeldBody, slots::Slot};
use crate::deadline::Deadline;

/// When the calls of a [`BulkheadService`](super::BulkheadService) end.
pub trait Hold<Request, Response> {
    /// What the caller gets: the response, or the response that holds the slot on.
    type Response;

    /// When the call is over, which no wait for a slot may pass.
    fn deadline(&self, request: &Request) -> Option<Deadline>;

    /// The service answered: gives the slot back by dropping it, or holds it on.
    fn answered(&self, slot: Slot, response: Response) -> Self::Response;
}

/// A call is over when it is answered, and has no deadline: for sending a mail or
/// publishing a message, where a timeout stands around the whole.
#[derive(Clone, Copy, Debug)]
pub struct UntilAnswer;

impl<Request, Response> Hold<Request, Response> for UntilAnswer {
    type Response = Response;

    fn deadline(&self, _: &Request) -> Option<Deadline> {
        None
    }

    fn answered(&self, _: Slot, response: Response) -> Response {
        response
    }
}

/// An HTTP call is over when the response's body has ended or is dropped; its deadline is
/// the [`Deadline`] among the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct UntilBodyEnd;

impl<A, B: Body> Hold<Request<A>, Response<B>> for UntilBodyEnd {
    type Response = Response<HeldBody<B>>;

    fn deadline(&self, request: &Request<A>) -> Option<Deadline> {
        request.extensions().get().copied()
    }

    fn answered(&self, slot: Slot, response: Response<B>) -> Self::Response {
        response.map(|body| HeldBody::new(body, slot))
    }
}
