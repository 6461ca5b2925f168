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

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use gantry_resilience::{balance::Outcome, deadline::Deadline};
use http::{HeaderMap, Method, Request, Response, Uri, Version, request::Parts};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::{Instrument, Span};

use crate::{
    body::{Ending, ResponseBody},
    error::{About, Error, chain},
    head,
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

/// The body, as long as it can be sent (again).
enum Payload {
    Whole(Bytes),
    Stream(tonic::body::Body),
    Gone,
}

/// How an attempt ended without an answer.
enum Unanswered {
    /// Nothing was written; here is the body again.
    NeverSent(RequestBody),
    /// The peer says that it did not process the stream.
    Refused(String),
    /// Anything else.
    Lost(String),
    /// The deadline passed.
    Late,
}

/// What has happened to a call so far.
struct Progress {
    attempts: u32,
    endpoint: Option<SocketAddr>,
    refused: bool,
    placing: Placing,
}

impl Call {
    /// Makes the call.
    pub(crate) async fn run(self) -> Result<Response<ResponseBody>, Error> {
        let Self { pool, uri, parts, body, manner, started, deadline, span } = self;
        let path = uri.path();
        let mut progress = Progress {
            attempts: 0,
            endpoint: None,
            refused: false,
            placing: Placing {
                deadline,
                patience: None,
                repeatable: manner.repeatable(),
                avoid: None,
            },
        };
        let about = |progress: &Progress| About {
            service: &pool.service,
            path,
            attempts: progress.attempts,
            endpoint: progress.endpoint,
            started,
            left: deadline.left(Instant::now()),
        };
        let mut payload = match manner {
            Manner::Unary(_) => {
                let limit = pool.settings.max_request_bytes;
                Payload::Whole(collect(body, limit).await.map_err(|error| match error {
                    NotCollected::TooLarge => about(&progress).too_large(limit),
                    NotCollected::Failed(status) => Error::foreign(status),
                })?)
            }
            Manner::Stream(_) => Payload::Stream(body),
        };
        // A known stream that stays silent for too long is given up before its deadline.
        let silence = manner.silence();
        let first =
            silence.map_or(deadline, |silence| deadline.min(Deadline::after(started, silence)));
        let mut timer = Box::pin(sleep_until(first.instant()));
        loop {
            let mut lease = match pool.place(&mut progress.placing).await {
                Ok(lease) => lease,
                Err(not_placed) => {
                    let about = about(&progress);
                    return Err(match not_placed {
                        NotPlaced::NoEndpoint(why) if about.left.is_some() => {
                            about.no_endpoint(&why)
                        }
                        NotPlaced::NoEndpoint(why) | NotPlaced::Full(why) => {
                            about.deadline_exceeded(&why)
                        }
                    });
                }
            };
            let Some(left) = deadline.left(Instant::now()) else {
                lease.unused();
                return Err(about(&progress).deadline_exceeded("nothing was left of it"));
            };
            progress.attempts += 1;
            progress.endpoint = Some(lease.address());
            let attempt = trace::attempt(&span, progress.attempts, lease.address());
            let headers = attempt_headers(&parts.headers, left, &attempt);
            let Some(body) = payload.take() else {
                return Err(about(&progress).refused("its stream cannot be sent again"));
            };
            let request = request(&uri, headers, body);
            match send(&lease, request, timer.as_mut()).instrument(attempt).await {
                Ok(response) => {
                    let about = about(&progress);
                    let (mut head, body) = response.into_parts();
                    head::sanitize(&mut head.headers);
                    let now = Instant::now();
                    let code = head::grpc_code(&head.headers);
                    if let Some((code, what)) = head::not_grpc(head.status, &head.headers) {
                        lease.learn(now, head::outcome(code));
                        return Err(about.not_grpc(code, &what));
                    }
                    lease.learn(now, code.map_or(Outcome::Answered, head::outcome));
                    if code.is_some_and(|code| head::is_our_deadline(code, deadline, now)) {
                        return Err(about.unanswered());
                    }
                    let ending = Ending {
                        lease,
                        span,
                        path: parts.uri,
                        started,
                        attempts: progress.attempts,
                        deadline,
                        silence,
                    };
                    return Ok(Response::from_parts(
                        head,
                        ResponseBody::new(body, timer, ending, code),
                    ));
                }
                Err(Unanswered::NeverSent(body)) => {
                    lease.unused();
                    progress.attempts -= 1;
                    payload.put_back(body);
                }
                Err(Unanswered::Refused(why)) => {
                    lease.learn(Instant::now(), Outcome::Failed);
                    if progress.refused || !payload.is_whole() {
                        return Err(about(&progress).refused(&why));
                    }
                    progress.refused = true;
                    progress.placing.avoid = progress.endpoint;
                }
                Err(Unanswered::Lost(why)) => {
                    lease.learn(Instant::now(), Outcome::Failed);
                    return Err(about(&progress).outcome_unknown(&why));
                }
                // The lease learns from its drop how long it took at least.
                Err(Unanswered::Late) => return Err(about(&progress).unanswered()),
            }
        }
    }
}

impl Payload {
    /// The body of the next attempt; a whole one is kept for further ones.
    fn take(&mut self) -> Option<RequestBody> {
        match self {
            Self::Whole(bytes) => Some(RequestBody::Whole(bytes.clone())),
            Self::Stream(_) => match std::mem::replace(self, Self::Gone) {
                Self::Stream(body) => Some(RequestBody::Stream(body)),
                Self::Whole(_) | Self::Gone => None,
            },
            Self::Gone => None,
        }
    }

    fn put_back(&mut self, body: RequestBody) {
        if let RequestBody::Stream(body) = body {
            *self = Self::Stream(body);
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }
}

fn request(uri: &Uri, headers: HeaderMap, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    request
}

/// Sends the request and waits for the head of the response, or for the timer.
async fn send(
    lease: &Lease,
    request: Request<RequestBody>,
    timer: Pin<&mut Sleep>,
) -> Result<Response<Incoming>, Unanswered> {
    let answer = lease.sender().try_send_request(request);
    let mut failed = tokio::select! {
        // Late answers count: what has arrived is not thrown away.
        biased;
        answer = answer => match answer {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        },
        () = timer => return Err(Unanswered::Late),
    };
    if let Some(request) = failed.take_message() {
        return Err(Unanswered::NeverSent(request.into_body()));
    }
    let error = failed.into_error();
    let why = chain(&error);
    Err(if is_refusal(&error) { Unanswered::Refused(why) } else { Unanswered::Lost(why) })
}

/// Whether the peer itself said that it did not process the stream. A remote GOAWAY
/// reaches only the streams above the last one that the peer will process.
pub(crate) fn is_refusal(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_remote()
                && (error.is_go_away()
                    || (error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)));
        }
        cause = error.source();
    }
    false
}
