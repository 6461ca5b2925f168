//! A request's body, as long as it can be sent.

use bytes::Bytes;
use gantry_contract::gzip::{Recoded, Recoder};

use crate::{
    error::Error,
    patience::Patience,
    prepare::Encoding,
    record::Record,
    request_body::{NotCollected, RequestBody, collect},
    upload::Upload,
};

/// The body, as long as it can be sent.
pub(crate) enum Payload {
    /// Any number of times.
    Whole(Bytes),
    /// Once.
    Stream(RequestBody),
    Gone,
}

impl Payload {
    /// Collects the one message of a request; what streams is passed through.
    ///
    /// # Errors
    /// It is too long, could not be encoded, or does not come to its end in time.
    pub(crate) async fn new(
        body: tonic::body::Body,
        encoding: Encoding,
        record: &Record,
        patience: &mut Patience,
    ) -> Result<Self, Error> {
        if !record.method.whole {
            let body = match encoding.deflate {
                true => tonic::body::Body::new(Recoded::new(body, Recoder::deflating())),
                false => body,
            };
            let upload = Upload::new(body, patience.signs());
            return Ok(Self::Stream(RequestBody::Stream(upload)));
        }
        let limit = record.pool.settings.max_request_bytes;
        let collected = tokio::select! {
            biased;
            collected = collect(body, limit) => collected,
            () = patience.over() => {
                let why = "the request did not come to its end";
                return Err(record.about().deadline_exceeded(why));
            }
        };
        let message = collected.map_err(|error| match error {
            NotCollected::TooLarge => record.about().too_large(limit),
            NotCollected::Failed(status) => Error::foreign(status),
        })?;
        // Compressed once for all attempts. What cannot be is sent as it is.
        let compressed =
            encoding.deflate.then(|| Recoder::deflating().pass(&message)).and_then(Result::ok);
        Ok(Self::Whole(compressed.unwrap_or(message)))
    }

    /// Whether it can be sent again after it was sent, and is short enough to be.
    pub(crate) fn is_replayable(&self, most: usize) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.len() <= most)
    }

    pub(crate) fn take(&mut self) -> Option<RequestBody> {
        if let Self::Whole(bytes) = self {
            return Some(RequestBody::Whole(bytes.clone()));
        }
        match std::mem::replace(self, Self::Gone) {
            Self::Stream(body) => Some(body),
            Self::Whole(_) | Self::Gone => None,
        }
    }

    /// It was never sent.
    pub(crate) fn put_back(&mut self, body: RequestBody) {
        if matches!(self, Self::Gone) {
            *self = Self::Stream(body);
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }
}
