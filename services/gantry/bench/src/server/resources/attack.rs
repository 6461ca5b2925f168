//! Attacks.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gantry_contract::gzip::Recoder;
use gantry_proto::shop::order::v1::{GetOrderRequest, PlaceOrderRequest};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::{
    flood::{Call, Flood, Source, encoded, framed},
    suite::{Suite, attackers_address},
    wire::{END_HEADERS, HEADERS, PING, PRIORITY, SETTINGS, Wire, frame, head, text},
};

const CREATE: &str = "/shop.order.v1.OrderService/CreateOrder";
const GET: &str = "/shop.order.v1.OrderService/GetOrder";
const PLACE: &str = "/shop.order.v1.OrderService/PlaceOrder";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Attack by one caller on the memory or the processor time of a server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attack {
    Places,
    HeaderMemory,
    Idle,
    Decoding,
    Bombs,
    Writes,
    Refusals,
    Control,
    Tokens,
}

impl Attack {
    pub(super) const ALL: [Self; 9] = [
        Self::Places,
        Self::HeaderMemory,
        Self::Idle,
        Self::Decoding,
        Self::Bombs,
        Self::Writes,
        Self::Refusals,
        Self::Control,
        Self::Tokens,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Places => "100 calls without a message",
            Self::HeaderMemory => "6,000 calls of 480 headers",
            Self::Idle => "1,000 idle connections",
            Self::Decoding => "orders of empty items",
            Self::Bombs => "orders that decompress to 20 MB",
            Self::Writes => "drafts as fast as they are taken",
            Self::Refusals => "calls without a token or a method",
            Self::Control => "PING, SETTINGS and PRIORITY frames",
            Self::Tokens => "bad tokens from the others' address",
        }
    }

    /// Attacks for a duration. Returns the bytes sent.
    pub(super) async fn run(self, suite: &Suite, window: Duration) -> u64 {
        let token = suite.attacker.token.as_str();
        let call = |path, token: Option<&str>, body| Call {
            path,
            token: token.map(str::to_owned),
            encoding: None,
            body: Source::Same(body),
        };
        let flood =
            |connections, at_once, calls| Flood { connections, at_once, from_others: false, calls };
        match self {
            Self::Places => {
                let block = head(PLACE, Some(token));
                held(suite, 4, window, move |wire| Box::pin(begin(wire, block.clone(), 25))).await
            }
            Self::HeaderMemory => {
                let mut block = head(HEALTH, None);
                // A header that enters the connection's table; each reference to it takes one byte.
                block.push(0x40);
                text(&mut block, "x");
                text(&mut block, "y");
                block.extend([0xbe; 480]);
                held(suite, 60, window, move |wire| Box::pin(begin(wire, block.clone(), 100))).await
            }
            Self::Idle => held(suite, 1_000, window, |_| Box::pin(async { Ok(()) })).await,
            Self::Decoding => {
                // The maximum number of a message, and of this method.
                let items = |bytes: usize| framed(&[0x12, 0].repeat(bytes / 2));
                let calls = [4 * 1024 * 1024, 100 * 1024];
                let calls = calls.map(|bytes| call(CREATE, Some(token), items(bytes)));
                flood(4, 2, calls.into()).run(suite, window).await
            }
            Self::Bombs => {
                // An unknown field of 20 MB: compressed, it is below the limit.
                let mut bomb = vec![0xfa, 0x3f, 0x80, 0xda, 0xc4, 0x09];
                bomb.resize(20_000_006, 0);
                let body = Recoder::deflating().pass(&framed(&bomb)).unwrap_or_default();
                let bomb = Call { encoding: Some("gzip"), ..call(CREATE, Some(token), body) };
                flood(4, 4, vec![bomb]).run(suite, window).await
            }
            Self::Writes => {
                let template = suite.attacker.new_order();
                let body = Source::New(Arc::new(move || {
                    let request_id = uuid::Uuid::now_v7().to_string();
                    let mut order = template.clone();
                    order.request_id = request_id;
                    encoded(&order)
                }));
                let write = Call { body, ..call(CREATE, Some(token), Default::default()) };
                flood(4, 8, vec![write]).run(suite, window).await
            }
            Self::Refusals => {
                let get = encoded(&GetOrderRequest { id: suite.attacker.order.clone() });
                let calls = vec![call(GET, None, get.clone()), call("/nobody/Knows", None, get)];
                flood(8, 32, calls).run(suite, window).await
            }
            Self::Control => control(suite, window).await,
            Self::Tokens => {
                let (bad, _) = token.split_at(token.len().saturating_sub(4));
                let place = encoded(&PlaceOrderRequest::default());
                let bad = call(PLACE, Some(&format!("{bad}AAAA")), place);
                Flood { from_others: true, ..flood(4, 8, vec![bad]) }.run(suite, window).await
            }
        }
    }
}

type Saying<'a> = std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

/// Opens a number of connections, sends the same bytes on each, and holds them.
async fn held(
    suite: &Suite,
    connections: usize,
    window: Duration,
    say: impl Fn(&mut Wire) -> Saying<'_>,
) -> u64 {
    let (sent, until) = (Arc::<AtomicU64>::default(), Instant::now() + window);
    let mut held = Vec::new();
    for number in 0..connections {
        let opened = async {
            let from = attackers_address(number);
            let mut wire = Wire::connect(suite.address, from, &sent).await?;
            say(&mut wire).await?;
            io::Result::Ok(wire)
        };
        match timeout_at(until, opened).await {
            Ok(Ok(wire)) => held.push(wire),
            // Closed by the server: the next one may last longer.
            Ok(Err(_)) => sleep(Duration::from_millis(1)).await,
            Err(_) => break,
        }
    }
    tokio::time::sleep_until(until).await;
    sent.load(Ordering::Relaxed)
}

/// Begins a number of calls on a connection and ends none.
async fn begin(wire: &mut Wire, block: Vec<u8>, calls: u32) -> io::Result<()> {
    for call in 0..calls {
        wire.write(&frame(HEADERS, END_HEADERS, 2 * call + 1, &block)).await?;
    }
    Ok(())
}

/// Empty frames that cost the receiver a response or some work.
async fn control(suite: &Suite, window: Duration) -> u64 {
    let frames = [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9]),
    ];
    let frames: Arc<[u8]> = frames.concat().repeat(50).into();
    let (sent, until) = (Arc::<AtomicU64>::default(), Instant::now() + window);
    let mut connections = JoinSet::new();
    for number in 0..8 {
        let (frames, sent, address) = (Arc::clone(&frames), Arc::clone(&sent), suite.address);
        connections.spawn(timeout_at(until, async move {
            loop {
                let wire = Wire::connect(address, attackers_address(number), &sent).await;
                if let Ok(mut wire) = wire {
                    while wire.write(&frames).await.is_ok() {}
                }
                sleep(Duration::from_millis(50)).await;
            }
        }));
    }
    let _: Vec<Result<std::convert::Infallible, _>> = connections.join_all().await;
    sent.load(Ordering::Relaxed)
}
