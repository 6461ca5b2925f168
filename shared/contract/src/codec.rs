//! The codecs that generated clients and servers use.
//!
//! The server's checks what it decodes against the rules of the contract: a
//! handler never sees a request that breaks one, and lists are measured before they
//! are built (see [`shape`](crate::shape)). The client's checks nothing: a newer
//! server may answer with more than an older contract allows.

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
        // The buffer grows, so this fails only beyond what memory can hold.
        item.encode(buf).map_err(|error| {
            Failure::new(Code::Internal, GantryReason::Internal, error.to_string()).into()
        })
    }
}

/// Decodes requests and refuses those that break a rule of the contract.
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

/// Builds a message whose lists are within their limits; says of another one what is wrong,
/// having built no more of a list than one item too many.
fn measured<U: Message + Default + Validate>(
    shape: &Shape,
    buf: &mut DecodeBuf<'_>,
) -> Result<U, Status> {
    // Copies nothing if the message is one piece, as tonic's is.
    let bytes = buf.copy_to_bytes(buf.remaining());
    let decode = |bytes: &[u8]| U::decode(bytes).map_err(|error| malformed(&error.to_string()));
    match shape.fit(&bytes) {
        Ok(Fit::Whole) => Ok(decode(&bytes)?),
        Ok(Fit::Cut(bytes)) => {
            decode(&bytes)?.check()?;
            // The excess is not in the message as it was merged (a key twice, a oneof that was
            // replaced): no encoder writes that.
            let excess = "must not repeat on the wire what its lists and maps do not hold";
            Err(Violations::one("", excess).into())
        }
        Err(Unfit::Malformed) => Err(malformed("a field is cut off or nested too deep").into()),
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
        format!("the request is not the message that this method takes: {error}"),
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
                format!("the response is not the message that this method gives: {error}"),
            )
        })?;
        Ok(Some(response))
    }
}
