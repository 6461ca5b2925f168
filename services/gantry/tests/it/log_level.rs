//! Filter of the log, changed while a service and a suite run.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use crate::{
    cluster::{local_file, own_binary},
    own_binaries::keys,
    pages::get,
    process::{Process, Suite},
};

fn send(signal: &str, process: &Process) {
    let kill = Command::new("kill").args([signal, &process.id().to_string()]).status();
    assert!(kill.unwrap().success());
}

/// Sends a filter to the admin page, and returns the response.
fn put(address: &str, filter: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let body = format!("{{\"filter\":\"{filter}\"}}");
    write!(
        stream,
        "PUT /log-filter HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn signals_and_the_admin_page_change_the_filter_of_a_service() {
    let folder = keys();
    let file = folder.path().join("order.toml");
    let local = fs::read_to_string(local_file("order")).unwrap();
    let set = |filter: &str| {
        fs::write(&file, format!("{local}\n[telemetry]\nfilter = '{filter}'\n")).unwrap();
    };
    set("info");
    let mut command = own_binary("order");
    command.current_dir(folder.path()).arg("--config").arg(&file);
    command.env("GANTRY_LISTEN", "127.0.0.1:0").env("GANTRY_ADMIN__LISTEN", "127.0.0.1:0");
    let mut process = Process::start(&mut command, &folder.path().join("log"));
    process.until_logged("serving");
    let log = process.log();
    let admin = log.lines().find(|line| line.contains("admin pages listening")).unwrap();
    let admin = admin.rsplit_once("address=").unwrap().1.to_owned();
    let shown = || get(&admin, "/log-filter").1;

    for (signal, change) in [("-USR1", "from=info to=debug"), ("-USR1", "from=debug to=trace")] {
        send(signal, &process);
        process.until_logged(change);
    }
    assert_eq!(shown(), r#"{"filter":"trace"}"#);
    // Lines of the page's own connection.
    process.until_logged("DEBUG");
    set("warn,gantry_order=debug");
    send("-USR2", &process);
    process.until_logged("from=trace to=warn,gantry_order=debug");
    set("warn,gantry_order=loud");
    send("-USR2", &process);
    process.until_logged("log filter not changed");
    let log = process.log();
    let refused = log.lines().find(|line| line.contains("not changed")).unwrap();
    assert!(refused.contains("gantry_order=loud") && refused.contains("telemetry.filter"), "{log}");
    assert_eq!(shown(), r#"{"filter":"warn,gantry_order=debug"}"#);

    let answer = put(&admin, "info,gantry_order=loud");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("gantry_order=loud") && answer.contains("MODULE=LEVEL"), "{answer}");
    assert_eq!(shown(), r#"{"filter":"warn,gantry_order=debug"}"#);
    let answer = put(&admin, "off");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"filter":"off"}"#));
    process.until_logged("to=off");
    // The settings are shown as they were at the start.
    assert!(get(&admin, "/config").1.contains(r#""filter":"info""#));
    process.send_term();
    assert!(process.wait().success(), "{}", process.log());
    assert!(!process.log().contains("drained"), "{}", process.log());
}

#[test]
fn a_suite_has_one_filter_for_all_its_services() {
    let mut suite = Suite::start(&[]);
    let admin = suite.ready()["admin"].as_str().unwrap().to_owned();
    send("-USR1", &suite.process);
    suite.process.until_logged("from=info to=debug");
    let answer = put(&admin, "warn");
    assert!(answer.ends_with(r#"{"filter":"warn"}"#), "{answer}");
    send("-USR2", &suite.process);
    suite.process.until_logged("from=warn to=info");
    assert_eq!(get(&admin, "/log-filter").1, r#"{"filter":"info"}"#);
    assert!(suite.terminate().success(), "{}", suite.process.log());
}
