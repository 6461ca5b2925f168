//! `order-service`: the orders as a process of their own.

use std::{error::Error, process::ExitCode};

use clap::Parser;
use gantry_order::{Own, serve};
use gantry_server::{listen, shutdown_signal};
use gantry_telemetry::BUILD;

/// Keeps the orders and carries them through
#[derive(Parser)]
#[command(name = "order-service", version = BUILD.summary)]
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
    let _telemetry = gantry_telemetry::init(&own.settings.telemetry, "order-service")?;
    let listener = listen(own.settings.listen).await?;
    Ok(serve(listener, own, shutdown_signal()).await?)
}
