//! Greeter with a low limit of open files.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
};

use greeter::greeter::v1::{SayHelloRequest, greeter_service_client::GreeterServiceClient};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    Greeter, TEST_TIMEOUT,
    floods::{Flooded, from_elsewhere},
    frames::settings,
};

/// Opens a connection from 127.0.0.`host` that speaks HTTP/2 and then stays silent.
async fn silent_from(address: SocketAddr, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings(&[])[..]].concat();
    // The server may have closed it already.
    let _ = stream.write_all(&hello).await;
    stream
}

#[tokio::test]
async fn a_process_with_few_open_files_serves_the_others() {
    gantry_server::OpenFiles::raise();
    let flooded = Flooded::with(Greeter::start_with_files(512).await).await;
    let open = || fs::read_dir(format!("/proc/{}/fd", flooded.process.id().unwrap()));
    let mut idle = Vec::new();
    for host in 10..15 {
        for _ in 0..200 {
            idle.push(silent_from(flooded.address, host).await);
        }
    }
    for host in 20..30 {
        let elsewhere = GreeterServiceClient::new(from_elsewhere(flooded.address, host).await);
        elsewhere.clone().say_hello(SayHelloRequest { name: "bea".into() }).await.unwrap();
    }
    let open = open().unwrap().count();
    assert!(open < 400, "{open} open files leave too few for databases and logs");
    flooded.survived().await;
    drop(idle);
}

#[tokio::test]
async fn a_process_with_too_few_open_files_reports_the_limit() {
    let greeter = env!("CARGO_BIN_EXE_greeter");
    let script = "ulimit -n 200 && exec \"$0\" 127.0.0.1:0";
    let ended = tokio::process::Command::new("sh").args(["-c", script, greeter]).output();
    let ended = timeout(TEST_TIMEOUT, ended).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success());
    assert!(text.contains("limit: 200, connections: 16"), "{text}");
}
