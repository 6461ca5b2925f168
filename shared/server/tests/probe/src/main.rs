//! The probe as a process: `probe ADDRESS DRAIN_MS`. Its last line reports the calls it served.

use std::{env, error::Error, sync::Arc, time::Duration};

use gantry_probe::{CONTRACT, Probe, probe::v1::probe_service_server::ProbeServiceServer};
use gantry_server::{RateSettings, Server, Settings, listen, shutdown_signal};

const USAGE: &str = "probe ADDRESS DRAIN_MS";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().ok_or(USAGE);
    let (address, drain_ms) = (argument()?.parse()?, argument()?.parse()?);
    // No log line for each of many thousand calls.
    let filter = "info,gantry_server::stack=warn".to_owned().try_into()?;
    let telemetry = gantry_telemetry::Settings::default().filter(filter);
    let _telemetry = gantry_telemetry::init(&telemetry, "probe")?;
    let mut settings = Settings::default().drain_timeout(Duration::from_millis(drain_ms));
    // All load comes from one address without credentials.
    settings.limits.per_address = RateSettings::new(1e6, 1_000_000);
    let probe = Probe::default();
    let seen = Arc::clone(&probe.seen);
    let server = Server::builder("probe", &CONTRACT)
        .service(ProbeServiceServer::new(probe))
        .verifier(Arc::new(gantry_identity::Verifier::new("probe", Vec::new())))
        .settings(settings)
        .build()?;
    server.serve(listen(address).await?, shutdown_signal()).await?;
    let (started, finished) = (seen.started(), seen.finished());
    tracing::info!(started, finished, dropped = seen.dropped(), "counted");
    Ok(())
}
