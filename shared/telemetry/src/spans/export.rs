//! Thread that exports spans.

use std::{borrow::Cow, collections::BTreeMap, io, pin::pin, sync::Arc, thread, time::Duration};

use opentelemetry::{KeyValue, Value};
use opentelemetry_proto::{
    tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::ResourceSpans},
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{Resource, trace::SpanData};
use tokio::{
    runtime,
    time::{Instant, sleep},
};

use super::{
    counts::{Reason, count_dropped, count_exported},
    queue::{Ended, Queue},
};
use crate::{
    otlp::{Accepted, Collector, ExportError},
    redact::{REDACTED, is_secret_field, redact},
};

/// Exporter of one process.
pub(super) struct Export {
    collector: Arc<Collector>,
    /// Resource of each service, by its number.
    resources: Vec<ResourceAttributesWithSchema>,
    queue: Arc<Queue>,
    interval: Duration,
    /// Number of spans lost since the last delivery. More than 0 while exports fail, so that an
    /// outage is logged once.
    lost: u64,
}

impl Export {
    /// Starts the thread. It ends when the queue is closed.
    ///
    /// # Errors
    /// The error of the operating system if the thread or its runtime cannot be started.
    pub(super) fn start(
        collector: Collector,
        resources: Vec<Resource>,
        queue: Arc<Queue>,
        interval: Duration,
    ) -> io::Result<()> {
        let resources = resources.iter().map(Into::into).collect();
        let collector = Arc::new(collector);
        let export = Self { collector, resources, queue, interval, lost: 0 };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            let queue = Arc::clone(&export.queue);
            runtime.block_on(export.run());
            // Spans that remain are lost with the process.
            queue.finish();
        };
        thread::Builder::new().name("traces".to_owned()).spawn(run)?;
        Ok(())
    }

    async fn run(mut self) {
        let (queue, collector) = (Arc::clone(&self.queue), Arc::clone(&self.collector));
        let mut certificates = pin!(collector.follow());
        loop {
            tokio::select! {
                () = queue.ready() => {}
                () = sleep(self.interval) => {}
                () = &mut certificates => {}
            }
            loop {
                let closed = queue.closed();
                let batch = queue.take();
                match (batch.is_empty(), closed) {
                    (true, Some(_)) => return,
                    (true, None) => break,
                    (false, until) => self.export(batch, until).await,
                }
            }
        }
    }

    async fn export(&mut self, batch: Vec<Ended>, until: Option<Instant>) {
        let spans = batch.len() as u64;
        let request = ExportTraceServiceRequest { resource_spans: self.by_service(batch) };
        match self.collector.export(request, until).await {
            Ok(accepted) => self.delivered(spans, &accepted),
            Err(error) => self.failed(spans, &error),
        }
    }

    fn delivered(&mut self, spans: u64, accepted: &Accepted) {
        let rejected = accepted.rejected.min(spans);
        count_exported(spans - rejected);
        if rejected > 0 {
            count_dropped(Reason::Rejected, rejected);
            let why = accepted.message.as_str();
            tracing::warn!(spans = rejected, why, "the collector rejected spans");
        }
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            tracing::info!(lost, "spans are exported again");
        }
    }

    fn failed(&mut self, spans: u64, error: &ExportError) {
        count_dropped(Reason::ExportFailed, spans);
        if self.lost == 0 {
            tracing::warn!(%error, collector = ?self.collector, "spans cannot be exported");
        }
        self.lost += spans;
    }

    fn by_service(&self, batch: Vec<Ended>) -> Vec<ResourceSpans> {
        let mut groups = BTreeMap::<usize, Vec<SpanData>>::new();
        for (service, span) in batch {
            groups.entry(service).or_default().push(cleaned(span));
        }
        let groups = groups.into_iter().filter_map(|(service, spans)| {
            Some(group_spans_by_resource_and_scope(spans, self.resources.get(service)?))
        });
        groups.flatten().collect()
    }
}

/// Removes e-mail addresses, tokens and secrets from a span's attributes, as from log lines.
fn cleaned(mut span: SpanData) -> SpanData {
    for KeyValue { key, value, .. } in &mut span.attributes {
        if is_secret_field(key.as_str()) {
            *value = REDACTED.into();
        } else if let Value::String(text) = value
            && let Cow::Owned(clean) = redact(text.as_str())
        {
            *value = clean.into();
        }
    }
    span
}
