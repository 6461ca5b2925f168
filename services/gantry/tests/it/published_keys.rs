//! A suite whose services fetch the keys of users' tokens from the user service.

use gantry_identity::SigningKey;

use crate::{
    cluster::{Cluster, Through, local_file},
    pages::page,
    process::Suite,
    shop::Shop,
};

#[tokio::test(flavor = "multi_thread")]
async fn services_trust_the_keys_that_the_user_service_publishes() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    for service in ["order", "inventory"] {
        SigningKey::load_or_create(file(&format!("{service}.pem")).as_ref()).unwrap();
    }
    let (order, inventory) = (file("order.pem"), file("inventory.pem"));
    let by_order = format!(
        "{{ issuer = 'order', issues = 'service', key_file = '{}' }}",
        file("order.pub.pem")
    );
    let by_users = "{ issuer = 'gantry', issues = 'users', jwks = 'user' }";
    let settings = format!(
        "[user.identity]\ntrusted = [{by_order}]\n\
         [order.identity]\nkey_file = '{order}'\ntrusted = [{by_users}]\n\
         [inventory.identity]\nkey_file = '{inventory}'\ntrusted = [{by_users}, {by_order}]\n",
    );
    std::fs::write(file("settings.toml"), settings).unwrap();
    let suite = Suite::start(&["--config", &file("settings.toml")]);
    let shop = Shop::open(&suite).await;
    let (_, order) = shop.one_confirmed_order().await;
    assert_eq!(order.status(), gantry_proto::shop::order::v1::OrderStatus::Confirmed);
    // Each service has metrics of its own channel to the user service and of its keys.
    let metrics = page(&suite, "/metrics");
    for service in ["order", "inventory"] {
        let endpoints = format!(
            "gantry_client_endpoints{{gantry_service=\"{service}\",gantry_state=\"connected\",grpc_target=\"user\"}} 1\n"
        );
        let keys = format!(
            "gantry_identity_published_keys{{gantry_issuer=\"gantry\",gantry_service=\"{service}\","
        );
        assert!(metrics.contains(&endpoints) && metrics.contains(&keys), "{service}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_without_the_user_service_keeps_trusted_keys() {
    let folder = tempfile::tempdir().unwrap();
    let fetching = |service: &str| {
        let text = std::fs::read_to_string(local_file(service)).unwrap();
        let text = match service {
            "inventory" => {
                text.replace("key_file = \".gantry/keys/users-tokens.pub.pem\"", "jwks = \"user\"")
            }
            _ => text,
        };
        assert_eq!(text.contains("jwks"), service == "inventory");
        let path = folder.path().join(format!("{service}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut cluster = Cluster::configured(Through::List, &["user", "inventory"], &[], fetching);
    let shop = cluster.shop().await;
    let product = shop.product(7).await;

    cluster.kill("user", 0);
    cluster.kill("inventory", 0);
    cluster.start_again("inventory", 0);
    // The channel may wait longer between two connection attempts than a call lasts.
    let shop = cluster.shop_anew(&shop);
    assert_eq!(shop.stock(&product.sku).await, (7, 0), "{}", cluster.log("inventory"));
}
