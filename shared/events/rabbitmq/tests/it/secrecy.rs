//! The password never appears in errors, `Debug` output or logs.

use std::{
    io,
    sync::{Arc, Mutex},
};

use gantry_events::Bus;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

use crate::support::{Place, bus, misconfigured, soon};

const PASSWORD: &str = "hunter2-of-the-secrecy-test";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The client library logs on threads of its own, so the whole process is watched.
#[tokio::test]
async fn the_password_is_shown_nowhere() {
    let place = Place::shared().await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let file = place.write_password("wrong", PASSWORD);
    let bus = bus(&place.settings().password_file(file));
    let why = misconfigured(soon(bus.publisher()).await);
    // The library logs again once the connection is open.
    drop(soon(place.bus().publisher()).await.unwrap());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("lapin::io_loop"), "the library's log is not collected: {log}");
    let bytes = format!("{:?}", PASSWORD.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    for text in [log, why, format!("{bus:?}")] {
        let is_shown = |line: &&str| [PASSWORD, bytes].iter().any(|secret| line.contains(secret));
        let lines = text.lines().filter(is_shown);
        assert_eq!(lines.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
