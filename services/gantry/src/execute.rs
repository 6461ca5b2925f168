//! The command line's way to its command.

use std::{
    env, ffi::OsString, fmt::Display, future::Future, os::unix::process::CommandExt as _,
    path::Path, process, process::ExitCode,
};

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    contract, demo, keys, new, sagas,
    suite::{Row, SERVICES},
    up,
};

/// Runs the command of the process's command line, or a service if the program is called by the name of
/// its binary: in the image those names are links to this program.
///
/// It is part of the library, because a binary compiles each asynchronous function that it polls again.
pub fn execute() -> ExitCode {
    if let Some(service) = called_service() {
        return (service.run)();
    }
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Up(cli.up)) {
        Command::Up(args) => {
            gantry_process::block_on(async |shutdown| match up::run(args, shutdown).await {
                Err(error) if error.is_refusal() => gantry_config::refuse(&error),
                ended => code(ended),
            })
        }
        Command::Healthcheck(args) => {
            gantry_process::block_on(async |shutdown| up::healthcheck(&args, shutdown).await)
        }
        Command::Config(command) => up::config(&command),
        Command::Migrate(args) => {
            gantry_process::block_on(async |shutdown| up::migrate(&args, shutdown).await)
        }
        Command::Keys(args) => code(keys::run(&args)),
        Command::New(args) => code(new::run(&args)),
        Command::Demo(args) => code(run(demo::run(&args))),
        Command::Sagas(args) => code(run(sagas::run(&args))),
        Command::Bench { args } => code(Err(bench(&args))),
        Command::Contract(part) => code(contract::print(part)),
    }
}

fn called_service() -> Option<&'static Row> {
    let program = env::args_os().next()?;
    let name = Path::new(&program).file_name()?;
    SERVICES.iter().find(|service| name == &*gantry_process::process_name(service.name))
}

/// Runs a tool; a signal ends it as the system does.
#[tokio::main]
async fn run<T>(tool: impl Future<Output = T>) -> T {
    tool.await
}

/// Replaces this process by `gantry-bench`, which is in the same folder. Returns only if that fails.
fn bench(args: &[OsString]) -> String {
    let program = match env::current_exe() {
        Ok(program) => program.with_file_name("gantry-bench"),
        Err(error) => return format!("the folder of this program is unknown: {error}"),
    };
    let error = process::Command::new(&program).args(args).exec();
    let build = "cargo build --profile dist -p gantry -p gantry-bench";
    format!("cannot run {}: {error}. To build it: {build}", program.display())
}

fn code(ended: Result<(), impl Display>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            gantry_config::complain(&error);
            ExitCode::FAILURE
        }
    }
}
