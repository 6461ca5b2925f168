//! A peer that speaks just enough HTTP/2 to refuse a stream, byte by byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const PREFACE: usize = 24;
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const REFUSED_STREAM: u32 = 7;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// RST_STREAM with REFUSED_STREAM.
    RefusedStream,
    /// GOAWAY whose last stream is 0, then the end.
    GoAway,
}

pub(crate) struct Refusing {
    pub(crate) address: SocketAddr,
    streams: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Refusing {
    /// The streams refused so far.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::SeqCst)
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A peer that refuses every stream.
pub(crate) async fn refusing(refusal: Refusal) -> Refusing {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&streams);
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(refuse(stream, refusal, Arc::clone(&count)));
        }
    });
    Refusing { address, streams, task }
}

async fn refuse(mut stream: TcpStream, refusal: Refusal, count: Arc<AtomicUsize>) {
    let mut preface = [0; PREFACE];
    if stream.read_exact(&mut preface).await.is_err() {
        return;
    }
    let mut ok = write(&mut stream, SETTINGS, 0, 0, &[]).await;
    while ok {
        let Some((kind, flags, id)) = read(&mut stream).await else { return };
        ok = match (kind, refusal) {
            (SETTINGS, _) if flags & 1 == 0 => write(&mut stream, SETTINGS, 1, 0, &[]).await,
            (HEADERS, Refusal::RefusedStream) => {
                count.fetch_add(1, Ordering::SeqCst);
                write(&mut stream, RST_STREAM, 0, id, &REFUSED_STREAM.to_be_bytes()).await
            }
            (HEADERS, Refusal::GoAway) => {
                count.fetch_add(1, Ordering::SeqCst);
                write(&mut stream, GOAWAY, 0, 0, &[0; 8]).await;
                return;
            }
            _ => true,
        };
    }
}

/// The kind, the flags and the stream of the next frame; its payload is thrown away.
async fn read(stream: &mut TcpStream) -> Option<(u8, u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.ok()?;
    let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], head[4], id))
}

async fn write(stream: &mut TcpStream, kind: u8, flags: u8, id: u32, payload: &[u8]) -> bool {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(id.to_be_bytes());
    frame.extend(payload);
    stream.write_all(&frame).await.is_ok()
}
