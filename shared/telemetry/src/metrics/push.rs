//! Export of metrics to a collector.

use std::{
    fmt, io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
};
use tokio::runtime::{Builder, Runtime};

use super::MetricsError;
use crate::{Settings, otlp::Collector};

static DELIVERED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// Returns the number of exports of this process, by outcome.
pub(super) fn counts() -> [(&'static str, u64); 2] {
    [("ok", DELIVERED.load(Ordering::Relaxed)), ("failed", FAILED.load(Ordering::Relaxed))]
}

/// Exporter of the periodic reader, which calls it on a thread of its own.
pub(super) struct Push {
    collector: Collector,
    /// Runs the exports. None after the drop began.
    runtime: Option<Runtime>,
    /// True while exports fail, so that an outage is logged once.
    failing: AtomicBool,
}

impl Push {
    pub(super) fn new(settings: &Settings) -> Result<Self, MetricsError> {
        let collector = Collector::new(settings)?;
        let runtime: io::Result<_> = Builder::new_current_thread().enable_all().build();
        Ok(Self { collector, runtime: Some(runtime?), failing: AtomicBool::new(false) })
    }
}

impl PushMetricExporter for Push {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let Some(runtime) = &self.runtime else { return Err(OTelSdkError::AlreadyShutdown) };
        let request = ExportMetricsServiceRequest::from(metrics);
        // Blocks only the reader's thread.
        match runtime.block_on(self.collector.export(request, None)) {
            Ok(accepted) => {
                DELIVERED.fetch_add(1, Ordering::Relaxed);
                if accepted.rejected > 0 {
                    let (points, why) = (accepted.rejected, accepted.message.as_str());
                    tracing::warn!(points, why, "the collector rejected metrics");
                }
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("metrics are exported again");
                }
                Ok(())
            }
            Err(error) => {
                FAILED.fetch_add(1, Ordering::Relaxed);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "metrics cannot be exported");
                }
                Err(OTelSdkError::InternalFailure(error.to_string()))
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        // A runtime must not be dropped by a thread of another one without this.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("collector", &self.collector).finish_non_exhaustive()
    }
}
