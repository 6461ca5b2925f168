//! `migrate up|down|status` of a service's command line.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use gantry_sql::{
    Migrations, OpenError, Settings,
    schema::{self, Down, SchemaError, Step},
};

use crate::{Service, ServiceSettings, Shutdown, StorageSettings};

/// Subcommands for the schema of a service's database. `A` has the flags of `serve`.
#[derive(Clone, Debug, Subcommand)]
pub enum MigrateCommand<A: Args> {
    /// Print each migration with its description, and whether it is applied
    Status(A),
    /// Apply the pending migrations, as a start does
    Up(A),
    /// Revert the newest migration, or those after --to
    Down(DownArgs<A>),
}

/// Flags of `migrate down`.
#[derive(Clone, Debug, Args)]
pub struct DownArgs<A: Args> {
    /// Version to revert to; 0 reverts all migrations [default: the one before the newest]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<i64>,
    /// Tables whose migrations are reverted, as `status` names them
    #[arg(long, value_name = "TABLES", default_value = schema::OWN)]
    pub tables: String,
    /// Revert even if tables, columns or rows are lost
    #[arg(long)]
    pub yes: bool,
    /// Flags of `serve`.
    #[command(flatten)]
    pub serve: A,
}

impl<A: Args> MigrateCommand<A> {
    /// Returns the flags of `serve`.
    pub fn serve(&self) -> &A {
        match self {
            Self::Status(args) | Self::Up(args) => args,
            Self::Down(down) => &down.serve,
        }
    }

    /// Runs the command and returns the text to print.
    async fn output(
        &self,
        settings: &Settings,
        migrations: &Migrations,
    ) -> Result<String, SchemaError> {
        let (steps, done, nothing) = match self {
            Self::Status(_) => {
                let steps = schema::status(settings, migrations).await?;
                return Ok(table(&schema::name(settings), &steps, |step| step.state.as_str()));
            }
            Self::Up(_) => {
                (schema::up(settings, migrations).await?, "applied", "no pending migration")
            }
            Self::Down(down) => {
                let options = Down { tables: &down.tables, to: down.to, may_lose_data: down.yes };
                let steps = schema::down(settings, migrations, options).await?;
                (steps, "reverted", "no migration to revert")
            }
        };
        let name = schema::name(settings);
        Ok(match steps.is_empty() {
            true => format!("{name}\n  {nothing}\n"),
            false => table(&name, &steps, |_| done),
        })
    }
}

impl<S: Service> ServiceSettings<S> {
    /// Runs `migrate` on the database of the service and prints the result. `shutdown` interrupts it;
    /// the database then undoes the migration that is running.
    ///
    /// Returns the exit code: [`EXIT_MISCONFIGURED`](gantry_config::EXIT_MISCONFIGURED) if the settings
    /// lead to no usable database, 1 if a migration fails or is refused.
    pub async fn migrate<A: Args>(
        &self,
        command: &MigrateCommand<A>,
        shutdown: Shutdown,
    ) -> ExitCode {
        let (Some(StorageSettings { database, .. }), Some(migrations)) =
            (&self.common.storage, S::MIGRATIONS)
        else {
            return gantry_config::refuse(&format_args!("{} has no database", S::NAME));
        };
        let output = tokio::select! {
            output = command.output(database, migrations) => output,
            () = shutdown => return failure(&format_args!("{}: interrupted", S::NAME)),
        };
        match output {
            Ok(text) => match io::stdout().lock().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failure(&error),
            },
            Err(error @ SchemaError::Open(OpenError::Migration { .. })) => failure(&error),
            Err(SchemaError::Open(error)) => gantry_config::refuse(&error),
            Err(error @ SchemaError::Loss(_)) => {
                failure(&format_args!("{error}\nallow it with --yes"))
            }
            Err(error) => failure(&error),
        }
    }
}

fn failure(error: &impl std::fmt::Display) -> ExitCode {
    gantry_config::complain(error);
    ExitCode::FAILURE
}

/// Returns the name of the database, and one line for each migration.
fn table(name: &str, steps: &[Step], state: impl Fn(&Step) -> &'static str) -> String {
    let longest = |text: fn(&Step) -> &str| {
        steps.iter().map(|step| text(step).chars().count()).max().unwrap_or_default()
    };
    let (first, last) = (longest(|step| step.tables), longest(|step| &step.description));
    let mut text = format!("{name}\n");
    for step in steps {
        let Step { tables, version, description, .. } = step;
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  {tables:<first$}  {version:>4}  {description:<last$}  {}",
            state(step)
        );
    }
    text
}
