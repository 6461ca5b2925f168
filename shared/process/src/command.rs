//! Command line of a service's binary.

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use gantry_config::{Args, ConfigCommand};
use gantry_telemetry::BUILD;

use crate::{HealthcheckArgs, MigrateCommand, Service};

#[derive(Debug, Parser)]
#[command(version = BUILD.summary, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Args,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGTERM, Ctrl-C or SIGHUP; the default
    Serve(Args),
    /// Ask the running service for its health; the exit code is 0 if it serves, otherwise 1
    Healthcheck(HealthcheckArgs<Args>),
    /// Show or check the settings without starting
    #[command(subcommand)]
    Config(ConfigCommand<Args>),
    /// List, apply or revert the migrations of the database
    #[command(subcommand)]
    Migrate(MigrateCommand<Args>),
}

impl Command {
    /// Parses the command line. Exits on an error or `--help`.
    pub(crate) fn parse<S: Service>(process: &str) -> Self {
        let command = Cli::command().name(S::NAME).display_name(process).about(S::ABOUT);
        let command =
            command.mut_subcommand("migrate", |migrate| migrate.hide(S::MIGRATIONS.is_none()));
        match Cli::from_arg_matches(&command.get_matches()) {
            Ok(Cli { command, serve }) => command.unwrap_or(Self::Serve(serve)),
            Err(error) => error.exit(),
        }
    }
}
