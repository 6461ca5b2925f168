//! `user-service`: the users as a process of their own.

use std::{error::Error, process::ExitCode};

use clap::Parser;
use gantry_server::{listen, shutdown_signal};
use gantry_telemetry::BUILD;
use gantry_user::{Own, serve};

/// Keeps the users and lets them log in
#[derive(Parser)]
#[command(name = "user-service", version = BUILD.summary)]
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
    let _telemetry = gantry_telemetry::init(&own.settings.telemetry, "user-service")?;
    let listener = listen(own.settings.listen).await?;
    Ok(serve(listener, own, shutdown_signal()).await?)
}
