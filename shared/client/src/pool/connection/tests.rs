//! Tests of one connection against a peer that speaks raw frames.

use http::{HeaderMap, Uri};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    exchange::{Unanswered, exchange, request},
    payload::RequestBody,
};

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Frame heads of a ping and of its acknowledgement.
const PING: [u8; 9] = [0, 0, 8, 6, 0, 0, 0, 0, 0];
const PONG: [u8; 9] = [0, 0, 8, 6, 1, 0, 0, 0, 0];

/// Opens a connection that is not driven yet, and its peer's end.
async fn connected() -> (Connection, Drive, TcpStream) {
    connected_to(true).await
}

async fn connected_to(is_gantry: bool) -> (Connection, Drive, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, settings) = (listener.local_addr().unwrap(), ClientSettings::default());
    let pace = Pace::new(&settings, is_gantry, 0);
    let open = Connection::open(address, pace, None, &settings);
    let greet = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        peer.write_all(SETTINGS).await.unwrap();
        peer
    };
    let (opened, peer) = tokio::join!(open, greet);
    let (connection, drive) = opened.unwrap();
    (connection, drive, peer)
}

async fn call(sender: Sender) -> Unanswered {
    let uri = Uri::from_static("http://echo/test.Echo/Add");
    let request = request(&uri, HeaderMap::new());
    let body = RequestBody::Whole(Bytes::from_static(b"message"));
    exchange(sender, request, body).await.unwrap_err()
}

#[tokio::test]
async fn a_queued_but_unwritten_call_was_never_sent() {
    let (connection, drive, _peer) = connected().await;
    let mut calling = pin!(call(connection.sender()));
    assert!(poll_fn(|cx| Poll::Ready(calling.as_mut().poll(cx))).await.is_pending());
    drop(drive);
    let Unanswered::NeverSent(RequestBody::Whole(message)) = calling.await else {
        panic!("nothing was written");
    };
    assert_eq!(message, "message");
    // A call on a closed connection is not sent either.
    assert!(matches!(call(connection.sender()).await, Unanswered::NeverSent(_)));
    assert!(connection.is_closed());
}

/// Skips this time, then polls the connection once.
async fn after(drive: &mut Drive, time: Duration) -> Poll<Result<(), Broken>> {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    poll_fn(|cx| Poll::Ready(drive.poll_driver(cx))).await
}

#[tokio::test]
async fn an_arrived_pong_counts_even_if_it_is_read_late() {
    let (_connection, mut drive, mut peer) = connected().await;
    let ClientSettings { keep_alive_interval, keep_alive_timeout, .. } = ClientSettings::default();
    // Its settings have arrived.
    assert!(after(&mut drive, Duration::ZERO).await.is_pending());
    assert!(after(&mut drive, 2 * keep_alive_interval).await.is_pending());
    // Now the ping is written.
    assert!(after(&mut drive, Duration::ZERO).await.is_pending());
    let mut read = Vec::new();
    let payload = loop {
        let payload = read.windows(17).find_map(|part| part.strip_prefix(&PING));
        if let Some(payload) = payload {
            break payload.to_vec();
        }
        assert!(peer.read_buf(&mut read).await.unwrap() > 0);
    };
    peer.write_all(&[&PONG, &*payload].concat()).await.unwrap();
    // Time to cross the loopback without a poll.
    sleep(Duration::from_millis(100)).await;
    assert!(after(&mut drive, 2 * keep_alive_timeout).await.is_pending());
    // The next one is not answered.
    assert!(after(&mut drive, 2 * keep_alive_interval).await.is_pending());
    let ended = after(&mut drive, 2 * keep_alive_timeout).await;
    assert!(matches!(ended, Poll::Ready(Err(Broken::Silent))), "{ended:?}");
}

/// Returns the number of pings that the peer got. Its own ping is acknowledged after them.
async fn pings(drive: &mut Drive, peer: &mut TcpStream) -> usize {
    const OWN: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9];
    const ANSWER: [u8; 17] = [0, 0, 8, 6, 1, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9];
    peer.write_all(&OWN).await.unwrap();
    let mut read = Vec::new();
    let reading = async {
        while !read.ends_with(&ANSWER) {
            assert!(peer.read_buf(&mut read).await.unwrap() > 0);
        }
    };
    let driving = poll_fn(|cx| {
        assert!(drive.poll_driver(cx).is_pending());
        Poll::<()>::Pending
    });
    tokio::select! {
        () = reading => {}
        () = driving => {}
    }
    read.windows(9).filter(|part| *part == PING).count()
}

#[tokio::test]
async fn a_silent_foreign_peer_is_pinged_every_five_minutes() {
    let (connection, mut drive, mut peer) = connected_to(false).await;
    assert!(connection.reserve());
    let mut got = Vec::new();
    for seconds in [1, 80, 200, 299, 301] {
        // Every arrival postpones the next ping.
        assert!(after(&mut drive, Duration::from_secs(seconds)).await.is_pending());
        assert!(after(&mut drive, Duration::ZERO).await.is_pending());
        got.push(pings(&mut drive, &mut peer).await);
    }
    assert_eq!(got, [0, 0, 0, 0, 1]);
}

#[tokio::test]
async fn a_complaint_of_pings_is_no_other_goaway() {
    for (code, debug, complains) in [
        (11, &b"too_many_pings"[..], true),
        (11, b"", false),
        (11, b"too_many_data_frames", false),
        (0, b"too_many_pings", false),
    ] {
        let (connection, mut drive, mut peer) = connected_to(false).await;
        let length = 8 + debug.len() as u8;
        let goaway = [&[0, 0, length, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, code], debug];
        peer.write_all(&goaway.concat()).await.unwrap();
        let connection = Arc::new(connection);
        let closed = drive.until_closed(&Arc::downgrade(&connection), || {}).await;
        assert_eq!(closed.complains_of_pings(), complains, "{code} {debug:?}");
    }
}

#[tokio::test]
async fn a_call_that_was_written_and_lost_may_have_been_executed() {
    let (connection, mut drive, mut peer) = connected().await;
    let calling = tokio::spawn(call(connection.sender()));
    let connection = Arc::new(connection);
    let reading = async {
        let mut read = Vec::new();
        while !read.ends_with(b"message") {
            assert!(peer.read_buf(&mut read).await.unwrap() > 0);
        }
        drop(peer);
    };
    let weak = Arc::downgrade(&connection);
    let (closed, ()) = tokio::join!(drive.until_closed(&weak, || {}), reading);
    assert!(matches!(closed, Closed::Ended(_)));
    let Unanswered::Lost(loss) = calling.await.unwrap() else { panic!("it was written") };
    assert!(loss.connection, "{}", loss.why);
}
