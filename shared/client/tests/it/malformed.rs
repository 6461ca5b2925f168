//! Peers with malformed responses: none makes a caller panic or hang, and every error names its
//! endpoint.

use std::{net::SocketAddr, time::Duration};

use gantry_contract::GantryReason;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::{
    caller::{ADD, GUARD, QUICK, Setup, assert_failed, call, idle, warm, within},
    raw::{
        CONTINUATION, DATA, END_STREAM, HEAD, HEADERS, INITIAL_WINDOW, Peer, Wire, block, peer,
        serving,
    },
};

fn assert_named(status: &Status, address: SocketAddr) {
    let address = address.to_string();
    let endpoint = status.metadata().get("gantry-endpoint").map(|v| v.to_str().unwrap());
    let is_named = status.message().contains(&address) || endpoint == Some(&*address);
    assert!(is_named, "{address} is not named: {status:?}");
}

/// Returns the failure of a call to this peer, which leaves no call in flight.
async fn failure(peer: &Peer, path: &'static str) -> Status {
    let setup = Setup::new();
    let _registration = setup.register(peer.address).await;
    let failed = timeout(GUARD, call(&setup.channel, path)).await.expect("the caller hangs");
    idle(&setup.channel).await;
    let status = failed.expect_err("that was no answer");
    assert_named(&status, peer.address);
    status
}

/// Returns the failure of a call with a valid response head and this rest.
async fn failure_after_head(rest: Vec<(u8, u8, &'static [u8])>) -> Status {
    let peer = serving(move |mut wire: Wire, stream| {
        let rest = rest.clone();
        async move {
            wire.headers(stream, &HEAD, 0).await;
            for (kind, flags, payload) in rest {
                wire.write(kind, flags, stream, payload).await;
            }
            wire
        }
    })
    .await;
    failure(&peer, ADD).await
}

const TRAILERS: u8 = HEADERS;
/// End of the headers and of the stream.
const END: u8 = 5;
/// `grpc-status: 0`, literal.
const OK: &[u8] = b"\x00\x0bgrpc-status\x010";

#[tokio::test]
async fn garbage_for_trailers_is_an_error() {
    for garbage in [
        // Not HPACK, a missing index, an endless integer.
        &b"\x00\x7f\xff\xff"[..],
        b"\xff\xff\xff\xff\x0f",
        b"\x3f\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        // A field of a head.
        b"\x00\x07:status\x03200",
        // An upper-case name.
        b"\x00\x04GRPC\x010",
        // No status, an empty one, and one that is not a number.
        b"\x00\x01a\x01b",
        b"\x00\x0bgrpc-status\x00",
        b"\x00\x0bgrpc-status\x02\xff\xfe",
        // A message that is not UTF-8 after decoding.
        b"\x00\x0bgrpc-status\x0213\x00\x0cgrpc-message\x06%ff%zz",
    ] {
        let peer = serving(move |mut wire: Wire, stream| async move {
            wire.headers(stream, &HEAD, 0).await;
            wire.write(DATA, 0, stream, &[0; 5]).await;
            wire.write(TRAILERS, END, stream, garbage).await;
            wire
        })
        .await;
        failure(&peer, ADD).await;
    }
}

#[tokio::test]
async fn a_message_that_is_not_utf8_keeps_its_status() {
    const FIELDS: [(&str, &str); 2] =
        [("grpc-status", "5"), ("grpc-message", "order %ff%C3 is not there%")];
    for in_head in [true, false] {
        let peer = serving(move |mut wire: Wire, stream| async move {
            if in_head {
                wire.headers(stream, &[&HEAD[..], &FIELDS].concat(), END_STREAM).await;
            } else {
                wire.headers(stream, &HEAD, 0).await;
                wire.headers(stream, &FIELDS, END_STREAM).await;
            }
            wire
        })
        .await;
        let status = failure(&peer, ADD).await;
        let message = "order \u{fffd}\u{fffd} is not there%";
        assert_eq!((status.code(), status.message()), (Code::NotFound, message));
    }
}

#[tokio::test]
async fn details_that_are_not_base64_are_left_out() {
    const FIELDS: [(&str, &str); 3] = [
        ("grpc-status", "9"),
        ("grpc-message", "not now"),
        ("grpc-status-details-bin", "\u{1}%%% not base64"),
    ];
    for in_head in [true, false] {
        let peer = serving(move |mut wire: Wire, stream| async move {
            if in_head {
                wire.headers(stream, &[&HEAD[..], &FIELDS].concat(), END_STREAM).await;
            } else {
                wire.headers(stream, &HEAD, 0).await;
                wire.headers(stream, &FIELDS[1..], END_STREAM).await;
            }
            wire
        })
        .await;
        failure(&peer, ADD).await;
    }
}

#[tokio::test]
async fn a_stream_reset_with_any_code_is_an_error() {
    for after_head in [false, true] {
        for code in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 99, u32::MAX] {
            let peer = serving(move |mut wire: Wire, stream| async move {
                if after_head {
                    wire.headers(stream, &HEAD, 0).await;
                }
                wire.reset(stream, code).await;
                wire
            })
            .await;
            let status = failure(&peer, ADD).await;
            // Table of gRPC's PROTOCOL-HTTP2.md.
            let expected = match code {
                7 => Code::Unavailable,
                8 => Code::Cancelled,
                11 => Code::ResourceExhausted,
                12 => Code::PermissionDenied,
                _ => Code::Internal,
            };
            assert_eq!(status.code(), expected, "{code}: {status:?}");
            // A refused call was certainly not executed: it is repeated once.
            let streams = if code == 7 && !after_head { 2 } else { 1 };
            assert_eq!(peer.streams(), streams, "{code}");
        }
    }
}

#[tokio::test]
async fn a_head_that_dribbles_is_waited_for_until_the_deadline() {
    let dribbling = |until: usize| {
        serving(move |mut wire: Wire, stream| async move {
            let payload = block(&HEAD);
            let mut frame = vec![0, 0, payload.len() as u8, HEADERS, 4];
            frame.extend(stream.to_be_bytes());
            frame.extend(payload);
            for byte in &frame[..until.min(frame.len())] {
                wire.bytes(&[*byte]).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if until > frame.len() {
                wire.write(DATA, 0, stream, &[0; 5]).await;
                wire.headers(stream, &[("grpc-status", "0")], END_STREAM).await;
            }
            wire
        })
    };
    let peer = dribbling(usize::MAX).await;
    let setup = Setup::new();
    let _registration = setup.register(peer.address).await;
    assert_eq!(call(&setup.channel, ADD).await.unwrap(), "");
    let peer = dribbling(30).await;
    let status = failure(&peer, QUICK).await;
    assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &[]);
}

#[tokio::test]
async fn a_head_that_never_ends_is_an_error() {
    // Endless CONTINUATION frames, each with a field: the list grows too long.
    let peer = serving(|mut wire: Wire, stream| async move {
        wire.write(HEADERS, 0, stream, &block(&HEAD)).await;
        let long = "x".repeat(1_000);
        for _ in 0..1_000 {
            wire.write(CONTINUATION, 0, stream, &block(&[("x-more", &long)])).await;
        }
        wire.wait().await;
        wire
    })
    .await;
    failure(&peer, ADD).await;
    // Without fields h2 counts the frames.
    let peer = serving(|mut wire: Wire, stream| async move {
        wire.write(HEADERS, 0, stream, &[]).await;
        for _ in 0..10_000 {
            wire.write(CONTINUATION, 0, stream, &[]).await;
        }
        wire.wait().await;
        wire
    })
    .await;
    failure(&peer, QUICK).await;
}

#[tokio::test]
async fn a_giant_list_of_headers_or_trailers_is_an_error() {
    for in_trailers in [false, true] {
        let peer = serving(move |mut wire: Wire, stream| async move {
            let long = "x".repeat(8_000);
            let fields: Vec<(&str, &str)> = (0..20).map(|_| ("x-long", &*long)).collect();
            if in_trailers {
                wire.headers(stream, &HEAD, 0).await;
            }
            let block = block(&[&HEAD[..usize::from(!in_trailers) * 2], &fields].concat());
            let mut parts = block.chunks(16_000).peekable();
            wire.write(HEADERS, END_STREAM, stream, parts.next().unwrap()).await;
            while let Some(part) = parts.next() {
                let end = if parts.peek().is_none() { 4 } else { 0 };
                wire.write(CONTINUATION, end, stream, part).await;
            }
            wire
        })
        .await;
        failure(&peer, ADD).await;
    }
}

#[tokio::test]
async fn plain_http_of_every_status_is_an_error_that_names_it() {
    for (http, code) in [
        ("400", Code::Internal),
        ("401", Code::Unauthenticated),
        ("403", Code::PermissionDenied),
        ("404", Code::Unimplemented),
        ("418", Code::Unknown),
        ("429", Code::Unavailable),
        ("431", Code::Internal),
        ("500", Code::Unknown),
        ("502", Code::Unavailable),
        ("503", Code::Unavailable),
        ("504", Code::Unavailable),
        ("204", Code::Unknown),
        ("302", Code::Unknown),
    ] {
        for flags in [END_STREAM, 0] {
            let peer = serving(move |mut wire: Wire, stream| async move {
                wire.headers(stream, &[(":status", http), ("content-type", "text/plain")], flags)
                    .await;
                wire
            })
            .await;
            let status = failure(&peer, ADD).await;
            assert_eq!(status.code(), code, "{http}: {status:?}");
            assert!(status.message().contains(http), "{status:?}");
        }
    }
}

#[tokio::test]
async fn a_content_type_of_grpc_is_known_in_any_case() {
    for kind in ["Application/gRPC", "application/grpc+PROTO", "application/grpc; charset=utf-8"] {
        let peer = serving(move |mut wire: Wire, stream| async move {
            wire.headers(stream, &[(":status", "200"), ("content-type", kind)], 0).await;
            wire.write(DATA, 0, stream, &[0; 5]).await;
            wire.headers(stream, &[("grpc-status", "0")], END_STREAM).await;
            wire
        })
        .await;
        let setup = Setup::new();
        let _registration = setup.register(peer.address).await;
        assert_eq!(call(&setup.channel, ADD).await.unwrap(), "", "{kind}");
    }
}

#[tokio::test]
async fn a_foreign_content_type_is_an_error_that_names_it() {
    for kind in ["text/html", "application/json", "application/grp", "application/grpc-web", ""] {
        let peer = serving(move |mut wire: Wire, stream| async move {
            wire.headers(stream, &[(":status", "200"), ("content-type", kind)], 0).await;
            wire.write(DATA, END_STREAM, stream, b"hello").await;
            wire
        })
        .await;
        let status = failure(&peer, ADD).await;
        assert_eq!(status.code(), Code::Unknown, "{status:?}");
        assert!(status.message().contains(kind), "{status:?}");
    }
}

#[tokio::test]
async fn a_message_cut_in_the_middle_is_an_error() {
    for rest in [
        // Cut in the length or in the message, with valid trailers or without any.
        vec![(DATA, 0, &[0, 0, 0][..]), (TRAILERS, END, OK)],
        vec![(DATA, 0, &[0, 0, 0, 0, 9, 1, 2, 3]), (TRAILERS, END, OK)],
        vec![(DATA, END_STREAM, &[0, 0, 0, 0, 9, 1, 2, 3])],
        vec![(DATA, END_STREAM, &[])],
    ] {
        let status = failure_after_head(rest).await;
        assert!(matches!(status.code(), Code::Internal | Code::Unknown), "{status:?}");
    }
}

#[tokio::test]
async fn a_missing_message_is_an_error() {
    let status = failure_after_head(vec![(TRAILERS, END, OK)]).await;
    let says = ["OK without a message"];
    assert_failed(&status, Code::Unimplemented, GantryReason::MalformedMessage, &says);
    let peer = serving(|mut wire: Wire, stream| async move {
        wire.headers(stream, &[&HEAD[..], &[("grpc-status", "0")]].concat(), END_STREAM).await;
        wire
    })
    .await;
    let status = failure(&peer, ADD).await;
    assert_failed(&status, Code::Unimplemented, GantryReason::MalformedMessage, &says);
}

#[tokio::test]
async fn a_second_message_is_an_error() {
    let rest = vec![(DATA, 0, &[0; 5][..]), (DATA, 0, &[0; 5]), (TRAILERS, END, OK)];
    let status = failure_after_head(rest).await;
    let says = ["second message"];
    assert_failed(&status, Code::Unimplemented, GantryReason::MalformedMessage, &says);
}

#[tokio::test]
async fn a_connection_cut_in_a_message_is_an_unknown_outcome() {
    let peer = peer(|mut wire: Wire| async move {
        wire.greet(&[]).await;
        let Some(stream) = wire.request().await else { return };
        wire.headers(stream, &HEAD, 0).await;
        wire.write(DATA, 0, stream, &[0, 0, 0, 0, 9, 1, 2, 3]).await;
    })
    .await;
    let status = failure(&peer, ADD).await;
    assert_failed(&status, Code::Unavailable, GantryReason::OutcomeUnknown, &[]);
    assert_eq!(peer.streams(), 1);
}

#[tokio::test]
async fn a_message_that_says_it_is_compressed_by_nothing_is_an_error() {
    for flag in [1, 2, 255] {
        let peer = serving(move |mut wire: Wire, stream| async move {
            wire.headers(stream, &HEAD, 0).await;
            wire.write(DATA, 0, stream, &[flag, 0, 0, 0, 1, 0]).await;
            wire.headers(stream, &[("grpc-status", "0")], END_STREAM).await;
            wire
        })
        .await;
        let status = failure(&peer, ADD).await;
        assert_failed(&status, Code::Internal, GantryReason::MalformedMessage, &[]);
    }
}

#[tokio::test]
async fn a_message_of_4_gib_is_refused_when_it_is_announced() {
    let peer = serving(|mut wire: Wire, stream| async move {
        wire.headers(stream, &HEAD, 0).await;
        wire.write(DATA, 0, stream, &[0, 255, 255, 255, 255, 1, 2, 3]).await;
        wire.wait().await;
        wire
    })
    .await;
    let status = failure(&peer, ADD).await;
    let says = ["4294967295 bytes"];
    assert_failed(&status, Code::ResourceExhausted, GantryReason::MessageTooLarge, &says);
}

#[tokio::test]
async fn frames_that_make_no_sense_are_an_error() {
    for (kind, flags, stream, payload) in [
        // Data before the head, a push, a head for another stream, a window beyond the maximum.
        (DATA, 0, 1, &[0; 5][..]),
        (5, 4, 1, &[0, 0, 0, 2, 0x88]),
        (HEADERS, 4, 2, &[0x88]),
        (8, 0, 1, &[0x7f, 255, 255, 255]),
        (8, 0, 0, &[0, 0, 0, 0]),
        // Settings and a ping of a wrong length.
        (4, 0, 0, &[1]),
        (6, 0, 0, &[1]),
        (CONTINUATION, 4, 1, &[0x88]),
    ] {
        let peer = serving(move |mut wire: Wire, _| async move {
            wire.write(kind, flags, stream, payload).await;
            wire
        })
        .await;
        failure(&peer, QUICK).await;
    }
}

#[tokio::test]
async fn a_silent_or_foreign_peer_gets_no_call() {
    for (greeting, says) in [
        (&b""[..], "no answer within"),
        (b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "does not speak HTTP/2"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP/2"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "it speaks TLS"),
        (&[0; 64], "does not speak HTTP/2"),
    ] {
        let peer = peer(move |mut wire: Wire| async move {
            wire.bytes(greeting).await;
            std::future::pending::<()>().await;
        })
        .await;
        let status = failure(&peer, ADD).await;
        let says = ["no endpoint of echo", says];
        assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &says);
        assert_eq!(peer.streams(), 0);
        assert!(peer.connections() < 20, "{} dials", peer.connections());
    }
}

#[tokio::test]
async fn a_window_that_stays_shut_holds_no_call_beyond_its_deadline() {
    let peer = peer(|mut wire: Wire| async move {
        wire.greet(&[(INITIAL_WINDOW, 0)]).await;
        while wire.request().await.is_some() {}
    })
    .await;
    let setup = Setup::new();
    let _registration = setup.register(peer.address).await;
    warm(&setup.channel, 1).await;
    for turn in 1..=5 {
        let status = timeout(GUARD, call(&setup.channel, QUICK)).await.unwrap().unwrap_err();
        assert_failed(&status, Code::DeadlineExceeded, GantryReason::DeadlineExceeded, &[]);
        assert_named(&status, peer.address);
        within("stream", || (peer.streams() == turn).then_some(()).ok_or(peer.streams())).await;
    }
    idle(&setup.channel).await;
    assert_eq!(peer.connections(), 1);
}
