//! `gantry up` on a real Consul agent.

use crate::{agent::Agent, process::Suite, shop::Shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_finds_itself_through_consul_and_leaves_nothing_there() {
    let agent = Agent::start();
    let mut suite =
        Suite::start(&["--registry", "consul", "--consul", &agent.url(), "--replicas", "user=2"]);
    let shop = Shop::open(&suite).await;
    shop.one_confirmed_order().await;

    assert!(suite.terminate().success(), "{}", suite.process.log());
    assert_eq!(agent.services().trim(), "consul");
}
