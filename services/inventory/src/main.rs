//! `inventory-service`: the inventory as a process of its own.

use std::{error::Error, process::ExitCode};

use clap::Parser;
use gantry_inventory::{Own, serve};
use gantry_server::{listen, shutdown_signal};
use gantry_telemetry::BUILD;

/// Keeps the catalogue and the stock
#[derive(Parser)]
#[command(name = "inventory-service", version = BUILD.summary)]
struct Cli {
    #[command(flatten)]
    args: gantry_config::Args,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse().args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => gantry_config::refuse(&error),
    }
}

async fn run(args: &gantry_config::Args) -> Result<(), Box<dyn Error>> {
    let own = Own::load(args)?;
    let _telemetry = gantry_telemetry::init(&own.settings.telemetry, "inventory-service")?;
    let listener = listen(own.settings.listen).await?;
    Ok(serve(listener, own, shutdown_signal()).await?)
}
