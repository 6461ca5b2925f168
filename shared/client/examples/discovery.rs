//! Cost of service discovery through Consul, measured on a real agent:
//!
//! - from an instance passing its check to watchers being told, and to the first call
//!   that the instance answers;
//! - memory for each endpoint, watched only and connected;
//! - processor time while a thousand instances come and go, and while they stay.
//!
//! `cargo run --profile dist -p gantry-client --example discovery`; needs `consul` and takes
//! two minutes. The instances run in a process of their own, so that they do not count.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on fails, and prints what it found"
)]

#[path = "discovery/fleet.rs"]
mod fleet;

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use fleet::Fleet;
use gantry_client::Channel;
use gantry_consul_agent::Agent;
use gantry_contract::{
    Access, Contract, Idempotency, MethodKind, MethodPolicy, Repeats, ServicePolicy,
};
use gantry_discovery::{Kind, Registry, Settings, Watch};
use http::uri::PathAndQuery;
use serde_json::json;
use tokio::time::sleep;
use tonic::{Request, client::Grpc};
use tonic_prost::ProstCodec;

const INSTANCES: u32 = 1000;
const CHURN: Duration = Duration::from_secs(30);
const REGISTRATIONS: u32 = 200;

const WHERE: &str = "/test.Echo/Where";

static CONTRACT: Contract = Contract {
    services: &[ServicePolicy {
        name: "test.Echo",
        methods: &[MethodPolicy {
            path: WHERE,
            kind: MethodKind::Unary,
            timeout: Duration::from_secs(5),
            access: Access::Public,
            idempotency: Idempotency::NoSideEffects,
            repeats: Repeats::Never,
            rate_class: None,
            max_request_bytes: None,
        }],
    }],
    roles: &[],
    permissions: &[],
    rate_classes: &[],
    descriptor_set: &[],
};

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some(fleet::ROLE) {
        return fleet::run().await;
    }
    let agent = Agent::start().await;
    let mut fleet = Fleet::start(&agent.url());
    println!("| discovery | value | unit | target | |\n|---|---|---|---|---|");
    crowd(&agent, &mut fleet).await;
    latency(&agent, &fleet).await;
}

/// One row of the table; `limit` is what the value may not exceed.
fn row(name: &str, value: f64, unit: &str, limit: Option<f64>) {
    let (target, verdict) = match limit {
        Some(limit) if value <= limit => (format!("<= {limit}"), "pass"),
        Some(limit) => (format!("<= {limit}"), "**miss**"),
        None => ("known".to_owned(), ""),
    };
    println!("| {name} | {value:.1} | {unit} | {target} | {verdict} |");
}

fn registry(agent: &Agent) -> Registry {
    let mut settings = Settings::default().kind(Kind::Consul);
    settings.consul.url = agent.url();
    Registry::from_settings(&settings).unwrap()
}

fn channel(service: &str, registry: &Registry) -> Channel {
    let channel = Channel::builder(service).contract(&CONTRACT).registry(registry.clone());
    channel.grpc_service("test.Echo").build().unwrap()
}

/// Calls, and gives which instance answered.
async fn ask(channel: &Channel) -> SocketAddr {
    let codec = ProstCodec::<String, String>::default();
    let path = PathAndQuery::from_static(WHERE);
    let answer = Grpc::new(channel.clone()).unary(Request::new(String::new()), path, codec).await;
    answer.unwrap().into_inner().parse().unwrap()
}

async fn has(watch: &mut Watch, count: u32) {
    while watch.current().len() != count as usize {
        watch.changed().await;
    }
}

/// A thousand instances: what they weigh, and what their coming and going costs.
async fn crowd(agent: &Agent, fleet: &mut Fleet) {
    let registry = registry(agent);
    let mut watch = registry.resolver.watch("crowd");
    fleet.ask("fill 10");
    has(&mut watch, 10).await;
    let before = resident();
    fleet.ask(&format!("fill {INSTANCES}"));
    has(&mut watch, INSTANCES).await;
    sleep(Duration::from_secs(2)).await;
    let watched = resident();
    let each = |bytes: f64| bytes / 1024.0 / f64::from(INSTANCES);
    row("memory of an endpoint that is watched", each(watched - before), "KiB", None);
    churn("watched", agent, fleet).await;

    let before = resident();
    let channel = channel("crowd", &registry);
    loop {
        let snapshot = channel.snapshot();
        let connected = snapshot.endpoints.iter().filter(|one| one.connections > 0).count();
        if connected == INSTANCES as usize {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    row("memory of an endpoint that is connected", each(resident() - before), "KiB", None);
    let (began, spent) = (Instant::now(), processor());
    sleep(Duration::from_secs(20)).await;
    let idle = (processor() - spent) / began.elapsed().as_secs_f64() * 100.0;
    row("processor, 1,000 endpoints connected and idle", idle, "% of a core", None);
    churn("connected", agent, fleet).await;
    fleet.ask("clear");
}

async fn churn(what: &str, agent: &Agent, fleet: &mut Fleet) {
    let (spent, asked) = (processor(), agent.queries());
    let began = Instant::now();
    let changes: f64 = fleet.ask(&format!("churn {}", CHURN.as_secs())).parse().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let (spent, asked) = (processor() - spent, agent.queries() - asked);
    let name =
        |of: &str| format!("{of}, 1,000 endpoints {what}, {:.0} changes/s", changes / seconds);
    row(&name("processor"), spent / seconds * 100.0, "% of a core", None);
    row(&name("questions asked"), asked as f64 / seconds, "1/s", Some(21.0));
}

/// From passing to told, and to the first call.
async fn latency(agent: &Agent, fleet: &Fleet) {
    let registry = registry(agent);
    let watch = registry.resolver.watch("latency");
    let channel = channel("latency", &registry);
    let (mut told, mut called) = (Vec::new(), Vec::new());
    for number in 0..REGISTRATIONS {
        let address = fleet.address(number);
        let body = json!({
            "ID": format!("latency-{number}"), "Name": "latency",
            "Address": address.ip(), "Port": address.port(),
            "Check": {"CheckID": format!("passes-{number}"), "TTL": "600s", "Status": "critical"},
        });
        agent.send("PUT", "/v1/agent/service/register", Some(body)).await;
        // Consul reports the critical instance first.
        sleep(Duration::from_millis(100)).await;

        let passing = Instant::now();
        let pass = format!("/v1/agent/check/pass/passes-{number}");
        let is_told = async {
            let mut watch = watch.clone();
            while !watch.current().endpoints().iter().any(|one| one.address == address) {
                watch.changed().await;
            }
            passing.elapsed()
        };
        let is_called = async {
            while ask(&channel).await != address {}
            passing.elapsed()
        };
        let (_, is_told, is_called) =
            tokio::join!(agent.send("PUT", &pass, None), is_told, is_called);
        told.push(is_told);
        called.push(is_called);

        if number > 0 {
            let path = format!("/v1/agent/service/deregister/latency-{}", number - 1);
            agent.send("PUT", &path, None).await;
            has(&mut watch.clone(), 1).await;
        }
    }
    for (what, mut took, limit) in [("to told", told, 50.0), ("to the first call", called, 100.0)] {
        took.sort_unstable();
        let at = |share: f64| {
            let index = (took.len() as f64 * share).ceil() as usize;
            took[index.clamp(1, took.len()) - 1].as_secs_f64() * 1e3
        };
        let name = |of: &str| format!("passing {what}, {of} of {}", took.len());
        row(&name("p50"), at(0.5), "ms", None);
        row(&name("p99"), at(0.99), "ms", Some(limit));
    }
}

/// The memory of this process, in bytes.
fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

/// The processor time of this process, in seconds.
fn processor() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which may hold anything; in hundredths of a second.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
    let ticks = |number: usize| fields[number].parse::<f64>().unwrap();
    (ticks(12) + ticks(13)) / 100.0
}
