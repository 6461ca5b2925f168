//! Codecs of generated clients and servers.
//!
//! The server's codec validates requests while it decodes them, so a handler never sees an invalid
//! one. It measures lists before it builds them (see [`shape`](crate::shape)). The client's codec
//! does not validate: a newer server may send more than an older contract allows.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::{
    Code, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::{
    Failure, GantryReason, Validate, Violations,
    shape::{Fit, MIN_SCANNED, Shape, Unfit},
};

/// Encodes responses; decodes requests and validates them.
#[derive(Debug)]
pub struct ServerCodec<Response, Request>(PhantomData<(Response, Request)>);

/// Encodes requests; decodes responses.
#[derive(Debug)]
pub struct ClientCodec<Request, Response>(PhantomData<(Request, Response)>);

impl<T, U> Default for ServerCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Default for ClientCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for ServerCodec<T, U>
where
    T: Message + 'static,
    U: Message + Default + Validate + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProtoEncoder<T>;
    type Decoder = RequestDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProtoEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        RequestDecoder(PhantomData)
    }
}

impl<T, U> Codec for ClientCodec<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProtoEncoder<T>;
    type Decoder = ResponseDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProtoEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ResponseDecoder(PhantomData)
    }
}

/// Encodes any message.
#[derive(Debug)]
pub struct ProtoEncoder<T>(PhantomData<T>);

impl<T> Default for ProtoEncoder<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message> Encoder for ProtoEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // The buffer grows as needed, so encoding does not fail.
        item.encode(buf).map_err(|error| {
            Failure::new(Code::Internal, GantryReason::Internal, error.to_string()).into()
        })
    }
}

/// Decodes requests and rejects invalid ones.
#[derive(Debug)]
pub struct RequestDecoder<U>(PhantomData<U>);

impl<U: Message + Default + Validate> Decoder for RequestDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let request = match U::shape() {
            Some(shape) if buf.remaining() >= MIN_SCANNED => measured(shape, buf)?,
            _ => U::decode(buf).map_err(|error| malformed(&error.to_string()))?,
        };
        request.check()?;
        Ok(Some(request))
    }
}

/// Decodes a message if its lists are within their limits. Otherwise returns its violations; to
/// find them, builds at most one item above the limit of each list.
fn measured<U: Message + Default + Validate>(
    shape: &Shape,
    buf: &mut DecodeBuf<'_>,
) -> Result<U, Status> {
    // Copies nothing if the buffer is contiguous, as tonic's is.
    let bytes = buf.copy_to_bytes(buf.remaining());
    let decode = |bytes: &[u8]| U::decode(bytes).map_err(|error| malformed(&error.to_string()));
    match shape.fit(&bytes) {
        Ok(Fit::Whole) => Ok(decode(&bytes)?),
        Ok(Fit::Cut(bytes)) => {
            decode(&bytes)?.check()?;
            // The excess items are not in the decoded message: a map key was repeated or a
            // oneof was replaced. No encoder writes that.
            let excess = "must not encode list or map items that decoding discards";
            Err(Violations::one("", excess).into())
        }
        Err(Unfit::Malformed) => Err(malformed("a field is truncated or nested too deeply").into()),
        Err(Unfit::TooLarge) => Err(Failure::new(
            Code::ResourceExhausted,
            GantryReason::MessageTooLarge,
            "the lists of the request would take too much memory: send fewer items",
        )
        .into()),
    }
}

fn malformed(error: &str) -> Failure {
    Failure::new(
        Code::InvalidArgument,
        GantryReason::MalformedMessage,
        format!("the request message cannot be decoded: {error}"),
    )
}

/// Decodes responses.
#[derive(Debug)]
pub struct ResponseDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for ResponseDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let response = U::decode(buf).map_err(|error| {
            Failure::new(
                Code::Internal,
                GantryReason::MalformedMessage,
                format!("the response message cannot be decoded: {error}"),
            )
        })?;
        Ok(Some(response))
    }
}
