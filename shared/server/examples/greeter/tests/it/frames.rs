//! HTTP/2 by hand, for frames that a proper client would not send.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Identifiers of settings (RFC 9113, 6.5.2).
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// Error code for excessive load (RFC 9113, 7).
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Returns a SETTINGS frame.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = values
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// Returns the header block of a call of the greeter.
pub(crate) fn greeting() -> Vec<u8> {
    call("/greeter.v1.GreeterService/SayHello")
}

/// Returns the header block of a call, without Huffman coding and dynamic table.
pub(crate) fn call(path: &str) -> Vec<u8> {
    // POST, http; then names of the static table and values: :path, :authority, content-type.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [(&[4][..], path), (&[1], "greeter"), (&[15, 16], "application/grpc")] {
        block.extend(name);
        block.push(value.len().try_into().unwrap());
        block.extend(value.as_bytes());
    }
    block.extend(b"\x00\x02te\x08trailers");
    block
}

/// Returns a header as a literal, of any length.
pub(crate) fn literal(name: &[u8], value: &[u8], indexed: bool) -> Vec<u8> {
    let mut header = vec![if indexed { 0x40 } else { 0 }, name.len().try_into().unwrap()];
    header.extend(name);
    // An integer with a prefix of 7 bits (RFC 7541, 5.1).
    if let Ok(short @ ..127) = u8::try_from(value.len()) {
        header.push(short);
    } else {
        let mut rest = value.len() - 127;
        header.push(127);
        while rest >= 128 {
            header.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        header.push(rest as u8);
    }
    header.extend(value);
    header
}

/// Connection with a completed HTTP/2 preface.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &[]).await
    }

    /// Connects with these settings.
    pub(crate) async fn with(address: SocketAddr, values: &[(u16, u32)]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(settings(values));
        stream.write_all(&hello).await.unwrap();
        Self(stream)
    }

    /// Waits until the server has enlarged the window of the connection.
    pub(crate) async fn granted(&mut self) {
        while self.next().await.expect("the connection stays").0 != WINDOW_UPDATE {}
    }

    /// Sends the bytes repeatedly and discards all responses, until the time is over or the
    /// connection is cut.
    pub(crate) async fn pour(&mut self, bytes: &[u8], how_long: Duration) {
        let (mut reads, mut writes) = self.0.split();
        let pour = async { while writes.write_all(bytes).await.is_ok() {} };
        let mut sink = tokio::io::sink();
        let drain = tokio::io::copy(&mut reads, &mut sink);
        let _ = timeout(how_long, async { tokio::join!(pour, drain) }).await;
    }

    /// Sends the bytes. Returns false if the connection was cut.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Returns the kind and payload of the next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((head[3], payload))
    }

    /// Returns the error code of the GOAWAY that ends the connection, if there is one.
    pub(crate) async fn goaway(&mut self) -> Option<u32> {
        self.last_goaway().await.map(|(code, _)| code)
    }

    /// Returns the error code and the debug data of the GOAWAY that ends the connection.
    pub(crate) async fn last_goaway(&mut self) -> Option<(u32, String)> {
        read_goaway(&mut self.0).await
    }

    /// Sends a frame up to `times` times, no faster than the server reads, and reads all responses.
    /// Returns the GOAWAY that ended it.
    pub(crate) async fn flood(&mut self, frame: &[u8], times: usize) -> Option<(u32, String)> {
        let (reads, mut writes) = self.0.split();
        let pour = async {
            for _ in 0..times {
                if writes.write_all(frame).await.is_err() {
                    break;
                }
                // A cut with much data in transit would lose the GOAWAY.
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        };
        let read = read_goaway(reads);
        tokio::select! {
            () = pour => None,
            goaway = read => goaway,
        }
    }
}

async fn read_goaway(mut reads: impl AsyncReadExt + Unpin) -> Option<(u32, String)> {
    let mut last = None;
    let mut head = [0; 9];
    while reads.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if reads.read_exact(&mut payload).await.is_err() {
            break;
        }
        if head[3] == GOAWAY {
            let debug_data = String::from_utf8_lossy(&payload[8..]).into_owned();
            last = Some((error_code(&payload), debug_data));
        }
    }
    last
}

/// Returns the error code of a GOAWAY's payload.
pub(crate) fn error_code(goaway: &[u8]) -> u32 {
    u32::from_be_bytes(goaway[4..8].try_into().unwrap())
}
