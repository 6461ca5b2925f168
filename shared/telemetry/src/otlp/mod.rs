//! Client of an OpenTelemetry collector: OTLP over gRPC or HTTP.

mod headers;
mod signal;
mod transport;

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use prost::Message;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, body::Body, client::Grpc, metadata::MetadataMap};
use tonic_prost::ProstCodec;

pub(crate) use self::signal::{Accepted, Signal};
use self::transport::Transport;
use crate::settings::{InvalidSetting, Protocol, Settings, otlp::is_open_to_others};

/// First and longest pause before a repetition.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Longest response that is read, in bytes.
const MAX_RESPONSE: usize = 64 * 1024;

/// Client of the collector.
pub(crate) struct Collector {
    transport: Transport,
    protocol: Protocol,
    traces: Uri,
    metrics: Uri,
    headers: HeaderMap,
    timeout: Duration,
}

/// Failure of an export.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The collector did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The collector cannot be reached.
    #[error("{0}")]
    Transport(String),
    /// The collector refused the request. The flag is true if it may accept a repetition.
    #[error("the collector answered {0}")]
    Refused(String, bool),
}

impl ExportError {
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Refused(_, true))
    }
}

impl Collector {
    /// Creates the client. It connects with the first export.
    ///
    /// # Errors
    /// [`InvalidSetting`] naming the first unusable key.
    pub(crate) fn new(settings: &Settings) -> Result<Self, InvalidSetting> {
        let otlp = &settings.otlp;
        let own = settings.traces.endpoint.as_deref();
        let traces = otlp.url(("traces.endpoint", own), "/v1/traces")?;
        let own = settings.metrics.endpoint.as_deref();
        let metrics = otlp.url(("metrics.endpoint", own), "/v1/metrics")?;
        let headers = headers::load(otlp.headers_file.as_deref())?;
        for url in [&traces, &metrics] {
            if url.scheme_str() == Some("https") && otlp.tls.is_none() {
                return Err(InvalidSetting::new("otlp.tls.ca_file", "is required for https"));
            }
            if is_open_to_others(url) && !headers.is_empty() && !otlp.allow_plaintext {
                let why = "the headers would be sent without TLS to another machine: use an \
                           https:// endpoint and tls.ca_file, or set allow_plaintext = true";
                return Err(InvalidSetting::new("otlp.headers_file", why));
            }
        }
        let transport = Transport::new(otlp.tls.as_ref(), otlp.protocol, otlp.timeout)?;
        Ok(Self {
            transport,
            protocol: otlp.protocol,
            traces,
            metrics,
            headers,
            timeout: otlp.timeout,
        })
    }

    /// Delivers a request within the timeout and before `until`. Repeats it while the collector is
    /// away or asks for it.
    pub(crate) async fn export<S: Signal>(
        &self,
        request: S,
        until: Option<Instant>,
    ) -> Result<Accepted, ExportError> {
        let began = Instant::now();
        let deadline = until.map_or(began + self.timeout, |until| until.min(began + self.timeout));
        let (mut pause, longest) = BACKOFF;
        loop {
            let attempt = timeout_at(deadline, self.attempt(request.clone())).await;
            let error = match attempt {
                Ok(Ok(accepted)) => return Ok(accepted),
                Ok(Err(error)) => error,
                Err(_) => ExportError::Timeout(deadline - began),
            };
            // Spread, so that the processes of a cluster do not return to a new collector at once.
            let wait = pause.mul_f64(0.5 + fastrand::f64());
            if !error.is_temporary() || Instant::now() + wait >= deadline {
                return Err(error);
            }
            sleep(wait).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn attempt<S: Signal>(&self, request: S) -> Result<Accepted, ExportError> {
        let url = S::url(&self.traces, &self.metrics);
        match self.protocol {
            Protocol::Grpc => self.over_grpc(url, request).await,
            Protocol::Http => self.over_http(url, request).await,
        }
    }

    async fn over_grpc<S: Signal>(&self, url: &Uri, message: S) -> Result<Accepted, ExportError> {
        let mut grpc = Grpc::with_origin(self.transport.client(), url.clone());
        grpc.ready().await.map_err(|error| ExportError::Transport(causes(&error)))?;
        let mut request = tonic::Request::new(message);
        *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        let codec = ProstCodec::<S, S::Response>::default();
        match grpc.unary(request, S::method(), codec).await {
            Ok(response) => Ok(S::accepted(response.into_inner())),
            Err(status) => Err(refused(&status)),
        }
    }

    async fn over_http<S: Signal>(&self, url: &Uri, message: S) -> Result<Accepted, ExportError> {
        const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
        let body = Body::new(Full::from(message.encode_to_vec()));
        let mut request = Request::post(url.clone())
            .body(body)
            .map_err(|error| ExportError::Transport(error.to_string()))?;
        request.headers_mut().extend(self.headers.clone());
        request.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
        let response = self.transport.client().request(request).await;
        let response = response.map_err(|error| ExportError::Transport(causes(&error)))?;
        let status = response.status();
        if !status.is_success() {
            let temporary = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            return Err(ExportError::Refused(status.to_string(), temporary));
        }
        let body = Limited::new(response.into_body(), MAX_RESPONSE).collect().await;
        let body: Bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
        // The data has arrived, whatever the text of the answer is.
        Ok(S::Response::decode(body).map(S::accepted).unwrap_or_default())
    }

    /// Follows the files of TLS, if there are any. Never completes.
    pub(crate) async fn follow(&self) {
        self.transport.follow().await;
    }
}

/// Judges a status by the table of the OTLP specification.
fn refused(status: &tonic::Status) -> ExportError {
    let temporary = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        // Tonic's own: the connection failed.
        Code::Unknown => status.source().is_some(),
        _ => false,
    };
    match status.source() {
        Some(source) if temporary => ExportError::Transport(causes(source)),
        _ => ExportError::Refused(format!("{:?}: {}", status.code(), status.message()), temporary),
    }
}

/// Returns the texts of an error and its causes.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The headers may contain secrets.
        f.debug_struct("Collector").field("traces", &self.traces).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
