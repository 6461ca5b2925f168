//! One logical call: attempts, until one was executed or can be said to have failed.
//!
//! The calls that are made again here are those of which it is certain that they were
//! not executed, whatever the method:
//!
//! - *never sent*: the connection closed before the request was written. It goes on
//!   to the next live connection, and when there is none it waits for one, bounded;
//! - *refused*: the peer said REFUSED_STREAM, or GOAWAY with a last stream before ours.
//!   Once, and preferably elsewhere; a stream's body is gone by then, so it fails.
//!
//! What else fails on the way may have been executed: `OUTCOME_UNKNOWN`.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use gantry_resilience::{balance::Outcome, deadline::Deadline};
use http::{Response, Uri, request::Parts};
use hyper::body::Incoming;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use crate::{
    attempt::{Unanswered, request, send},
    body::ResponseBody,
    error::{About, Error},
    head,
    patience::Patience,
    pool::{Lease, NotPlaced, Placing, Shared},
    prepare::{Manner, attempt_headers},
    request_body::{NotCollected, RequestBody, collect},
    trace,
};

/// A call that is decided on and not yet made.
pub(crate) struct Call {
    pub(crate) pool: Arc<Shared>,
    pub(crate) uri: Uri,
    pub(crate) parts: Parts,
    pub(crate) body: tonic::body::Body,
    pub(crate) manner: Manner,
    pub(crate) started: Instant,
    pub(crate) deadline: Deadline,
    pub(crate) span: Span,
}

/// What a call is known by, and what has happened to it so far.
#[derive(Debug)]
pub(crate) struct Record {
    pool: Arc<Shared>,
    uri: Uri,
    started: Instant,
    deadline: Deadline,
    /// The attempts that were sent, or may have been.
    attempts: u32,
    endpoint: Option<SocketAddr>,
    pub(crate) span: Span,
}

impl Record {
    /// What an error says of the call now.
    pub(crate) fn about(&self) -> About<'_> {
        About {
            service: &self.pool.service,
            path: self.uri.path(),
            attempts: self.attempts,
            endpoint: self.endpoint,
            started: self.started,
            left: self.deadline.left(Instant::now()),
        }
    }
}

/// The body, as long as it can be sent.
enum Payload {
    /// Any number of times.
    Whole(Bytes),
    /// Once.
    Stream(RequestBody),
    Gone,
}

impl Payload {
    fn take(&mut self) -> Option<RequestBody> {
        if let Self::Whole(bytes) = self {
            return Some(RequestBody::Whole(bytes.clone()));
        }
        match std::mem::replace(self, Self::Gone) {
            Self::Stream(body) => Some(body),
            Self::Whole(_) | Self::Gone => None,
        }
    }

    /// It was never sent.
    fn put_back(&mut self, body: RequestBody) {
        if matches!(self, Self::Gone) {
            *self = Self::Stream(body);
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}

impl Call {
    /// Makes the call.
    pub(crate) async fn run(self) -> Result<Response<ResponseBody>, Error> {
        let Self { pool, uri, parts, body, manner, started, deadline, span } = self;
        let mut record = Record { pool, uri, started, deadline, attempts: 0, endpoint: None, span };
        let mut patience = Patience::new(started, deadline, manner.silence());
        let mut payload = match manner {
            Manner::Unary(_) => Payload::Whole(whole(body, &record).await?),
            Manner::Stream(_) => Payload::Stream(RequestBody::Stream(body, patience.signs())),
        };
        let mut placing =
            Placing { deadline, patience: None, repeatable: manner.repeatable(), avoid: None };
        loop {
            let placed = record.pool.place(&mut placing).await;
            let mut lease = placed.map_err(|not_placed| explain(&record.about(), not_placed))?;
            let (Some(left), Some(body)) = (deadline.left(Instant::now()), payload.take()) else {
                lease.unused();
                return Err(record.about().deadline_exceeded("nothing was left of it"));
            };
            record.attempts += 1;
            record.endpoint = Some(lease.address());
            let attempt = trace::attempt(&record.span, record.attempts, lease.address());
            let headers = attempt_headers(&parts.headers, left, &attempt);
            let request = request(&record.uri, headers, body);
            match send(&lease, request, &mut patience).instrument(attempt).await {
                Ok(response) => return answered(response, lease, patience, record),
                Err(Unanswered::NeverSent(body)) => {
                    lease.unused();
                    record.attempts -= 1;
                    payload.put_back(body);
                }
                Err(Unanswered::Refused(why)) => {
                    lease.learn(Outcome::Failed);
                    if placing.avoid.is_some() || payload.is_gone() {
                        return Err(record.about().refused(&why));
                    }
                    placing.avoid = record.endpoint;
                }
                Err(Unanswered::Lost(why)) => {
                    lease.learn(Outcome::Failed);
                    return Err(record.about().outcome_unknown(&why));
                }
                // The lease learns from its drop how long it took at least.
                Err(Unanswered::Late) => return Err(record.about().unanswered()),
            }
        }
    }
}

/// The message of a unary call.
async fn whole(body: tonic::body::Body, record: &Record) -> Result<Bytes, Error> {
    let limit = record.pool.settings.max_request_bytes;
    collect(body, limit).await.map_err(|error| match error {
        NotCollected::TooLarge => record.about().too_large(limit),
        NotCollected::Failed(status) => Error::foreign(status),
    })
}

fn explain(about: &About<'_>, not_placed: NotPlaced) -> Error {
    match not_placed {
        NotPlaced::NoEndpoint(why) if about.left.is_some() => about.no_endpoint(&why),
        NotPlaced::NoEndpoint(why) | NotPlaced::Full(why) => about.deadline_exceeded(&why),
    }
}

/// The head of a response has arrived.
fn answered(
    response: Response<Incoming>,
    mut lease: Lease,
    patience: Patience,
    record: Record,
) -> Result<Response<ResponseBody>, Error> {
    let (mut head, body) = response.into_parts();
    head::sanitize(&mut head.headers);
    patience.sign();
    if let Some((code, what)) = head::not_grpc(head.status, &head.headers) {
        lease.learn(head::outcome(code));
        return Err(record.about().not_grpc(code, &what));
    }
    let code = head::grpc_code(&head.headers);
    lease.learn(code.map_or(Outcome::Answered, head::outcome));
    if code.is_some_and(|code| head::is_our_deadline(code, patience.deadline(), Instant::now())) {
        return Err(record.about().unanswered());
    }
    let body = ResponseBody::new(body, patience, lease, record, code);
    Ok(Response::from_parts(head, body))
}
