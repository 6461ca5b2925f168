//! `gantry up` on a real Consul agent.

use gantry_consul_agent::Agent;

use crate::{process::Suite, shop::Shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_registers_with_consul_and_deregisters() {
    let agent = Agent::start().await;
    let mut suite =
        Suite::start(&["--registry", "consul", "--consul", &agent.url(), "--replicas", "user=2"]);
    let shop = Shop::open(&suite).await;
    shop.one_confirmed_order().await;

    assert!(suite.terminate().success(), "{}", suite.process.log());
    assert!(agent.services().await.is_empty());
}
