//! Port that carries a saga's context into its attempts.

use std::{future::Future, pin::Pin};

use async_trait::async_trait;
use tracing::Span;

use crate::{Context, Failure};

/// An attempt at a step or an undo, to be awaited once.
pub type Attempt<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// Makes the context of the call that began a saga the context of its attempts: their trace, their
/// request id, their caller.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// Makes `span`, in which the saga is driven, part of the context's trace. Called before the
    /// span is entered.
    fn join(&self, context: &Context, span: &Span);

    /// Awaits the attempt within the context.
    ///
    /// # Errors
    /// Those of the attempt.
    async fn attempt(&self, context: &Context, attempt: Attempt<'_>) -> Result<(), Failure>;
}

/// Carrier for steps that need no context but [`Call::context`](crate::Call::context).
pub(crate) struct NoCarrier;

#[async_trait]
impl Carrier for NoCarrier {
    fn join(&self, _: &Context, _: &Span) {}

    async fn attempt(&self, _: &Context, attempt: Attempt<'_>) -> Result<(), Failure> {
        attempt.await
    }
}
