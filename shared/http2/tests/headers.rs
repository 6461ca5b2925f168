//! Malformed header blocks, read by h2 through the filter. They reset only their stream.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use gantry_http2::{EmptyDataPolicy, FrameFilter, FrameHead};
use h2::server;
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

const END: u8 = FrameHead::END_HEADERS | FrameHead::END_STREAM;

/// Error code of RFC 9113, section 7.
const PROTOCOL_ERROR: u32 = 1;

/// Client that writes raw bytes, and the requests that the server accepts.
struct Raw {
    stream: DuplexStream,
    requests: UnboundedReceiver<Request<()>>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

impl Raw {
    /// Connects to a server that answers every request.
    async fn connect() -> Self {
        let (mut stream, io) = tokio::io::duplex(1 << 20);
        let (sender, requests) = unbounded_channel();
        tokio::spawn(async move {
            let filter = FrameFilter::for_server(io, EmptyDataPolicy::new());
            let mut connection = server::handshake(filter).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                sender.send(request.map(drop)).unwrap();
                // The stream may have been reset meanwhile.
                let _ = respond.send_response(Response::new(()), true);
            }
        });
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(FrameHead::SETTINGS, 0, 0, &[])).await.unwrap();
        Self { stream, requests }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn next(&mut self) -> ([u8; 9], Vec<u8>) {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.unwrap();
        (head, payload)
    }

    /// Waits for the end of a stream. Returns `None` after a response and the error code after a
    /// reset; panics if the connection ends.
    async fn end_of(&mut self, stream: u32) -> Option<u32> {
        loop {
            let (head, payload) = self.next().await;
            assert_ne!(head[3], FrameHead::GOAWAY, "the connection ends");
            if head[5..] == stream.to_be_bytes() {
                match head[3] {
                    FrameHead::HEADERS => return None,
                    FrameHead::RST_STREAM => {
                        return Some(u32::from_be_bytes(payload.try_into().unwrap()));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Header block of `POST /a` over http.
const START: &[u8] = &[0x83, 0x86, 0x04, 2, b'/', b'a'];

/// Literal that enters the dynamic table.
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let (name_length, value_length) = (name.len() as u8, value.len() as u8);
    [&[0x40, name_length], name, &[value_length], value].concat()
}

/// Malformed fields. Without the filter, h2 closes the connection for each.
fn malformed() -> Vec<Vec<u8>> {
    vec![
        literal(b"Grpc-Timeout", b"1S"),
        literal(b"grpc-timeouT", b"1S"),
        literal(b"a b", b"c"),
        literal(b"caf\xc3\xa9", b"c"),
        literal(b"X", b""),
        literal(b":unknown", b"pseudo"),
        literal(b":", b"pseudo"),
        literal(b":Path", b"/b"),
        literal(b"x", b"line\nbreak"),
        literal(b"x", b"\0"),
        literal(b"x", b"\x7f"),
        literal(b":status", b"abc"),
        literal(b":path", b"/\xff"),
        literal(b":authority", b"a\xff"),
        literal(b":authority", b"a b"),
        // Names from the static table: :method, :path, :status, accept.
        b"\x42\x05P OST".to_vec(),
        b"\x42\x00".to_vec(),
        b"\x44\x02/\xff".to_vec(),
        b"\x48\x0299".to_vec(),
        b"\x53\x02\x01\x02".to_vec(),
        // Huffman-coded: the name `A`; a value that is a line feed.
        vec![0x40, 0x81, 0x87, 0x81, 0x8f],
        vec![0x53, 0x84, 0xff, 0xff, 0xff, 0xf3],
        // Literals without indexing and never indexed.
        b"\x00\x01A\x01b".to_vec(),
        b"\x10\x01A\x01b".to_vec(),
        b"\x00\x00\x01b".to_vec(),
    ]
}

#[tokio::test]
async fn a_malformed_field_resets_only_its_stream() {
    for bad in malformed() {
        let mut raw = Raw::connect().await;
        let indexed = bad[0] & 0xc0 == 0x40;
        let block = [START, &literal(b"first", b"1"), &bad, &literal(b"last", b"2")].concat();
        raw.send(&frame(FrameHead::HEADERS, END, 1, &block)).await;
        assert_eq!(raw.end_of(1).await, Some(PROTOCOL_ERROR), "{bad:?}");
        // The entries of the dynamic table have the indexes that the peer expects.
        let first = if indexed { 64 } else { 63 };
        let block = [START, &[0x80 | 62, 0x80 | first]].concat();
        raw.send(&frame(FrameHead::HEADERS, END, 3, &block)).await;
        assert_eq!(raw.end_of(3).await, None, "{bad:?}");
        let request = raw.requests.recv().await.unwrap();
        assert_eq!(request.headers()["first"], "1");
        assert_eq!(request.headers()["last"], "2");
        assert!(raw.requests.is_empty());
    }
}

#[tokio::test]
async fn a_malformed_name_stays_malformed_by_its_index() {
    let mut raw = Raw::connect().await;
    let block = [START, &literal(b"Name", b"value")].concat();
    raw.send(&frame(FrameHead::HEADERS, END, 1, &block)).await;
    assert_eq!(raw.end_of(1).await, Some(PROTOCOL_ERROR));
    let again = [START, &[0x80 | 62]].concat();
    raw.send(&frame(FrameHead::HEADERS, END, 3, &again)).await;
    assert_eq!(raw.end_of(3).await, Some(PROTOCOL_ERROR));
    raw.send(&frame(FrameHead::HEADERS, END, 5, START)).await;
    assert_eq!(raw.end_of(5).await, None);
}

#[tokio::test]
async fn the_table_evicts_the_same_entries_as_the_peers() {
    // The table has 4,096 bytes. Each of these fields takes 1,000.
    let mut raw = Raw::connect().await;
    let long = |name: &[u8]| {
        let length = 1000 - 32 - name.len();
        let rest = length - 127;
        let value = vec![b'v'; length];
        let length = [127, (rest & 0x7f) as u8 | 0x80, (rest >> 7) as u8];
        [&[0x40, name.len() as u8], name, &length, &value].concat()
    };
    let block = [START, &long(b"kept"), &long(b"Bad"), &long(b"BAD"), &long(b"new")].concat();
    raw.send(&frame(FrameHead::HEADERS, END, 1, &block)).await;
    assert_eq!(raw.end_of(1).await, Some(PROTOCOL_ERROR));
    let block = [START, &[0x80 | 65, 0x80 | 62]].concat();
    raw.send(&frame(FrameHead::HEADERS, END, 3, &block)).await;
    assert_eq!(raw.end_of(3).await, None);
    let request = raw.requests.recv().await.unwrap();
    assert!(request.headers().contains_key("kept") && request.headers().contains_key("new"));
}

#[tokio::test]
async fn a_block_is_repaired_across_frames_and_reads() {
    let block = [START, &literal(b"Bad", b"value"), &literal(b"last", b"2")].concat();
    for at_once in [1, 5, 16, 1 << 20] {
        for cut in 0..block.len() {
            let (begin, rest) = block.split_at(cut);
            let (middle, end) = rest.split_at(rest.len() / 2);
            let priority = [&[3][..], &[0, 0, 0, 0, 15], begin, &[0; 3]].concat();
            let flags = FrameHead::END_STREAM | FrameHead::PADDED | FrameHead::PRIORITY_FIELDS;
            let frames = [
                frame(FrameHead::HEADERS, flags, 1, &priority),
                frame(FrameHead::CONTINUATION, 0, 1, middle),
                frame(FrameHead::CONTINUATION, FrameHead::END_HEADERS, 1, end),
                frame(FrameHead::PING, 0, 0, &[1; 8]),
                frame(FrameHead::HEADERS, END, 3, &[START, &[0x80 | 62]].concat()),
            ]
            .concat();
            let mut raw = Raw::connect().await;
            for part in frames.chunks(at_once) {
                raw.send(part).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(raw.end_of(1).await, Some(PROTOCOL_ERROR), "{cut}, {at_once} at once");
            assert_eq!(raw.end_of(3).await, None);
        }
    }
}

#[tokio::test]
async fn repaired_blocks_keep_their_order_among_other_frames() {
    let bad = [START, &literal(b"Bad", b"value")].concat();
    let mut frames = Vec::new();
    for stream in (1..100).step_by(4) {
        frames.extend(frame(FrameHead::HEADERS, END, stream, &bad));
        frames.extend(frame(FrameHead::HEADERS, END, stream + 2, START));
    }
    let mut raw = Raw::connect().await;
    raw.send(&frames).await;
    assert_eq!(raw.end_of(99).await, None);
    for _ in 0..25 {
        raw.requests.recv().await.unwrap();
    }
}

#[tokio::test]
async fn malformed_trailers_reset_only_their_stream() {
    let mut raw = Raw::connect().await;
    raw.send(&frame(FrameHead::HEADERS, FrameHead::END_HEADERS, 1, START)).await;
    assert_eq!(raw.end_of(1).await, None);
    raw.send(&frame(FrameHead::HEADERS, FrameHead::END_HEADERS, 3, START)).await;
    raw.send(&frame(FrameHead::HEADERS, END, 3, &literal(b"Bad", b"value"))).await;
    raw.send(&frame(FrameHead::HEADERS, END, 5, START)).await;
    assert_eq!(raw.end_of(5).await, None);
}

#[tokio::test]
async fn an_authority_that_no_uri_has_is_accepted() {
    for (authority, seen) in [
        (&b"%2Frun%2Fx.sock"[..], "-2Frun-2Fx.sock"),
        (b"%2Ftmp%2Forder-1_%7Eann.sock", "-2Ftmp-2Forder-1--7Eann.sock"),
        (b"/run/x.sock", "-run-x.sock"),
        (b"orders.example.org:50051", "orders.example.org:50051"),
        (b"[::1]:50051", "[::1]:50051"),
        (b"under_score", "under_score"),
    ] {
        let length = authority.len() as u8;
        for first in [0x41, 0x01, 0x11] {
            let mut raw = Raw::connect().await;
            let block = [START, &[first, length], authority].concat();
            raw.send(&frame(FrameHead::HEADERS, END, 1, &block)).await;
            assert_eq!(raw.end_of(1).await, None, "{seen}");
            let request = raw.requests.recv().await.unwrap();
            assert_eq!(request.uri().authority().unwrap(), seen);
        }
    }
}

#[tokio::test]
async fn broken_hpack_still_ends_the_connection() {
    for broken in [
        // An unknown index; a string longer than the block; an integer without an end.
        &[0x80 | 70][..],
        &[0x40, 9, b'a'],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        // Huffman code with invalid padding.
        &[0x53, 0x81, 0x00],
    ] {
        let mut raw = Raw::connect().await;
        let block = [START, &literal(b"Bad", b"value"), broken].concat();
        raw.send(&frame(FrameHead::HEADERS, END, 1, &block)).await;
        while raw.next().await.0[3] != FrameHead::GOAWAY {}
    }
}
