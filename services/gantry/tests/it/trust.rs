//! Trust and grants in addition to the suite's own.

use std::{fs, process::Output};

use gantry_client::{Channel, ClientSettings};
use gantry_discovery::Registry;
use gantry_identity::{ServiceSigner, SigningKey};
use gantry_proto::{
    CONTRACT,
    shop::user::v1::{ListUsersRequest, user_service_client::UserServiceClient},
};
use serde_json::Value;
use tonic::Code;

use crate::{
    pages::page,
    process::{Suite, free_offset, gantry},
    shop::Shop,
};

fn keys(args: &[&str]) -> Output {
    gantry().arg("keys").args(args).output().unwrap()
}

/// Calls the user service as `service` with its key.
async fn list_users(suite: &Suite, service: &str, key: &std::path::Path) -> Result<(), Code> {
    let registry = Registry::fixed([("user", [suite.addresses("user")[0].to_string()])]);
    let signer = ServiceSigner::new(service, SigningKey::load(key).unwrap());
    let channel = Channel::builder("user")
        .contract(&CONTRACT)
        .registry(registry.unwrap())
        .signer(signer.into())
        .settings(ClientSettings::default())
        .build();
    let mut users = UserServiceClient::new(channel.unwrap());
    let listed = users.list_users(ListUsersRequest::default()).await;
    listed.map(drop).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_added_with_the_lines_that_gantry_keys_prints() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("it's mine");
    let args = ["loyalty", "--calls", "user", "--data-dir", data.to_str().unwrap()];
    let output = keys(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains("# Permissions of loyalty in user; choose from users:"), "{lines}");
    // A second run keeps the keys.
    let key = data.join("keys/loyalty.pem");
    let before = fs::read(&key).unwrap();
    assert_eq!(keys(&args).stdout, lines.as_bytes());
    assert_eq!(fs::read(&key).unwrap(), before);

    let config = folder.path().join("gantry.toml");
    fs::write(&config, &lines).unwrap();
    let mut suite = Suite::start(&["--config", config.to_str().unwrap()]);
    assert_eq!(list_users(&suite, "loyalty", &key).await, Err(Code::PermissionDenied));
    // The suite's own trust and grants are unchanged.
    Shop::open(&suite).await.one_confirmed_order().await;
    assert!(suite.terminate().success());

    fs::write(&config, lines.replace("loyalty = []", "loyalty = [\"users:list\"]")).unwrap();
    let suite = Suite::start(&["--config", config.to_str().unwrap()]);
    assert_eq!(list_users(&suite, "loyalty", &key).await, Ok(()));
    Shop::open(&suite).await.one_confirmed_order().await;

    let shown: Value = serde_json::from_str(&page(&suite, "/config")).unwrap();
    let trusted = shown["user"]["identity"]["trusted"].as_array().unwrap();
    let issuers: Vec<_> = trusted.iter().map(|key| key["issuer"].as_str().unwrap()).collect();
    assert_eq!(issuers, ["gantry", "order", "inventory", "loyalty"]);
    assert!(
        trusted.iter().all(|key| key["key_file"].as_str().is_some_and(|file| !file.is_empty()))
    );
    let sources = &shown["sources"];
    let file = format!("file {}", config.display());
    assert_eq!(sources["user.identity.trusted.3.issuer"], file);
    assert!(sources["user.identity.trusted.0.issuer"].as_str().unwrap().starts_with("--data-dir"));
}

#[test]
fn each_missing_file_is_named_with_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let (config, none) = (folder.path().join("gantry.toml"), folder.path().join("none.pem"));
    let none = none.display();
    let trusted = format!("issuer = 'loyalty'\nissues = 'service'\nkey_file = '{none}'\n");
    let tls = format!("tls = {{ cert_file = '{none}', key_file = '{none}' }}\n");
    let text = format!(
        "[[user.identity.trusted]]\n{trusted}[[inventory.identity.trusted]]\n{trusted}\
         [user.tokens]\nkey_file = '{none}'\npublished_key_files = ['{none}']\n\
         [order.identity]\nkey_file = '{none}'\n\
         [order.server]\n{tls}[order.clients.user.tls]\nca_file = '{none}'\n"
    );
    fs::write(&config, text).unwrap();
    let data = folder.path().join("data");
    let mut up = gantry();
    up.args(["up", "--port-offset", &free_offset().to_string(), "--data-dir"]).arg(&data);
    let output = up.arg("--config").arg(&config).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for key in [
        "user.identity.trusted.3.key_file: ",
        "inventory.identity.trusted.3.key_file: ",
        "user.tokens.key_file: ",
        "user.tokens.published_key_files.0: ",
        "order.identity.key_file: ",
        "order.server.tls.cert_file: ",
        "order.clients.user.tls.ca_file: ",
    ] {
        let line = told.lines().find(|line| line.contains(key));
        let line = line.unwrap_or_else(|| panic!("no {key} in {told}"));
        assert!(line.contains("none.pem") && line.ends_with("gantry.toml)"), "{line}");
    }
    assert_eq!(told.lines().count(), 7, "{told}");
    assert!(!data.exists());
}

#[test]
fn keys_with_reserved_names_are_not_made() {
    for name in ["gantry", "users-tokens", "../x", "A"] {
        let output = keys(&[name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(output.stdout.is_empty(), "{name}");
    }
}
