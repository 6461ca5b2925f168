//! `config show|check|schema` of a service's command line.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Loaded, Sources, complain, refuse, schema};

/// Subcommands that inspect the settings without a start. `A` has the flags of `serve`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ConfigCommand<A: clap::Args> {
    /// Print the settings in force, one `KEY = VALUE  # SOURCE` a line; secrets are redacted
    Show(ShowArgs<A>),
    /// Check the settings and the named files; print "ok" or every problem
    Check(A),
    /// Print a JSON Schema (draft 2020-12) of all settings, with defaults and bounds
    Schema,
}

/// Flags of `config show`.
#[derive(Clone, Debug, clap::Args)]
pub struct ShowArgs<A: clap::Args> {
    /// Print JSON, in the form of the admin page /config
    #[arg(long)]
    pub json: bool,
    /// Flags of `serve`.
    #[command(flatten)]
    pub serve: A,
}

impl<A: clap::Args> ConfigCommand<A> {
    /// Runs the command, prints to standard output and returns the exit code:
    /// [`EXIT_MISCONFIGURED`](crate::EXIT_MISCONFIGURED) if a start would fail on the settings.
    ///
    /// `load` loads and checks the settings like a start. `defaults` are the sources of a start
    /// without flags, files and variables. `title` is the title of the schema.
    pub fn run<S: Serialize + JsonSchema, E: Display>(
        &self,
        title: &str,
        defaults: &Sources,
        load: impl FnOnce(&A) -> Result<Loaded<S>, E>,
    ) -> ExitCode {
        let text = match self {
            Self::Show(args) => load(&args.serve).map(|loaded| match args.json {
                true => format!("{:#}\n", loaded.redacted()),
                false => loaded.lines(),
            }),
            Self::Check(args) => load(args).map(|_| "ok\n".to_owned()),
            Self::Schema => Ok(format!("{:#}\n", schema::<S>(title, defaults))),
        };
        match text.map(print) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(error)) => {
                complain(&error);
                ExitCode::FAILURE
            }
            Err(refused) => refuse(&refused),
        }
    }
}

fn print(text: String) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}
