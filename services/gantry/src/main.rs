//! `gantry`: see [`gantry::cli`].

use std::{fmt::Display, process::ExitCode};

use clap::Parser;
use gantry::{
    bench,
    cli::{Cli, Command},
    contract, demo, up,
};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Up(cli.up)) {
        Command::Up(args) => match up::run(args).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.is_refusal() => gantry_config::refuse(&error),
            Err(error) => failed(&error),
        },
        Command::Demo(args) => match demo::run(&args).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Command::Bench(args) => match bench::run(&args).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Command::Contract(part) => match contract::print(part) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
    }
}

fn failed(error: &impl Display) -> ExitCode {
    gantry_config::complain(error);
    ExitCode::FAILURE
}
