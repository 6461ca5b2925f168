//! Connections with frames that no client library sends.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf, copy, sink, split},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const END_HEADERS: u8 = 4;

/// Stream that counts the bytes written to it.
pub(super) struct Counted {
    stream: TcpStream,
    sent: Arc<AtomicU64>,
}

impl Counted {
    /// Connects from `from`.
    pub(super) async fn connect(
        address: SocketAddr,
        from: IpAddr,
        sent: &Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, sent: Arc::clone(sent) })
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.sent.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// HTTP/2 connection with hand-written frames. Responses are discarded.
pub(super) struct Wire {
    writer: WriteHalf<Counted>,
    reader: JoinHandle<()>,
}

impl Wire {
    /// Connects and sends the preface of HTTP/2.
    pub(super) async fn connect(
        address: SocketAddr,
        from: IpAddr,
        sent: &Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let (reader, writer) = split(Counted::connect(address, from, sent).await?);
        let mut wire = Self { writer, reader: tokio::spawn(drain(reader)) };
        wire.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        wire.write(&frame(SETTINGS, 0, 0, &[])).await?;
        Ok(wire)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn drain(mut reader: ReadHalf<Counted>) {
    // The next write fails after its end.
    let _ = copy(&mut reader, &mut sink()).await;
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Returns the header block of a gRPC call.
pub(super) fn head(path: &str, token: Option<&str>) -> Vec<u8> {
    // POST and http are entries of HPACK's static table.
    let mut block = vec![0x83, 0x86];
    let authorization = token.map(|token| format!("Bearer {token}"));
    let fields = [
        (":path", Some(path)),
        (":authority", Some("order")),
        ("content-type", Some("application/grpc")),
        ("te", Some("trailers")),
        ("authorization", authorization.as_deref()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            block.push(0);
            text(&mut block, name);
            text(&mut block, value);
        }
    }
    block
}

/// Encodes a string literal of HPACK (RFC 7541, 5.2) without Huffman coding.
pub(super) fn text(block: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push(length as u8 | 128);
            length >>= 7;
        }
        block.push(length as u8);
    }
    block.extend(text.as_bytes());
}
