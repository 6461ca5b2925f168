//! A stock client in another language follows the contract's service config: Python's grpcio, which
//! uses gRPC's C core.

use std::{ffi::OsString, fs, net::SocketAddr, process::Command};

use gantry_probe::{SERVICE_CONFIG, probe::v1::ActRequest};
use prost::Message;
use tokio::task::spawn_blocking;

use crate::world::{World, eventually, lenient};

/// Runs a script against the server and returns its output.
async fn run(script: &'static str, address: SocketAddr, arguments: Vec<OsString>) -> String {
    let python = std::env::var_os("FOREIGN_PYTHON").expect(
        "FOREIGN_PYTHON names a Python with services/gantry/tests/foreign/requirements.txt \
         installed; `./test setup` makes one at target/venv/bin/python",
    );
    let output = spawn_blocking(move || {
        Command::new(python)
            .arg("-B")
            .arg(format!("{}/tests/foreign/{script}", env!("CARGO_MANIFEST_DIR")))
            .arg(address.to_string())
            .args(arguments)
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Returns the result of a call by the foreign client, and the number of calls that reached the
/// handler.
async fn call(config: &str, method: &str, request: ActRequest) -> (String, usize) {
    let world = World::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), config).unwrap();
    let digits = |byte: u8| format!("{byte:02x}");
    let request: String = request.encode_to_vec().into_iter().map(digits).collect();
    let path = format!("/probe.v1.ProbeService/{method}");
    let arguments = vec![file.path().into(), path.into(), request.into()];
    (run("retry.py", world.address, arguments).await, world.seen.started())
}

fn failing(fail_attempts: u32) -> ActRequest {
    ActRequest { fail_attempts, ..ActRequest::default() }
}

fn outcome(code: &str, calls: usize) -> (String, usize) {
    (code.to_owned(), calls)
}

#[tokio::test]
async fn a_foreign_client_retries_by_the_service_config() {
    assert_eq!(call(SERVICE_CONFIG, "Act", failing(2)).await, outcome("OK", 3));
}

#[tokio::test]
async fn a_foreign_client_stops_at_the_configured_attempts() {
    assert_eq!(call(SERVICE_CONFIG, "Act", failing(9)).await, outcome("UNAVAILABLE", 3));
}

#[tokio::test]
async fn a_foreign_client_does_not_retry_unsafe_methods() {
    assert_eq!(call(SERVICE_CONFIG, "Once", failing(1)).await, outcome("UNAVAILABLE", 1));
}

#[tokio::test]
async fn a_foreign_client_without_the_config_does_not_retry() {
    assert_eq!(call("{}", "Act", failing(1)).await, outcome("UNAVAILABLE", 1));
}

#[tokio::test]
async fn a_foreign_client_calls_methods_of_all_four_kinds() {
    let world = World::start().await;
    kinds(world, Vec::new()).await;
}

#[tokio::test]
async fn a_foreign_client_may_send_and_receive_gzip() {
    let settings = lenient().compression(true);
    let world = World::with(|builder| builder.settings(settings)).await;
    kinds(world, vec!["gzip".into()]).await;
}

async fn kinds(world: World, arguments: Vec<OsString>) {
    let said = run("kinds.py", world.address, arguments).await;
    assert_eq!(said, "unary, [1, 2, 3], 55, [1, 2, 3], INVALID_ARGUMENT, CANCELLED");
    eventually("the last one is dropped", || world.seen.dropped() == 2).await;
    assert_eq!((world.seen.started(), world.seen.finished()), (6, 4));
}

#[tokio::test]
async fn small_messages_of_a_foreign_client_fail_no_call() {
    let world = World::start().await;
    assert_eq!(run("small.py", world.address, Vec::new()).await, "OK, OK");
}

#[tokio::test]
async fn the_authority_of_a_unix_socket_is_accepted() {
    let world = World::start().await;
    assert_eq!(run("authority.py", world.address, Vec::new()).await, "OK");
}
