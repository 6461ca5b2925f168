//! Peer with just enough HTTP/2 to misbehave, byte by byte.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

pub(crate) const PREFACE: usize = 24;
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Id of the setting for the window of a stream.
pub(crate) const INITIAL_WINDOW: u16 = 4;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;
/// Above every stream: in the GOAWAY of a server that starts to drain.
pub(crate) const LAST_STREAM: u32 = 0x7fff_ffff;

/// Fields of a valid response head.
pub(crate) const HEAD: [(&str, &str); 2] =
    [(":status", "200"), ("content-type", "application/grpc")];

/// Listening peer. Dropping it kills it and all of its connections.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    streams: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Peer {
    /// Returns the number of connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the number of streams opened so far.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a peer that runs this on every connection, and then closes it.
pub(crate) async fn peer<F, A>(script: F) -> Peer
where
    F: Fn(Wire) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, streams) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (accepted, opened) = (Arc::clone(&connections), Arc::clone(&streams));
    let task = tokio::spawn(async move {
        let mut running = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            accepted.fetch_add(1, Ordering::SeqCst);
            running.spawn(script(Wire { stream, streams: Arc::clone(&opened) }));
        }
    });
    Peer { address, connections, streams, task }
}

/// Starts a peer that greets normally and runs this on every stream.
pub(crate) async fn serving<F, A>(answer: F) -> Peer
where
    F: Fn(Wire, u32) -> A + Clone + Send + 'static,
    A: Future<Output = Wire> + Send + 'static,
{
    peer(move |mut wire| {
        let answer = answer.clone();
        async move {
            wire.greet(&[]).await;
            while let Some(stream) = wire.request().await {
                wire = answer(wire, stream).await;
            }
        }
    })
    .await
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// Sends RST_STREAM with REFUSED_STREAM.
    RefusedStream,
    /// Sends GOAWAY with last stream 0, then closes.
    GoAway,
}

/// Starts a peer that refuses every stream.
pub(crate) async fn refusing(refusal: Refusal) -> Peer {
    peer(move |mut wire| async move {
        wire.greet(&[]).await;
        while let Some(stream) = wire.request().await {
            match refusal {
                Refusal::RefusedStream => wire.reset(stream, REFUSED_STREAM).await,
                Refusal::GoAway => return wire.go_away(0, NO_ERROR).await,
            };
        }
    })
    .await
}

/// Peer's side of one connection.
pub(crate) struct Wire {
    stream: TcpStream,
    streams: Arc<AtomicUsize>,
}

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Wire {
    /// Reads the preface and sends these settings, as ids and values.
    pub(crate) async fn greet(&mut self, settings: &[(u16, u32)]) {
        let mut preface = [0; PREFACE];
        if self.stream.read_exact(&mut preface).await.is_ok() {
            self.settings(settings).await;
        }
    }

    pub(crate) async fn settings(&mut self, settings: &[(u16, u32)]) {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        self.write(SETTINGS, 0, 0, &payload).await;
    }

    /// Reads the next frame. Acknowledges settings and pings.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match (head[3], head[4] & ACK) {
            (SETTINGS, 0) => self.write(SETTINGS, ACK, 0, &[]).await,
            (PING, 0) => self.write(PING, ACK, 0, &payload).await,
            _ => {}
        }
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Returns true if data arrives within this time.
    pub(crate) async fn has_more(&mut self, within: Duration) -> bool {
        timeout(within, self.stream.peek(&mut [0])).await.is_ok()
    }

    /// Reads the next frame of this kind.
    pub(crate) async fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Waits for a new stream.
    pub(crate) async fn request(&mut self) -> Option<u32> {
        let stream = self.next(HEADERS).await?.stream;
        self.streams.fetch_add(1, Ordering::SeqCst);
        Some(stream)
    }

    /// Reads until the client closes, without any response.
    pub(crate) async fn swallow(&mut self) {
        while self.stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
    }

    /// Reads until the client closes.
    pub(crate) async fn wait(&mut self) {
        while self.read().await.is_some() {}
    }

    /// Writes a frame. If the client is gone, the next read fails.
    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.bytes(&frame).await;
    }

    /// Writes arbitrary bytes.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn headers(&mut self, stream: u32, fields: &[(&str, &str)], flags: u8) {
        self.write(HEADERS, END_HEADERS | flags, stream, &block(fields)).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.write(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    pub(crate) async fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.write(GOAWAY, 0, 0, &payload).await;
    }

    /// Sends a complete response with one empty message.
    pub(crate) async fn answer(&mut self, stream: u32) {
        self.headers(stream, &HEAD, 0).await;
        self.write(DATA, 0, stream, &[0; 5]).await;
        self.headers(stream, &[("grpc-status", "0")], END_STREAM).await;
    }
}

/// Returns a header block with literal fields, not indexed.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// Encodes a length as HPACK does: seven bits, and the rest in further bytes.
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}
