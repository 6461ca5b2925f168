//! Layer.

use tower::Layer;

use super::{Bulkhead, BulkheadService};

/// Layer that puts a [`Bulkhead`] around a service.
#[derive(Clone, Debug)]
pub struct BulkheadLayer<P> {
    bulkhead: Bulkhead,
    policy: P,
}

impl<P> BulkheadLayer<P> {
    /// Creates a layer. `policy` is the [`Hold`](super::Hold) that decides when calls end. All services
    /// of one layer share the slots.
    pub fn new(bulkhead: Bulkhead, policy: P) -> Self {
        Self { bulkhead, policy }
    }
}

impl<S, P: Clone> Layer<S> for BulkheadLayer<P> {
    type Service = BulkheadService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        BulkheadService::new(inner, self.bulkhead.clone(), self.policy.clone())
    }
}
