//! Service of each span.
//!
//! A process of several services (`gantry up`) has one tracer. The spans in which a service begins
//! work, those of inbound calls and of sagas, name it in the attribute `gantry.service`. Their
//! children inherit it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{
    Context,
    trace::{Span as _, SpanId, TraceContextExt},
};
use opentelemetry_sdk::trace::{Span, SpanData};

/// Attribute with the name of the service.
const SERVICE: &str = "gantry.service";

/// Services of the process, and those of the sampled spans that have not ended.
#[derive(Debug)]
pub(super) struct Services {
    /// Service 0 is that of spans without a service.
    names: Vec<String>,
    /// Empty in a process of one service. A span ends after its children, so an entry is there as
    /// long as it is needed.
    open: Mutex<HashMap<SpanId, usize>>,
}

impl Services {
    /// Creates the table. All spans of a process of one service belong to it.
    pub(super) fn new(process: &str, services: &[&str]) -> Self {
        let own = |name: &str| crate::variables::service_name().unwrap_or_else(|| name.to_owned());
        let names = match services {
            [] => vec![own(process)],
            [service] => vec![own(service)],
            several => [process].iter().chain(several).map(|name| (*name).to_owned()).collect(),
        };
        Self { names, open: Mutex::default() }
    }

    /// Returns the names, by number.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Notes the service of a span that begins.
    pub(super) fn started(&self, span: &Span, parent: &Context) {
        if self.names.len() == 1 {
            return;
        }
        let named = span.exported_data().and_then(|data| self.named_by(&data));
        let parent = parent.span().span_context().span_id();
        let mut open = self.open();
        let service = named.or_else(|| open.get(&parent).copied()).unwrap_or_default();
        open.insert(span.span_context().span_id(), service);
    }

    /// Returns the service of a span that ended.
    pub(super) fn ended(&self, span: &SpanData) -> usize {
        match self.names.len() {
            1 => 0,
            _ => self.open().remove(&span.span_context.span_id()).unwrap_or_default(),
        }
    }

    fn named_by(&self, span: &SpanData) -> Option<usize> {
        let attribute =
            span.attributes.iter().find(|attribute| attribute.key.as_str() == SERVICE)?;
        let service = attribute.value.as_str();
        self.names.iter().position(|name| *name == service)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<SpanId, usize>> {
        // No code panics while it holds the lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
