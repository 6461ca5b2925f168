//! Walks through a running suite, by our client and by a foreign one.

use std::process::Command;

use gantry_proto::shop::order::v1::OrderStatus;
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    process::{Suite, gantry},
};

#[test]
fn our_own_demo_walks_a_running_suite() {
    let suite = Suite::start(&[]);
    let mut demo = gantry();
    demo.arg("demo").args(["--port-offset", &suite.offset().to_string()]);
    demo.arg("--data-dir").arg(suite.data());
    let output = demo.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for line in ["ORDER_STATUS_CONFIRMED", "ORDER_STATUS_REJECTED", "done:"] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn a_load_of_orders_is_checked_to_the_last_one() {
    let suite = Suite::start(&[]);
    let mut demo = gantry();
    demo.arg("demo").args(["--port-offset", &suite.offset().to_string()]);
    demo.arg("--data-dir").arg(suite.data()).args(["--seconds", "1", "--callers", "2"]);
    let output = demo.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let load = text.lines().last().unwrap();
    let orders =
        load.strip_prefix("load: ").and_then(|rest| rest.split_once(" orders in 1 s, 0 failed"));
    assert!(orders.is_some_and(|(count, _)| count.parse::<u32>().unwrap() > 0), "{load}");
}

#[test]
fn an_operator_lists_and_shows_sagas() {
    let suite = Suite::start(&[]);
    let run = |arguments: &[&str]| {
        let mut gantry = gantry();
        gantry.arg(arguments[0]).args(["--port-offset", &suite.offset().to_string()]);
        gantry.arg("--data-dir").arg(suite.data()).args(&arguments[1..]);
        let output = gantry.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    assert!(run(&["demo"]).0);
    // The demo places one order that is confirmed and one that is rejected.
    let (listed, sagas, error) = run(&["sagas", "list"]);
    assert!(listed, "{error}");
    let undone = sagas.lines().find(|line| line.contains(" place-order/1 UNDONE ")).unwrap();
    let id = undone.split(' ').next().unwrap();
    let (shown, saga, error) = run(&["sagas", "show", id]);
    assert!(shown, "{error}");
    assert!(saga.contains(" FAILED reserve-stock INSUFFICIENT_STOCK "), "{saga}");
    let (resumed, _, error) = run(&["sagas", "resume", id]);
    assert!(!resumed && error.contains("the saga is not stuck: it is undone"), "{error}");
    let (aborted, _, error) = run(&["sagas", "abort", id, "--note", "late"]);
    assert!(!aborted && error.contains("the saga has ended: it is undone"), "{error}");
    let (_, stuck, _) = run(&["sagas", "list", "--status", "stuck"]);
    assert_eq!(stuck, "");
}

#[test]
fn a_foreign_client_walks_by_reflection_alone() {
    let python = std::env::var_os("FOREIGN_PYTHON").expect(
        "FOREIGN_PYTHON names a Python with services/gantry/tests/foreign/requirements.txt \
         installed; `./test setup` makes one at target/venv/bin/python",
    );
    let suite = Suite::start(&["--replicas", "user=3,inventory=2"]);
    let output = Command::new(python)
        .arg("-B")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/walk.py"))
        .args(["--user", &suite.addresses("user")[2].to_string()])
        .args(["--inventory", &suite.addresses("inventory")[1].to_string()])
        .args(["--order", &suite.addresses("order")[0].to_string()])
        .args(["--password", &suite.admin_password()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        suite.process.log(),
    );
}

#[test]
fn a_foreign_client_reads_options_and_rules_by_reflection() {
    let suite = Suite::start(&[]);
    let output = Command::new(std::env::var_os("FOREIGN_PYTHON").expect("FOREIGN_PYTHON"))
        .arg("-B")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/reflect.py"))
        .arg(suite.addresses("user")[0].to_string())
        .args(["shop.user.v1.UserService", "GetUser"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{}", suite.process.log());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        found["services"],
        json!([
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "shop.user.v1.AuthService",
            "shop.user.v1.UserService",
        ])
    );
    assert_eq!(found["unknown"], true);
    assert_eq!(found["policy"]["permission"], "users:read");
    assert_eq!(found["rules"]["id"]["string"]["uuid"], true, "{found}");
    assert_eq!(found["extensions"], json!([50601]));
    assert_eq!(found["refusal"]["code"], "UNAUTHENTICATED");
    let info = &found["refusal"]["details"][0];
    assert_eq!(info["@type"], "google.rpc.ErrorInfo");
    assert_eq!((&info["reason"], &info["domain"]), (&json!("TOKEN_MISSING"), &json!("gantry")));
}

#[test]
fn replicas_listen_on_ports_a_hundred_apart() {
    let suite = Suite::start(&["--replicas", "user=3"]);
    let ports: Vec<u16> = suite.addresses("user").iter().map(|address| address.port()).collect();
    let first = 50051 + suite.offset();
    assert_eq!(ports, [first, first + 100, first + 200]);
}

#[tokio::test]
async fn the_services_find_each_other_as_processes_of_their_own() {
    let cluster = Cluster::start(&["user", "inventory", "order"]);
    let shop = cluster.shop().await;
    let (_, order) = shop.one_confirmed_order().await;
    assert_eq!(order.status(), OrderStatus::Confirmed, "{}", cluster.logs());
}
