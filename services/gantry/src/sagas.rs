//! `gantry sagas`: the sagas of a running suite, for its operator.

use std::io::{self, Write};

use clap::{Args, Subcommand, ValueEnum};
use gantry_client::Channel;
use gantry_operator::gantry::operator::v1::{
    AbortSagaRequest, ForceSagaRequest, GetSagaRequest, ListSagasRequest, ResumeSagaRequest, Saga,
    SagaEntry, SagaEntryKind, SagaStatus, sagas_client::SagasClient,
};

use crate::{
    cli::DemoArgs,
    demo::{DemoError, admin, clients::as_bearer, refused},
};

/// Arguments of `gantry sagas`.
#[derive(Clone, Debug, Args)]
pub struct SagasArgs {
    /// Address and credentials of the suite.
    #[command(flatten)]
    pub suite: DemoArgs,
    /// Operation.
    #[command(subcommand)]
    pub command: SagasCommand,
}

/// Operation on the sagas of the order service.
#[derive(Clone, Debug, Subcommand)]
pub enum SagasCommand {
    /// List sagas, newest first
    List {
        /// Status of the listed sagas [default: all]
        #[arg(long, value_enum)]
        status: Option<ListedStatus>,
        /// Maximum number of sagas
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show a saga and the entries of its log
    Show {
        /// Id of the saga
        id: String,
    },
    /// Resume a stuck saga at the step or undo that parked it
    Resume(Intervention),
    /// Declare the step or undo that parked a stuck saga done, and go on after it
    Force {
        /// Id of the saga
        id: String,
        /// Reason, and how the step or undo was done otherwise: kept in the saga's log
        #[arg(long)]
        note: String,
    },
    /// Abort a saga before its pivot: undo every step that may have happened
    Abort(Intervention),
}

/// Change of a saga by an operator.
#[derive(Clone, Debug, Args)]
pub struct Intervention {
    /// Id of the saga
    pub id: String,
    /// Explanation, kept in the saga's log
    #[arg(long, default_value = "")]
    pub note: String,
}

/// Status of listed sagas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListedStatus {
    /// Steps remain to be run or undone
    Running,
    /// Every step is done
    Completed,
    /// Every step is undone
    Undone,
    /// Parked for an operator
    Stuck,
}

/// Runs the operation on the suite that `args` names, as its admin.
///
/// # Errors
/// [`DemoError`].
pub async fn run(args: &SagasArgs) -> Result<(), DemoError> {
    let (clients, token) = admin(&args.suite).await?;
    let mut sagas = clients.sagas;
    let saga = match &args.command {
        SagasCommand::List { status, limit } => {
            return list(sagas, &token, *status, *limit).await;
        }
        SagasCommand::Show { id } => {
            let request = as_bearer(GetSagaRequest { id: id.clone() }, &token);
            sagas.get_saga(request).await.map_err(refused("show the saga"))
        }
        SagasCommand::Resume(Intervention { id, note }) => {
            let request = ResumeSagaRequest { id: id.clone(), note: note.clone() };
            let resumed = sagas.resume_saga(as_bearer(request, &token)).await;
            resumed.map_err(refused("resume the saga"))
        }
        SagasCommand::Force { id, note } => {
            let request = ForceSagaRequest { id: id.clone(), note: note.clone() };
            let forced = sagas.force_saga(as_bearer(request, &token)).await;
            forced.map_err(refused("force the saga"))
        }
        SagasCommand::Abort(Intervention { id, note }) => {
            let request = AbortSagaRequest { id: id.clone(), note: note.clone() };
            let aborted = sagas.abort_saga(as_bearer(request, &token)).await;
            aborted.map_err(refused("abort the saga"))
        }
    };
    show(&saga?.into_inner())?;
    Ok(())
}

async fn list(
    mut sagas: SagasClient<Channel>,
    token: &str,
    status: Option<ListedStatus>,
    mut limit: usize,
) -> Result<(), DemoError> {
    let status = match status {
        None => SagaStatus::Unspecified,
        Some(ListedStatus::Running) => SagaStatus::Running,
        Some(ListedStatus::Completed) => SagaStatus::Completed,
        Some(ListedStatus::Undone) => SagaStatus::Undone,
        Some(ListedStatus::Stuck) => SagaStatus::Stuck,
    };
    let mut request = ListSagasRequest { status: status.into(), ..ListSagasRequest::default() };
    while limit > 0 {
        request.page_size = i32::try_from(limit).unwrap_or(i32::MAX);
        let page = sagas.list_sagas(as_bearer(request.clone(), token)).await;
        let page = page.map_err(refused("list the sagas"))?.into_inner();
        limit = limit.saturating_sub(page.sagas.len());
        let mut out = io::stdout().lock();
        for saga in page.sagas {
            writeln!(out, "{}", line(&saga))?;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Ok(())
}

fn show(saga: &Saga) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line(saga))?;
    for (name, value) in [
        ("input", &saga.input),
        ("actor", &saga.actor),
        ("trace", &saga.trace),
        ("request id", &saga.request_id),
    ] {
        if !value.is_empty() {
            writeln!(out, "  {name}: {value}")?;
        }
    }
    for entry in &saga.entries {
        writeln!(out, "  {}", entry_line(entry))?;
    }
    Ok(())
}

/// Returns id, name, status and last change.
fn line(saga: &Saga) -> String {
    let status = saga.status().as_str_name().trim_start_matches("SAGA_STATUS_");
    let changed = saga.update_time.map(|time| time.to_string()).unwrap_or_default();
    format!("{} {} {status} {changed}", saga.id, saga.name)
}

fn entry_line(entry: &SagaEntry) -> String {
    let SagaEntry { step, reason, message, operator, .. } = entry;
    let kind: SagaEntryKind = entry.kind();
    let kind = kind.as_str_name().trim_start_matches("SAGA_ENTRY_KIND_");
    let time = entry.time.map(|time| time.to_string()).unwrap_or_default();
    let parts = [time.as_str(), kind, step, operator, reason, message];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}
