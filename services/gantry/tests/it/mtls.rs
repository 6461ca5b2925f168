//! The suite with mutual TLS, configured only by the lines of docs/IDENTITY.md: orders succeed, calls
//! without a certificate fail, and certificates change under load.

mod mounted;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use gantry_client::{ClientSettings, ClientTls};
use gantry_consul_agent::{Agent, KEPT};
use gantry_proto::shop::order::v1::{Order, OrderStatus};
use gantry_test_authority::Authority;
use tonic::{Code, Status};

use self::mounted::Mounted;
use crate::{
    cluster::{Cluster, SERVICES, Through},
    load::Load,
    process::{HANG_GUARD, Suite, gantry},
    shop::{Customer, Shop, listed},
};

/// Returns the number of TLS configurations of a process that follow the files: of its server and of its
/// clients.
fn followers(service: &str) -> usize {
    if service == "order" { 3 } else { 1 }
}

const RELOADED: &str = "certificates reloaded";

fn settings(tls: ClientTls) -> ClientSettings {
    ClientSettings::default().tls(tls)
}

/// Returns settings with rate limits above the load.
const UNLIMITED: [(&str, &str); 3] = [
    ("GANTRY_ORDER__SERVER__LIMITS__CLASSES__ORDERS__PER_SECOND", "100000"),
    ("GANTRY_ORDER__SERVER__LIMITS__CLASSES__ORDERS__BURST", "100000"),
    ("GANTRY_ORDER__DRAFTS__MAX_PER_USER", "10000"),
];

/// Drafts orders for two users in turn, which calls all three services.
async fn drafting(shop: &Shop, sku: String) -> Load {
    let customers = Arc::new([shop.customer().await, shop.customer().await]);
    let (shop, drafts) = (shop.clone(), Arc::<AtomicUsize>::default());
    Load::start(4, move || {
        let (shop, customers, sku) = (shop.clone(), Arc::clone(&customers), sku.clone());
        let customer = drafts.fetch_add(1, Ordering::Relaxed) % customers.len();
        async move { shop.draft(&customers[customer], &[(&sku, 1)]).await.map(drop) }
    })
}

/// Waits for longer than the maximum age of a connection, so that all connections are new.
async fn outlive_connections(load: &Load) {
    let started = Instant::now();
    while started.elapsed() < 2 * mounted::MAX_AGE {
        load.pass(10).await;
    }
}

/// Replaces the authority in three steps: trust both, issue new certificates, trust only the new one.
/// `heard` waits until all processes have loaded this number of changes.
async fn replace(
    [old, new]: [&Authority; 2],
    mounted: &Mounted,
    load: &Load,
    mut heard: impl AsyncFnMut(usize),
) {
    let steps: [&dyn Fn(); 3] =
        [&|| mounted.trust(&[old, new]), &|| mounted.issue(new), &|| mounted.trust(&[new])];
    for (changes, change) in (1..).zip(steps) {
        change();
        heard(changes).await;
        outlive_connections(load).await;
    }
}

/// Repeats a draft until its result is as expected.
async fn until_draft(
    shop: &Shop,
    customer: &Customer,
    sku: &str,
    expected: impl Fn(&Result<Order, Status>) -> bool,
) -> Result<Order, Status> {
    let started = Instant::now();
    loop {
        let drafted = shop.draft(customer, &[(sku, 1)]).await;
        if expected(&drafted) {
            return drafted;
        }
        assert!(started.elapsed() < HANG_GUARD, "not in time: {drafted:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_lines_turn_on_mtls_and_its_authority_changes_under_load() {
    let (old, new) = (Authority::new(), Authority::new());
    let mounted = Mounted::by(&old);
    let unlimited = UNLIMITED.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut suite = Suite::start_set(&["--config", &mounted.settings_of_all()], &unlimited);
    let shop = Shop::of(&listed(&suite), &settings(mounted.caller()));
    let shop = shop.for_admin(&suite.admin_password()).await;
    let (_, order) = shop.one_confirmed_order().await;
    assert_eq!(order.status(), OrderStatus::Confirmed);

    let load = drafting(&shop, shop.product(10).await.sku).await;
    load.pass(10).await;
    let followers: usize = SERVICES.iter().map(|service| followers(service)).sum();
    let heard = async |changes| suite.process.until_logged_again(RELOADED, changes * followers);
    replace([&old, &new], &mounted, &load, heard).await;
    load.stop().await.expect_no_failure(|| suite.process.log());

    // Certificates of the old authority are rejected now.
    let stranger = Mounted::by(&old);
    let stranger = Shop::of(&listed(&suite), &settings(stranger.trusting(&new)));
    let refused = stranger.log_in("a", "b").await.unwrap_err();
    assert!(refused.message().contains("UnknownCA"), "{refused:?}");
    assert!(suite.terminate().success(), "{}", suite.process.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_with_an_expired_certificate_gets_no_calls() {
    let authority = Authority::new();
    let mounted = Mounted::by(&authority);
    let suite = Suite::start(&["--config", &mounted.settings_of_all()]);
    let shop = Shop::of(&listed(&suite), &settings(mounted.caller()));
    let shop = shop.for_admin(&suite.admin_password()).await;
    let (customer, product) = (shop.customer().await, shop.product(10).await);

    mounted.issue_expired(&authority, "inventory");
    let refused = until_draft(&shop, &customer, &product.sku, Result::is_err).await.unwrap_err();
    assert!(refused.message().contains("inventory"), "{refused:?}");
    // Only the log has the name and the path of the certificate.
    let (address, log) = (suite.addresses("inventory")[0].to_string(), suite.process.log());
    let told = |line: &str| {
        ["WARN", "inventory", &address, "certificate expired"]
            .iter()
            .all(|part| line.contains(part))
    };
    assert!(log.lines().any(told), "{log}");
    mounted.issue(&authority);
    until_draft(&shop, &customer, &product.sku, Result::is_ok).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_without_a_valid_certificate_is_rejected_with_cause() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let mounted = Mounted::by(&authority);
    let mut suite = Suite::start(&["--config", &mounted.settings_of_all()]);
    let expired = authority.issue_until("expired", &["caller"], time::Duration::hours(-1));
    let expired = ClientTls::trusting(authority.ca_file())
        .cert_file(expired.cert_file)
        .key_file(expired.key_file);
    let address = suite.addresses("user")[0].to_string();
    for (tls, why) in [
        (None, "it speaks TLS, and client.tls is not set"),
        (Some(ClientTls::trusting(authority.ca_file())), "CertificateRequired"),
        (Some(Mounted::by(&strangers).trusting(&authority)), "UnknownCA"),
        (Some(expired), "CertificateExpired"),
        (Some(mounted.trusting(&strangers)), "UnknownIssuer"),
        (Some(mounted.caller().server_name("order")), "not valid for name"),
    ] {
        let mut settings = ClientSettings::default();
        settings.tls = tls;
        let shop = Shop::of(&listed(&suite), &settings);
        let status = shop.log_in("admin@gantry.local", &suite.admin_password()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        for part in [&*address, why] {
            assert!(status.message().contains(part), "{part}: {status:?}");
        }
    }
    suite.process.until_logged("\nready\n");
    let log = suite.process.log();
    assert!(log.contains("grpcurl -cacert CA -cert CERT -key KEY -servername user "), "{log}");
    let mut demo = gantry();
    demo.args(["demo", "--port-offset", &suite.offset().to_string()]).args(mounted.flags());
    let output = demo.arg("--data-dir").arg(suite.data()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_binaries_use_mtls_with_each_other_and_with_consul() {
    let (old, new) = (Authority::new(), Authority::new());
    let mounted = Mounted::by(&old);
    let agent = Agent::start_with(&format!("{KEPT}{}", mounted.settings_of_agent())).await;
    let file = |service: &str| mounted.settings_of(service, "");
    let mut cluster = Cluster::configured(Through::Consul(&agent), SERVICES, &UNLIMITED, file);
    // The registry has only instances that passed the agent's check.
    let shop = cluster.shop_through(&settings(mounted.caller())).await;
    let (_, order) = shop.one_confirmed_order().await;
    assert_eq!(order.status(), OrderStatus::Confirmed, "{}", cluster.logs());

    let load = drafting(&shop, shop.product(10).await.sku).await;
    let passing = async || {
        for service in SERVICES {
            let path = format!("/v1/health/service/{service}?passing");
            let passing = agent.send("GET", &path, None).await;
            assert_eq!(passing.as_array().unwrap().len(), 1, "{service}");
        }
    };
    let heard = async |changes| {
        passing().await;
        // `consul reload`
        agent.signal("HUP");
        cluster.until_logged(RELOADED, |service| changes * followers(service));
    };
    replace([&old, &new], &mounted, &load, heard).await;
    passing().await;
    load.stop().await.expect_no_failure(|| cluster.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_report_to_an_agent_without_a_certificate() {
    let authority = Authority::new();
    let mounted = Mounted::by(&authority);
    let agent = Agent::start().await;
    let file = |service: &str| mounted.settings_of(service, "[discovery.consul]\ncheck = 'ttl'\n");
    let cluster = Cluster::configured(Through::Consul(&agent), SERVICES, &[], file);
    let shop = cluster.shop_through(&settings(mounted.caller())).await;
    let (_, order) = shop.one_confirmed_order().await;
    assert_eq!(order.status(), OrderStatus::Confirmed, "{}", cluster.logs());
}
