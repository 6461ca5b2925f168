//! A new row of the table appears everywhere.
#![allow(unreachable_pub, reason = "the table makes public items")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use clap::Parser as _;
use gantry_contract::Contract;
use gantry_process::{Base, Callee, NoSettings, OpenError};
use gantry_proto::CONTRACT;
use gantry_server::ServerBuilder;

use super::*;
use crate::{
    cli::Cli,
    suite::{drain_order, suite},
};

/// A service that needs orders and serves nothing of its own.
pub struct Fake;

impl gantry_process::Service for Fake {
    const NAME: &'static str = "fake";
    const ABOUT: &'static str = "Is one more";
    const CONTRACT: Option<&'static Contract> = Some(&CONTRACT);
    const DEFAULTS: &'static str = "";
    const CALLS: &'static [Callee] = &[Callee { name: "order", contract: &CONTRACT }];
    type Settings = NoSettings;

    async fn open(base: &Base, _: NoSettings) -> Result<Self, OpenError> {
        base.channel("order").map(|_| Self)
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        server
    }
}

suite! {
    /// Users and their tokens.
    USER = user: gantry_user::Service, port 50051;
    /// Orders.
    ORDER = order: gantry_order::Service, port 50052;
    /// Products and stock.
    INVENTORY = inventory: gantry_inventory::Service, port 50053;
    /// One more.
    FAKE = fake: Fake, port 50054;
}

fn page(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_row_is_in_the_banner_readiness_and_drain_order() {
    let folder = tempfile::tempdir().unwrap();
    let offset = fastrand::u16(1_000..10_000).to_string();
    let data_dir = folder.path().to_str().unwrap();
    let cli = ["gantry", "--data-dir", data_dir, "--port-offset", &offset];
    let args = Cli::try_parse_from(cli).unwrap().up;
    let keys = Keys::new(&args.data_dir, SERVICES);
    let settings = settings::load::<Settings>(&args, &keys).unwrap().settings;
    let (plan, listeners) = Plan::bind(SERVICES, &args).unwrap();
    keys.provide().unwrap();
    let registry = Registry::memory();
    let metrics = Metrics::new("gantry").unwrap();
    let services = Services::open(settings, &registry, &metrics.meter()).await;
    let services = services.map_err(cannot_open).unwrap();
    let members = services.members();
    let replicas = running::replicas(&members, listeners.replicas).unwrap();
    let running = Running::serve(&members, replicas, Admin::new(), listeners.admin);
    drop(members);
    all_found(&registry, &plan).await;

    let admin = Bootstrap {
        email: ADMIN_EMAIL,
        password_file: PathBuf::from("password"),
        created_password: None,
    };
    let address = FAKE.address(0, args.port_offset).unwrap();
    let banner = ready::banner(&plan, &BTreeMap::new(), &admin).unwrap();
    let banner = String::from_utf8(banner).unwrap();
    assert!(banner.contains(&format!("  fake        {address}\n")), "{banner}");
    let ready = serde_json::to_value(Ready::new(&plan)).unwrap();
    assert_eq!(ready["services"]["fake"][0], address.to_string());

    let (readyz, endpoints) = (page(plan.admin(), "/readyz"), page(plan.admin(), "/endpoints"));
    assert!(readyz.contains("\"fake\""), "{readyz}");
    assert!(endpoints.contains("\"fake\""), "{endpoints}");

    let order = drain_order(SERVICES);
    let order: Vec<Vec<_>> =
        order.iter().map(|group| group.iter().map(|row| row.name).collect()).collect();
    assert_eq!(order, [vec!["fake"], vec!["order"], vec!["user", "inventory"]]);
    running.drain().await.unwrap();
    services.close().await;
}
