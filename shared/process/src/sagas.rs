//! Contexts of sagas: taken from the call that begins one, and carried into its attempts.

use async_trait::async_trait;
use gantry_contract::{Actor, CallContext, Caller};
use gantry_saga::{Attempt, Carrier, Context, Failure};
use serde::{Deserialize, Serialize};
use tracing::Span;

/// Returns the context of the present call, for a saga that it begins: its user, its trace and its
/// request id. Empty outside a call.
pub fn saga_context() -> Context {
    let call = CallContext::current();
    Context {
        actor: call.as_ref().and_then(|call| call.caller.actor()).and_then(StoredActor::encode),
        trace: gantry_telemetry::traceparent(),
        request_id: call.map(|call| call.request_id.to_string()),
    }
}

/// Runs the attempts of a service's sagas in the context of the calls that began them. Their calls
/// carry the request id and the trace, run on the service's own grant, and name the user as the cause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SagaCarrier {
    service: &'static str,
}

/// A user as a saga stores it.
#[derive(Serialize, Deserialize)]
struct StoredActor {
    subject: String,
    roles: Vec<String>,
}

impl StoredActor {
    /// None if it is no JSON, which text always is.
    fn encode(actor: &Actor) -> Option<String> {
        let Actor { subject, roles } = actor.clone();
        serde_json::to_string(&Self { subject, roles }).ok()
    }

    fn decode(text: &str) -> Option<Actor> {
        let Self { subject, roles } = serde_json::from_str(text).ok()?;
        Some(Actor { subject, roles })
    }
}

impl SagaCarrier {
    /// Creates the carrier of this service.
    pub(crate) fn new(service: &'static str) -> Self {
        Self { service }
    }
}

#[async_trait]
impl Carrier for SagaCarrier {
    fn join(&self, context: &Context, span: &Span) {
        span.record("gantry.service", self.service);
        if let Some(trace) = &context.trace {
            gantry_telemetry::join_trace(span, trace);
        }
    }

    async fn attempt(&self, context: &Context, attempt: Attempt<'_>) -> Result<(), Failure> {
        let Some(request_id) = &context.request_id else { return attempt.await };
        let cause = context.actor.as_deref().and_then(StoredActor::decode);
        let call = CallContext {
            // The engine drops an attempt at its timeout.
            deadline: None,
            request_id: request_id.as_str().into(),
            caller: Caller::Service { service: self.service.to_owned(), cause },
        };
        call.scope(attempt).await
    }
}
