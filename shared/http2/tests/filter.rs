//! Bytes through the filter, for every size of the reads and of the reader's buffer.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use gantry_http2::{EmptyDataPolicy, FrameFilter, FrameHead, FramePolicy, Verdict};
use tokio::{
    io::{AsyncRead, AsyncReadExt, ReadBuf},
    time::{Duration, timeout},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Delivers at most `at_once` bytes for each read, then ends.
struct Bytes<'a> {
    bytes: &'a [u8],
    at_once: usize,
}

impl AsyncRead for Bytes<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.at_once.min(buf.remaining()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(count);
        buf.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

/// Stays pending for ever.
struct Never;

impl AsyncRead for Never {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// Drops PRIORITY frames, stops at GOAWAY.
struct Test;

impl FramePolicy for Test {
    fn judge(&mut self, head: &FrameHead) -> Verdict {
        match head.kind {
            FrameHead::PRIORITY => Verdict::Drop,
            FrameHead::GOAWAY => Verdict::Stop,
            _ => Verdict::Pass,
        }
    }
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

/// Reads to the end through a buffer of `buffer` bytes.
async fn read(mut filter: impl AsyncRead + Unpin, buffer: usize) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), vec![0; buffer]);
    loop {
        let count = filter.read(&mut part).await.unwrap();
        if count == 0 {
            return all;
        }
        all.extend_from_slice(&part[..count]);
    }
}

#[tokio::test]
async fn dropped_frames_are_gone_and_the_others_are_whole() {
    let big = vec![7; 16_384];
    let (data, headers) = (frame(FrameHead::DATA, 0, &big), frame(FrameHead::HEADERS, 4, b"head"));
    let (priority, empty) =
        (frame(FrameHead::PRIORITY, 0, &[9; 5]), frame(FrameHead::DATA, 0, b""));
    let sent = [
        PREFACE, &priority, &headers, &priority, &priority, &data, &empty, &priority, &headers,
        &priority,
    ]
    .concat();
    let passed = [PREFACE, &headers, &data, &empty, &headers].concat();
    for at_once in [1, 2, 8, 9, 10, 13, 14, 24, 100, 5000, 100_000] {
        for buffer in [1, 2, 8, 9, 10, 24, 8192, 100_000] {
            let bytes = Bytes { bytes: &sent, at_once };
            let read = read(FrameFilter::for_server(bytes, Test), buffer).await;
            assert!(read == passed, "{at_once} at once into {buffer}");
        }
    }
}

#[tokio::test]
async fn a_client_reads_no_preface() {
    let sent = [frame(FrameHead::PRIORITY, 0, &[9; 5]), frame(FrameHead::SETTINGS, 0, b"")];
    let bytes = Bytes { bytes: &sent.concat(), at_once: 100 };
    assert_eq!(read(FrameFilter::for_client(bytes, Test), 100).await, sent[1]);
}

#[tokio::test]
async fn an_incomplete_head_passes_at_the_end() {
    let sent = frame(FrameHead::PING, 0, &[1; 8]);
    for length in 0..sent.len() {
        for buffer in [1, 4, 100] {
            let bytes = Bytes { bytes: &sent[..length], at_once: 3 };
            let read = read(FrameFilter::for_client(bytes, Test), buffer).await;
            assert_eq!(read, &sent[..length], "into {buffer}");
        }
    }
}

#[tokio::test]
async fn another_protocol_passes_at_once() {
    for said in [&b"\x15\x03\x03\x00\x02\x02\x46"[..], b"HTTP/1.1 400 Bad Request\r\n", b"SSH"] {
        let open = Bytes { bytes: said, at_once: 100 }.chain(Never);
        let mut filter = FrameFilter::for_client(open, Test);
        let mut read = vec![0; said.len()];
        filter.read_exact(&mut read).await.unwrap();
        assert_eq!(read, said);
    }
}

#[tokio::test]
async fn nothing_is_read_after_a_stop() {
    let before = frame(FrameHead::PING, 0, &[1; 8]);
    let sent = [&before[..], &frame(FrameHead::GOAWAY, 0, &[2; 8]), &before].concat();
    for at_once in [1, 9, 17, 18, 26, 100] {
        let mut filter = FrameFilter::for_client(Bytes { bytes: &sent, at_once }, Test);
        let mut read = vec![0; before.len()];
        filter.read_exact(&mut read).await.unwrap();
        assert_eq!(read, before);
        let more = timeout(Duration::from_millis(10), filter.read_u8()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

#[tokio::test]
async fn jettys_empty_frame_before_the_trailers_is_dropped() {
    let [head, data, empty, end] = [
        frame(FrameHead::HEADERS, 4, b"head"),
        frame(FrameHead::DATA, 0, &[0; 5]),
        frame(FrameHead::DATA, 0, b""),
        frame(FrameHead::HEADERS, 5, b"status"),
    ];
    let sent = [&head[..], &data, &empty, &end].concat();
    let bytes = Bytes { bytes: &sent, at_once: 100 };
    let read = read(FrameFilter::for_client(bytes, EmptyDataPolicy::new()), 100).await;
    assert_eq!(read, [head, data, end].concat());
}
