//! Export of spans.
//!
//! An ended span goes into a bounded queue; a full queue drops it. A thread with a runtime of its
//! own sends the spans in batches, so neither a call nor the process's runtime ever waits for the
//! collector. Dropped spans are counted (`gantry_trace_spans_dropped_total`).

mod counts;
mod export;
mod queue;
mod services;

use std::{io, sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{Sampler as SdkSampler, Span, SpanData, SpanProcessor},
};

pub(crate) use self::counts::{Reason, dropped, exported};
use self::{export::Export, queue::Queue, services::Services};
use crate::{
    otlp::Collector,
    resource,
    settings::{Exporter, InvalidSetting, Sampler, Settings, TracesSettings},
    variables,
};

/// Processor that hands sampled spans to the exporting thread.
#[derive(Debug)]
pub(crate) struct Exported {
    queue: Arc<Queue>,
    services: Services,
}

/// Error of starting the export.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    #[error(transparent)]
    Thread(#[from] io::Error),
}

impl Exported {
    /// Starts the export of the spans of a process, if the settings want it.
    ///
    /// # Errors
    /// [`StartError`] if a setting is unusable or the thread cannot be started.
    pub(crate) fn start(
        settings: &Settings,
        process: &str,
        services: &[&str],
    ) -> Result<Option<Self>, StartError> {
        if settings.traces.exporter == Exporter::None || variables::is_disabled() {
            return Ok(None);
        }
        let services = Services::new(process, services);
        let TracesSettings { queue, batch, interval, .. } = settings.traces;
        let queue = Arc::new(Queue::new(queue, batch));
        let resources = services.names().map(resource::of).collect();
        let collector = Collector::new(settings)?;
        Export::start(collector, resources, Arc::clone(&queue), interval)?;
        Ok(Some(Self { queue, services }))
    }
}

impl SpanProcessor for Exported {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.services.started(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        let service = self.services.ended(&span);
        self.queue.push(service, span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        match self.queue.close(timeout) {
            true => Ok(()),
            false => Err(OTelSdkError::Timeout(timeout)),
        }
    }
}

/// Returns the sampler. Without an exporter, traces that begin here are not sampled.
pub(crate) fn sampler(traces: &TracesSettings, exports: bool) -> SdkSampler {
    let parent_based = |root| SdkSampler::ParentBased(Box::new(root));
    let ratio = SdkSampler::TraceIdRatioBased(traces.sample_ratio);
    match traces.sampler {
        _ if !exports => parent_based(SdkSampler::AlwaysOff),
        Sampler::On => SdkSampler::AlwaysOn,
        Sampler::Off => SdkSampler::AlwaysOff,
        Sampler::Ratio => ratio,
        Sampler::ParentOn => parent_based(SdkSampler::AlwaysOn),
        Sampler::ParentOff => parent_based(SdkSampler::AlwaysOff),
        Sampler::ParentRatio => parent_based(ratio),
    }
}

#[cfg(test)]
mod tests;
