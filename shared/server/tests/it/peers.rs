//! Foreign peers, frame by frame.

use bytes::Bytes;
use gantry_probe::probe::v1::ActRequest;
use h2::client::SendRequest;
use http::HeaderMap;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    raw::{framed, request},
    world::{PATIENCE, World},
};

const ACT: &str = "/probe.v1.ProbeService/Act";

/// A connection that a stock HTTP/2 client drives.
async fn connect(world: &World) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Calls with a message in these parts, each a DATA frame, and returns the trailers.
async fn call_in_parts(peer: &SendRequest<Bytes>, parts: &[Bytes]) -> HeaderMap {
    let called = async {
        let mut sender = peer.clone().ready().await.unwrap();
        let head = request(ACT, Bytes::new()).map(drop);
        let (answer, mut body) = sender.send_request(head, false).unwrap();
        let (last, parts) = parts.split_last().unwrap();
        for part in parts {
            body.send_data(part.clone(), false).unwrap();
        }
        body.send_data(last.clone(), true).unwrap();
        let mut answer = answer.await.unwrap().into_body();
        while let Some(data) = answer.data().await {
            data.unwrap();
        }
        answer.trailers().await.unwrap().unwrap()
    };
    timeout(PATIENCE, called).await.expect("the call is answered")
}

#[tokio::test]
async fn a_peer_that_ends_requests_as_jetty_does_keeps_its_connection() {
    let world = World::start().await;
    let peer = connect(&world).await;
    let (message, empty) = (framed(&ActRequest::default()), Bytes::new());
    let parts = [empty.clone(), message, empty.clone(), empty];
    for _ in 0..300 {
        assert_eq!(call_in_parts(&peer, &parts).await["grpc-status"], "0");
    }
}
