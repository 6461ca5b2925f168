//! Requests of OTLP.

use http::{Uri, uri::PathAndQuery};
use opentelemetry_proto::tonic::collector::{
    metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
};
use prost::Message;

/// Request with one kind of data.
pub(crate) trait Signal: Message + Clone + Default + 'static {
    type Response: Message + Default + 'static;

    /// Path of the gRPC method.
    const METHOD: &'static str;

    /// Chooses the URL.
    fn url<'a>(traces: &'a Uri, metrics: &'a Uri) -> &'a Uri;

    /// Reads the answer.
    fn accepted(response: Self::Response) -> Accepted;

    /// Returns [`METHOD`](Self::METHOD) as a path.
    fn method() -> PathAndQuery {
        PathAndQuery::from_static(Self::METHOD)
    }
}

/// Answer of a collector that accepted a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Number of spans or data points that the collector refused.
    pub(crate) rejected: u64,
    /// Reason, or a warning.
    pub(crate) message: String,
}

impl Accepted {
    fn new(rejected: i64, message: String) -> Self {
        Self { rejected: u64::try_from(rejected).unwrap_or_default(), message }
    }
}

impl Signal for ExportTraceServiceRequest {
    type Response = ExportTraceServiceResponse;
    const METHOD: &'static str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

    fn url<'a>(traces: &'a Uri, _: &'a Uri) -> &'a Uri {
        traces
    }

    fn accepted(response: Self::Response) -> Accepted {
        let partial = response.partial_success.unwrap_or_default();
        Accepted::new(partial.rejected_spans, partial.error_message)
    }
}

impl Signal for ExportMetricsServiceRequest {
    type Response = ExportMetricsServiceResponse;
    const METHOD: &'static str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

    fn url<'a>(_: &'a Uri, metrics: &'a Uri) -> &'a Uri {
        metrics
    }

    fn accepted(response: Self::Response) -> Accepted {
        let partial = response.partial_success.unwrap_or_default();
        Accepted::new(partial.rejected_data_points, partial.error_message)
    }
}
