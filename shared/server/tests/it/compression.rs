//! Compressed requests are accepted within their limits; responses are compressed for callers that
//! accept it.

use bytes::Bytes;
use gantry_contract::gzip::Recoder;
use gantry_probe::probe::v1::{ActRequest, ActResponse, CountRequest};
use http::Request;
use http_body_util::Full;
use prost::Message;
use tonic::Code;

use crate::{
    raw::{framed, request, send},
    world::{World, lenient, reason},
};

const ACT: &str = "/probe.v1.ProbeService/Act";

fn zeros(bytes: usize) -> ActRequest {
    ActRequest { ballast: vec![0; bytes], ..ActRequest::default() }
}

/// Returns the message in compressed form.
fn gzip(message: &impl Message) -> Bytes {
    let compressed = Recoder::deflating().pass(&framed(message)).unwrap();
    assert_eq!(compressed[0], 1, "long enough to be compressed");
    compressed
}

fn encoded(path: &str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = request(path, body);
    request.headers_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    request
}

#[tokio::test]
async fn compressed_and_other_messages_are_accepted() {
    let world = World::start().await;
    for body in [gzip(&zeros(10_000)), framed(&zeros(10_000)), framed(&zeros(0))] {
        let answer = send(&world, encoded(ACT, body)).await;
        assert_eq!(answer.grpc().code(), Code::Ok);
        assert!(!answer.headers.contains_key("grpc-encoding"));
    }
    assert_eq!(world.seen.started(), 3);
    // The contract's rules apply to the decompressed message.
    let wrong = ActRequest { word: "four".to_owned(), ..zeros(10_000) };
    let status = send(&world, encoded(ACT, gzip(&wrong))).await.grpc();
    assert_eq!(reason(&status), "VALIDATION_FAILED");
}

#[tokio::test]
async fn bombs_are_refused_at_the_limit() {
    let settings = lenient().max_message_bytes(100_000);
    let world = World::with(|builder| builder.settings(settings)).await;
    // The field's tag and length take the other ten bytes.
    let fits = send(&world, encoded(ACT, gzip(&zeros(99_990)))).await;
    assert_eq!(fits.grpc().code(), Code::Ok);
    for bytes in [100_000, 20_000_000] {
        let status = send(&world, encoded(ACT, gzip(&zeros(bytes)))).await.grpc();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
        assert!(status.message().contains("100000"), "{}", status.message());
    }
    // A lower limit of the contract applies.
    let unknown = [0xfa, 0x07, 0xa0, 0x9c, 0x01].into_iter().chain([0; 20_000]);
    let mut body = vec![0];
    body.extend(20_005_u32.to_be_bytes());
    body.extend(unknown);
    let body = Recoder::deflating().pass(&body).unwrap();
    let status = send(&world, encoded("/probe.v1.ProbeService/Count", body)).await.grpc();
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    assert_eq!(world.seen.started(), 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_decompressed_is_internal() {
    let world = World::start().await;
    let good = gzip(&zeros(10_000));
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    for body in [Bytes::from(damaged), Bytes::from_static(&[1, 0, 0, 0, 3, 0x1f, 0x8b, 0xff])] {
        let status = send(&world, encoded(ACT, body)).await.grpc();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(reason(&status), "MALFORMED_MESSAGE");
    }
    // A truncated message is malformed, like an uncompressed one.
    let status = send(&world, encoded(ACT, good.slice(..good.len() - 1))).await.grpc();
    assert_eq!(status.code(), Code::InvalidArgument);
    // Compressed, without an encoding in the headers.
    for encoding in [None, Some("identity")] {
        let mut request = request(ACT, good.clone());
        if let Some(encoding) = encoding {
            request.headers_mut().insert("grpc-encoding", encoding.parse().unwrap());
        }
        let status = send(&world, request).await.grpc();
        assert_eq!(status.code(), Code::Internal, "{encoding:?}");
        assert_eq!(reason(&status), "MALFORMED_MESSAGE");
    }
    assert_eq!(world.seen.started(), 0);
}

#[tokio::test]
async fn an_unknown_encoding_is_refused_with_the_supported_ones() {
    let world = World::start().await;
    for encoding in ["deflate", "zstd", "snappy", "GZIP", "identity, gzip", "", "\u{e4}"] {
        for body in [framed(&zeros(0)), gzip(&zeros(10_000))] {
            let mut request = request(ACT, body);
            let value = http::HeaderValue::from_bytes(encoding.as_bytes()).unwrap();
            request.headers_mut().insert("grpc-encoding", value);
            let answer = send(&world, request).await;
            let status = answer.grpc();
            assert_eq!(status.code(), Code::Unimplemented, "{encoding}");
            assert_eq!(reason(&status), "ENCODING_UNKNOWN", "{encoding}");
            assert_eq!(answer.headers["grpc-accept-encoding"], "identity,gzip", "{encoding}");
        }
    }
    assert_eq!(world.seen.started(), 0);
}

#[tokio::test]
async fn responses_are_compressed_if_both_sides_enable_it() {
    let long = ActRequest { answer_bytes: 10_000, ..ActRequest::default() };
    for (compression, accept, expected) in [
        (false, Some("identity,deflate,gzip"), false),
        (true, None, false),
        (true, Some("identity,deflate"), false),
        (true, Some("identity,deflate,gzip"), true),
    ] {
        let settings = lenient().compression(compression);
        let world = World::with(|builder| builder.settings(settings)).await;
        let mut request = request(ACT, framed(&long));
        if let Some(accept) = accept {
            request.headers_mut().insert("grpc-accept-encoding", accept.parse().unwrap());
        }
        let answer = send(&world, request).await;
        assert_eq!(answer.grpc().code(), Code::Ok);
        let encoding = answer.headers.get("grpc-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(encoding, expected.then_some("gzip"), "{compression} {accept:?}");
        assert_eq!(answer.body.len() < 1000, expected);
        let message = Recoder::inflating(20_000).pass(&answer.body).unwrap();
        assert_eq!(ActResponse::decode(&message[5..]).unwrap().ballast, [0; 10_000]);
    }
}

#[tokio::test]
async fn short_responses_and_refusals_are_not_compressed() {
    let settings = lenient().compression(true);
    let world = World::with(|builder| builder.settings(settings)).await;
    let with_gzip = |path: &str, body| {
        let mut request = request(path, body);
        request.headers_mut().insert("grpc-accept-encoding", "gzip".parse().unwrap());
        request
    };
    let count = CountRequest { to: 3, ..CountRequest::default() };
    let answer = send(&world, with_gzip("/probe.v1.ProbeService/Count", framed(&count))).await;
    assert_eq!((answer.grpc().code(), answer.body[0]), (Code::Ok, 0));
    let wrong = ActRequest { word: "four".to_owned(), ..ActRequest::default() };
    let answer = send(&world, with_gzip(ACT, framed(&wrong))).await;
    assert_eq!(reason(&answer.grpc()), "VALIDATION_FAILED");
    assert!(!answer.headers.contains_key("grpc-encoding"));
}
