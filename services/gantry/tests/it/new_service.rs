//! What `gantry new` makes: a workspace that builds, passes its test and answers its first call.

use std::{env, net::TcpStream, process::Command};

use http_body_util::{BodyExt, Full};
use tonic::{body::Body, transport::Channel};
use tower::ServiceExt;

use crate::{
    architecture::root,
    cluster::binary,
    process::{Process, free_address, free_offset, gantry},
};

/// The body of the answer to a call without content.
async fn call(address: &str, path: &str) -> Vec<u8> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::from(vec![0; 5])));
    let channel = channel.connect().await.unwrap();
    let response = channel.oneshot(request.unwrap()).await.unwrap();
    assert!(!response.headers().contains_key("grpc-status"), "{response:?}");
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    body.to_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_service_builds_passes_its_test_and_answers_beside_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let (data, made) = (folder.path().join("data"), folder.path().join("loyalty"));
    let mut new = gantry();
    new.args(["new", "loyalty", "--calls", "user,inventory", "--path"]).arg(root());
    let output = new.arg("--into").arg(&made).arg("--data-dir").arg(&data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // Beside this workspace's artifacts, so that it has most of its dependencies.
    let target = gantry().get_program().to_owned();
    let target = std::path::Path::new(&target).ancestors().nth(2).unwrap().to_owned();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut test = Command::new(cargo);
    test.args(["test", "--offline"]).current_dir(&made);
    let output = test.env("CARGO_TARGET_DIR", target).env("CARGO_PROFILE_DEV_DEBUG", "0").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 passed"));

    let offset = free_offset();
    let mut up = gantry();
    up.args(["up", "--port-offset", &offset.to_string(), "--config"]).arg(made.join("gantry.toml"));
    up.arg("--data-dir").arg(&data);
    let mut suite = Process::start(&mut up, &folder.path().join("suite.log"));
    suite.until_logged("ready");

    let address = free_address();
    let at = |port: u16| format!("[\"127.0.0.1:{}\"]", port + offset);
    let mut service = binary("loyalty-service");
    service.arg("--config").arg(made.join("local.toml"));
    service.env("GANTRY_LISTEN", address.to_string()).env("GANTRY_ADMIN__LISTEN", "127.0.0.1:0");
    service.env("GANTRY_DISCOVERY__STATIC__USER", at(50_051));
    service.env("GANTRY_DISCOVERY__STATIC__INVENTORY", at(50_053));
    let mut service = Process::start(&mut service, &folder.path().join("service.log"));
    service.until("a listener", || TcpStream::connect(address).is_ok());
    let answer = call(&address.to_string(), "/loyalty.v1.LoyaltyService/GetSummary").await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    for text in ["The shop today", "users", "products"] {
        assert!(answer.contains(text), "{answer:?}\n{}", service.log());
    }
    service.send_term();
    assert!(service.wait().success());
}
