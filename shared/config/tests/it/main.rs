//! Loading as a service does it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod lists;
mod problems;
mod schema;
mod secrets;
mod shared;
mod sources;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use gantry_config::{Check, Problems, Secret, Sources};
use serde::{Deserialize, Serialize};

const DEFAULTS: &str = r#"
name = "user"
mode = "fast"
[server]
listen = "127.0.0.1:50051"
max_message = 4194304
drain = "10s"
[discovery.static]
order = ["127.0.0.1:50052"]
"#;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    mode: Mode,
    server: Server,
    discovery: Discovery,
    database: Option<Database>,
}

#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Safe,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Server {
    listen: SocketAddr,
    max_message: u32,
    #[serde(with = "humantime_serde")]
    drain: Duration,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Discovery {
    r#static: BTreeMap<String, Vec<SocketAddr>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Database {
    user: String,
    password: Secret,
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        problems.within("server", &self.server);
    }
}

impl Check for Server {
    fn check(&self, problems: &mut Problems) {
        if self.drain > Duration::from_secs(60) {
            problems.expected("drain", "at most 60s");
        }
    }
}

fn sources() -> Sources {
    Sources::new().defaults(DEFAULTS)
}

fn load(sources: Sources) -> Settings {
    gantry_config::load(sources).unwrap()
}

fn refused(sources: Sources) -> Vec<String> {
    let error = gantry_config::load::<Settings>(sources).unwrap_err();
    error.problems.iter().map(ToString::to_string).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    file
}
