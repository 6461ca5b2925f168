//! Arguments of the program. `cargo test` builds a package's programs only if it has tests like these.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn missing_or_invalid_arguments_end_it_with_the_cause() {
    for (arguments, why) in [
        (&[][..], "replica ADDRESS CONSUL_URL JOURNAL"),
        (&["127.0.0.1", "http://127.0.0.1:8500", "journal"], "AddrParseError"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_replica")).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{arguments:?}: {said}");
    }
}
