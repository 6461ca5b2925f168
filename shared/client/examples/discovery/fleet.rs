//! The instances: a process that answers at a thousand addresses, and registers them as
//! it is told.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::{BufMut, BytesMut};
use gantry_consul_agent::Api;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::StreamBody;
use hyper::{
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tonic::{Status, body::Body};

/// Argument that selects this process.
pub(crate) const ROLE: &str = "fleet";

/// Changes to the set in each round of churn, and the time between rounds.
const CHANGED: u32 = 5;
const ROUND: Duration = Duration::from_millis(200);

/// The process, as the one that measures sees it. Ends with it.
pub(crate) struct Fleet {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: u16,
}

impl Fleet {
    pub(crate) fn start(consul: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([ROLE, consul])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut fleet = Self { process, commands, answers, port: 0 };
        fleet.port = fleet.line().parse().unwrap();
        fleet
    }

    /// Has a command carried out, and gives what came of it.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        self.line()
    }

    pub(crate) fn address(&self, number: u32) -> SocketAddr {
        address(number, self.port)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// One listener answers at all of them.
fn address(number: u32, port: u16) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(Ipv4Addr::new(127, 10, 0, 1).to_bits() + number);
    SocketAddr::from((ip, port))
}

/// Carries out what its standard input says: `fill COUNT`, `churn SECONDS`, `clear`.
pub(crate) async fn run() {
    let api = Api::at(env::args().nth(2).unwrap());
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener));
    println!("{port}");
    let fleet = Registrations { api, port };
    let mut count = 0;
    loop {
        let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next());
        let Some(Ok(line)) = line.await.unwrap() else { return };
        let mut words = line.split(' ');
        let (command, number) = (words.next().unwrap(), words.next().map(str::parse::<u32>));
        match (command, number) {
            ("fill", Some(Ok(number))) => {
                for number in count..number {
                    fleet.comes(number).await;
                }
                count = number;
                println!("done");
            }
            ("churn", Some(Ok(seconds))) => {
                println!("{}", fleet.churn(count, Duration::from_secs(seconds.into())).await);
            }
            _ => {
                for number in 0..count {
                    fleet.leaves(number).await;
                }
                count = 0;
                println!("done");
            }
        }
    }
}

struct Registrations {
    api: Api,
    port: u16,
}

impl Registrations {
    async fn comes(&self, number: u32) {
        let address = address(number, self.port);
        let body = json!({
            "ID": format!("crowd-{number}"), "Name": "crowd",
            "Address": address.ip(), "Port": address.port(),
        });
        self.api.send("PUT", "/v1/agent/service/register", Some(body)).await;
    }

    async fn leaves(&self, number: u32) {
        let path = format!("/v1/agent/service/deregister/crowd-{number}");
        self.api.send("PUT", &path, None).await;
    }

    /// Has some leave and come back, round after round; gives how many changes that were.
    async fn churn(&self, count: u32, time: Duration) -> u32 {
        let (began, mut changes) = (Instant::now(), 0);
        let mut first = 0;
        while began.elapsed() < time {
            let next = began.elapsed() + ROUND;
            for number in first..first + CHANGED {
                self.leaves(number % count).await;
            }
            for number in first..first + CHANGED {
                self.comes(number % count).await;
            }
            first += CHANGED;
            changes += 2 * CHANGED;
            sleep(next.saturating_sub(began.elapsed())).await;
        }
        changes
    }
}

/// Answers every call with the address it was made to.
async fn serve(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(connection(stream));
    }
}

async fn connection(stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let address = stream.local_addr().unwrap();
    let service = service_fn(move |_: Request<Incoming>| async move {
        Ok::<_, Status>(answer(&address.to_string()))
    });
    let served = http2::Builder::new(TokioExecutor::new());
    // However it ends: the one that measures looks at its own side.
    let _ = served.serve_connection(TokioIo::new(stream), service).await;
}

/// A frame with a `google.protobuf.StringValue`, and the status OK.
fn answer(text: &str) -> Response<Body> {
    let length = u8::try_from(text.len()).unwrap();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::from(length) + 2);
    frame.put_slice(&[0x0a, length]);
    frame.put_slice(text.as_bytes());
    let ok =
        HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
    let frames = [Frame::data(frame.freeze()), Frame::trailers(ok)].map(Ok::<_, Status>);
    let mut response = Response::new(Body::new(StreamBody::new(tokio_stream::iter(frames))));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}
