//! Policy for holding a slot, apart from the mechanism.

use http::{Request, Response};
use http_body::Body;

use super::{body::HeldBody, slots::Slot};
use crate::deadline::Deadline;

/// Policy that decides when the calls of a [`BulkheadService`](super::BulkheadService) end.
pub trait Hold<Request, Response> {
    /// Response for the caller: the inner response, or one that holds the slot.
    type Response;

    /// Returns the call's deadline, which bounds the wait for a slot.
    fn deadline(&self, request: &Request) -> Option<Deadline>;

    /// Handles the answer: drops the slot to return it, or keeps it in the response.
    fn answered(&self, slot: Slot, response: Response) -> Self::Response;
}

/// Ends an HTTP call when the response's body ends or is dropped. The deadline is the request's
/// [`Deadline`] extension.
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
