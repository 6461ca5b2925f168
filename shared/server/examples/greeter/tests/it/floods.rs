//! Floods against the compiled greeter: it stays up, its memory is bounded, and other callers are
//! served meanwhile. The greeter's source has no code for any of this.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use greeter::greeter::v1::{SayHelloRequest, greeter_service_client::GreeterServiceClient};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    process::Child,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Code, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    Greeter, TEST_TIMEOUT,
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADER_TABLE_SIZE,
        HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY, Peer, RST_STREAM, WINDOW_UPDATE, call,
        error_code, frame, greeting, literal, settings,
    },
};

/// Reflection, which has no rate limit.
pub(crate) const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// Maximum growth in memory. Without the limits, each flood would cost far more.
const MOST_MIB: u64 = 64;

/// Greeter under a flood, and a client at another address that calls it.
pub(crate) struct Flooded {
    pub(crate) address: SocketAddr,
    pub(crate) process: Child,
    /// Resident memory before the flood, in MiB.
    pub(crate) before: u64,
    stop: oneshot::Sender<()>,
    polite: JoinHandle<usize>,
}

impl Flooded {
    pub(crate) async fn start() -> Self {
        Self::with(Greeter::start().await).await
    }

    pub(crate) async fn with(greeter: Greeter) -> Self {
        let Greeter { process, mut log, address, .. } = greeter;
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let channel = from_elsewhere(address, 2).await;
        let (stop, mut stopped) = oneshot::channel();
        let polite = tokio::spawn(async move {
            let mut client = GreeterServiceClient::new(channel);
            let mut answered = 0;
            // Within the rate limit of an address.
            while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                let call = client.say_hello(SayHelloRequest { name: "ann".into() });
                timeout(TEST_TIMEOUT, call).await.expect("the other client is served").unwrap();
                answered += 1;
                sleep(Duration::from_millis(200)).await;
            }
            answered
        });
        let before = resident(&process);
        Self { address, process, before, stop, polite }
    }

    /// Asserts that the greeter runs, has not grown, and served the other client.
    pub(crate) async fn survived(self) {
        self.survived_with(MOST_MIB).await;
    }

    /// Like `survived`, with a larger limit of growth.
    async fn survived_with(mut self, most_mib: u64) {
        let grown = resident(&self.process).saturating_sub(self.before);
        // Leave the other client time for at least one call after the flood.
        sleep(Duration::from_millis(300)).await;
        self.stop.send(()).expect("the other client was refused");
        let answered = timeout(TEST_TIMEOUT, self.polite).await.unwrap().unwrap();
        assert!(answered > 0, "no call of the other client was served");
        assert!(grown < most_mib, "the memory grew by {grown} MiB");
        assert!(self.process.try_wait().unwrap().is_none(), "the process ended");
    }
}

/// Opens a connection from another address of this machine.
pub(crate) async fn from_elsewhere(address: SocketAddr, host: u8) -> Channel {
    Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .local_address(Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host))))
        .connect()
        .await
        .unwrap()
}

/// Returns the resident memory in MiB.
pub(crate) fn resident(process: &Child) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{}/statm", process.id().unwrap())).unwrap();
    let pages: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096 / 1024 / 1024
}

pub(crate) fn odd(n: u32) -> u32 {
    2 * n + 1
}

#[tokio::test]
async fn calls_reset_at_once_end_their_connection() {
    let flooded = Flooded::start().await;
    for _ in 0..20 {
        let mut peer = Peer::connect(flooded.address).await;
        let mut flood = Vec::new();
        for n in 0..5000 {
            flood.extend(frame(HEADERS, END_HEADERS, odd(n), &greeting()));
            flood.extend(frame(RST_STREAM, 0, odd(n), &8_u32.to_be_bytes()));
        }
        // The connection may be cut before everything is sent.
        peer.send(&flood).await;
        let code = timeout(TEST_TIMEOUT, peer.goaway()).await.expect("it is ended");
        // A reset of the connection may overtake the GOAWAY.
        assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{code:?}");
    }
    flooded.survived().await;
}

/// Returns a health watch, a call that lasts and has no rate limit.
pub(crate) fn watch(stream: u32) -> Vec<u8> {
    let mut call = frame(HEADERS, END_HEADERS, stream, &call("/grpc.health.v1.Health/Watch"));
    call.extend(frame(DATA, END_STREAM, stream, &[0; 5]));
    call
}

#[tokio::test]
async fn calls_reset_after_they_start_end_their_connection() {
    let flooded = Flooded::start().await;
    let mut peer = Peer::connect(flooded.address).await;
    let mut code = None;
    let mut calls = 0;
    // One after the other, each after the previous response, ignoring the GOAWAY.
    let flood = async {
        while peer.send(&watch(odd(calls))).await {
            let answered = loop {
                match peer.next().await {
                    Some((GOAWAY, said)) => code = Some(error_code(&said)),
                    Some((HEADERS, _)) => break true,
                    Some(_) => {}
                    None => break false,
                }
            };
            if !answered {
                break;
            }
            peer.send(&frame(RST_STREAM, 0, odd(calls), &8_u32.to_be_bytes())).await;
            calls += 1;
        }
    };
    timeout(TEST_TIMEOUT, flood).await.expect("it is ended");
    assert!(calls > 500, "{calls} are not too many yet");
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    flooded.survived().await;
}

#[tokio::test]
async fn ten_thousand_streams_of_one_connection_end_it() {
    let flooded = Flooded::start().await;
    let mut peer = Peer::connect(flooded.address).await;
    let mut flood = Vec::new();
    for n in 0..10_000 {
        flood.extend(frame(HEADERS, END_HEADERS, odd(n), &greeting()));
    }
    peer.send(&flood).await;
    let code = timeout(TEST_TIMEOUT, peer.goaway()).await.expect("it is ended");
    assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{code:?}");
    flooded.survived().await;
}

#[tokio::test]
async fn many_streams_of_many_connections_are_refused_one_by_one() {
    let flooded = Flooded::start().await;
    let peers = join_all((0..100).map(|_| async {
        let mut peer = Peer::connect(flooded.address).await;
        for n in 0..100 {
            // Without a message, so that every admitted call stays.
            peer.send(&frame(HEADERS, END_HEADERS, odd(n), &greeting())).await;
        }
        peer
    }))
    .await;
    flooded.survived().await;
    drop(peers);
}

// Sends many messages, which could delay the other client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_message_is_refused_before_it_is_read() {
    let flooded = Flooded::start().await;
    let calls = (0..4).map(|_| async {
        let channel = Channel::from_shared(format!("http://{}", flooded.address)).unwrap();
        let mut client = GreeterServiceClient::new(channel.connect().await.unwrap())
            .max_encoding_message_size(usize::MAX);
        let name = "a".repeat(100 * 1024 * 1024);
        let refused = client.say_hello(SayHelloRequest { name }).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let info = refused.get_details_error_info().unwrap();
        assert_eq!(info.reason, "MESSAGE_TOO_LARGE");
    });
    timeout(TEST_TIMEOUT, join_all(calls)).await.unwrap();
    flooded.survived().await;
}

/// Begins calls with messages of 4 MiB and sends only their first bytes. The data of a connection
/// stays within its window, so that no call is refused for exceeding it.
async fn begin_messages(address: SocketAddr, path: &str) -> Vec<Peer> {
    timeout(TEST_TIMEOUT, join_all((0..100).map(|_| begin_hundred(address, path)))).await.unwrap()
}

/// Begins a hundred such calls on one connection.
async fn begin_hundred(address: SocketAddr, path: &str) -> Peer {
    let mut part = vec![0, 0, 64, 0, 0];
    part.extend([0; 10_000]);
    let mut peer = Peer::connect(address).await;
    peer.granted().await;
    for n in 0..100 {
        let mut begun = frame(HEADERS, END_HEADERS, odd(n), &call(path));
        begun.extend(frame(DATA, 0, odd(n), &part));
        assert!(peer.send(&begun).await, "the connection stays");
    }
    peer
}

#[tokio::test]
async fn unfinished_messages_do_not_accumulate() {
    let flooded = Flooded::start().await;
    let peers = begin_messages(flooded.address, "/greeter.v1.GreeterService/SayHello").await;
    sleep(Duration::from_millis(500)).await;
    flooded.survived().await;
    drop(peers);
}

#[tokio::test]
async fn large_messages_of_infrastructure_are_refused_at_once() {
    for path in [REFLECTION, "/grpc.health.v1.Health/Watch"] {
        let flooded = Flooded::start().await;
        let mut peers = Vec::new();
        for _ in 0..100 {
            let mut peer = begin_hundred(flooded.address, path).await;
            // Each is refused as soon as its length is known, and none is kept.
            for _ in 0..100 {
                let refused = async { while peer.next().await.unwrap().0 != RST_STREAM {} };
                timeout(TEST_TIMEOUT, refused).await.expect("it is refused");
            }
            peers.push(peer);
        }
        flooded.survived().await;
        drop(peers);
    }
}

#[tokio::test]
async fn headers_that_unfold_to_gigabytes_are_refused() {
    let flooded = Flooded::start().await;
    let calls = (0..20).map(|_| async {
        let mut peer = Peer::connect(flooded.address).await;
        // One entry as large as the header table, then 16,000 references to it of one byte each:
        // 16,000 x 4 kB.
        let mut bomb = greeting();
        bomb.extend(literal(b"x", &[b'a'; 4000], true));
        bomb.extend([0x80 | 62; 12_000]);
        for n in 0..50 {
            if !peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, odd(n), &bomb)).await {
                break;
            }
        }
        peer
    });
    let peers = timeout(TEST_TIMEOUT, join_all(calls)).await.unwrap();
    flooded.survived().await;
    drop(peers);
}

#[tokio::test]
async fn endless_headers_end_their_connection() {
    let flooded = Flooded::start().await;
    let mut peer = Peer::connect(flooded.address).await;
    peer.send(&frame(HEADERS, 0, 1, &greeting())).await;
    let more = literal(b"x-more", &[b'a'; 8000], false);
    for _ in 0..10_000 {
        if !peer.send(&frame(CONTINUATION, 0, 1, &more)).await {
            break;
        }
    }
    timeout(TEST_TIMEOUT, peer.goaway()).await.expect("it is ended");
    flooded.survived().await;
}

#[tokio::test]
async fn unread_ping_acknowledgements_do_not_accumulate() {
    let flooded = Flooded::start().await;
    let mut peer = Peer::connect(flooded.address).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    let flood = async {
        for _ in 0..1000 {
            if !peer.send(&pings).await {
                break;
            }
        }
    };
    // The server stops reading while it cannot write.
    let _ = timeout(Duration::from_secs(5), flood).await;
    flooded.survived().await;
}

/// Sends the bytes as fast as the greeter reads them, and reads all responses.
async fn is_poured(bytes: &[u8]) {
    let flooded = Flooded::start().await;
    let mut peer = Peer::connect(flooded.address).await;
    peer.pour(&bytes.repeat(100), Duration::from_secs(3)).await;
    flooded.survived().await;
}

#[tokio::test]
async fn pings_do_not_delay_other_clients() {
    is_poured(&frame(PING, 0, 0, &[7; 8])).await;
}

#[tokio::test]
async fn settings_do_not_delay_other_clients() {
    is_poured(&settings(&[(INITIAL_WINDOW_SIZE, 1), (HEADER_TABLE_SIZE, u32::MAX)])).await;
}

#[tokio::test]
async fn priorities_do_not_delay_other_clients() {
    is_poured(&frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7])).await;
}

#[tokio::test]
async fn window_updates_of_a_byte_do_not_delay_other_clients() {
    is_poured(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])).await;
}

#[tokio::test]
async fn unread_settings_acknowledgements_do_not_accumulate() {
    let flooded = Flooded::start().await;
    let mut peer = Peer::connect(flooded.address).await;
    let flood = settings(&[(INITIAL_WINDOW_SIZE, 1)]).repeat(1000);
    let flood = async { while peer.send(&flood).await {} };
    // The server stops reading while it cannot write.
    let _ = timeout(Duration::from_secs(3), flood).await;
    flooded.survived().await;
}

#[tokio::test]
async fn empty_data_frames_end_their_connection() {
    let flooded = Flooded::start().await;
    let mut peer = Peer::connect(flooded.address).await;
    peer.send(&frame(HEADERS, END_HEADERS, 1, &greeting())).await;
    let empty = frame(DATA, 0, 1, &[]).repeat(1000);
    let flood = async {
        while peer.send(&empty).await {}
        peer.goaway().await
    };
    let code = timeout(TEST_TIMEOUT, flood).await.expect("it is ended");
    assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{code:?}");
    flooded.survived().await;
}

#[tokio::test]
async fn unread_responses_do_not_accumulate() {
    let flooded = Flooded::start().await;
    // The longest responses without a rate limit: the contract, by reflection.
    let symbol = b"buf.validate.FieldRules";
    let mut query = vec![0, 0, 0, 0, symbol.len() as u8 + 2, 0x22, symbol.len() as u8];
    query.extend(symbol);
    let peers = join_all((0..50).map(|_| async {
        let mut peer = Peer::with(flooded.address, &[(INITIAL_WINDOW_SIZE, 1)]).await;
        for n in 0..100 {
            peer.send(&frame(HEADERS, END_HEADERS, odd(n), &call(REFLECTION))).await;
            peer.send(&frame(DATA, 0, odd(n), &query)).await;
        }
        // Each response begins and then stays unread, 50 x 100 x 55 kB, or is reset.
        let mut begun = 0;
        while begun < 100 {
            match peer.next().await.expect("the connection stays") {
                (DATA, data) if !data.is_empty() => begun += 1,
                (RST_STREAM, _) => begun += 1,
                _ => {}
            }
        }
        peer
    }));
    let peers = timeout(3 * TEST_TIMEOUT, peers).await.unwrap();
    flooded.survived_with(192).await;
    drop(peers);
}

#[tokio::test]
async fn short_connections_leave_no_memory_behind() {
    let flooded = Flooded::start().await;
    let address = flooded.address;
    let come_and_go = (0..8).map(|n| async move {
        for round in 0..150 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // A third of them is silent, a third begins a request, a third calls and does not wait.
            match (n + round) % 3 {
                0 => {}
                1 => drop(stream.write_all(b"PRI * HTTP/2.0\r\n").await),
                _ => drop(Peer::connect(address).await.send(&watch(1)).await),
            }
        }
    });
    timeout(TEST_TIMEOUT, join_all(come_and_go)).await.unwrap();
    flooded.survived().await;
}

#[tokio::test]
async fn silent_connections_are_cheap_and_leave_room_for_others() {
    let flooded = Flooded::start().await;
    // As many as one address may have, and more.
    let mut idle = Vec::new();
    for _ in 0..150 {
        idle.push(Peer::connect(flooded.address).await);
    }
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(TcpStream::connect(flooded.address).await.unwrap());
    }
    let elsewhere = GreeterServiceClient::new(from_elsewhere(flooded.address, 3).await);
    elsewhere.clone().say_hello(SayHelloRequest { name: "bea".into() }).await.unwrap();
    flooded.survived().await;
    drop((idle, silent));
}
