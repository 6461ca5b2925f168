//! `gantry.operator.v1.Sagas`.

use std::time::SystemTime;

use gantry_contract::{
    Failure, Violations,
    page::{Page, PageRequest},
};
use gantry_saga::{
    AbortError, Entry, Filter, History, LogError, Operator, OperatorError, Recorded,
    Status as State, Summary,
};
use gantry_server::authorized;
use prost_types::Timestamp;
use time::OffsetDateTime;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::gantry::operator::v1::{
    AbortSagaRequest, ForceSagaRequest, GetSagaRequest, ListSagasRequest, ListSagasResponse,
    ResumeSagaRequest, Saga, SagaEntry, SagaEntryKind, SagaReason, SagaStatus,
    sagas_server::{Sagas, SagasServer},
};

/// Type of the resource in errors.
const SAGA: &str = "gantry.operator.v1.Saga";
/// Reason of an entry whose step had no answer.
const UNANSWERED: &str = "UNANSWERED";

/// Returns the service `gantry.operator.v1.Sagas`, for
/// [`ServerBuilder::service`](gantry_server::ServerBuilder::service).
pub fn sagas(operator: Operator) -> SagasServer<impl Sagas + std::fmt::Debug> {
    SagasServer::new(Api(operator))
}

#[derive(Debug)]
struct Api(Operator);

#[tonic::async_trait]
impl Sagas for Api {
    async fn list_sagas(
        &self,
        request: Request<ListSagasRequest>,
    ) -> Result<Response<ListSagasResponse>, Status> {
        let ListSagasRequest { page_size, page_token, .. } = request.get_ref();
        let (list, status) = match request.get_ref().status() {
            SagaStatus::Unspecified => ("sagas", None),
            SagaStatus::Running => ("sagas/running", Some(State::Running)),
            SagaStatus::Completed => ("sagas/completed", Some(State::Completed)),
            SagaStatus::Undone => ("sagas/undone", Some(State::Undone)),
            SagaStatus::Stuck => ("sagas/stuck", Some(State::Stuck)),
        };
        let page = PageRequest::new(list, *page_size, page_token, false)?;
        let before = page.after.as_deref().map(|key| parse("page_token", key)).transpose()?;
        let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
        let found = self.0.list(&Filter { status, before, limit }).await.map_err(refused)?;
        let page = Page::cut(found, &page, |last| last.id.to_string(), None);
        Ok(Response::new(ListSagasResponse {
            next_page_token: page.next_page_token,
            sagas: page.items.into_iter().map(summary).collect(),
        }))
    }

    async fn get_saga(&self, request: Request<GetSagaRequest>) -> Result<Response<Saga>, Status> {
        let id = parse("id", &request.get_ref().id)?;
        self.0.show(id).await.map(answer).map_err(refused)
    }

    async fn resume_saga(
        &self,
        request: Request<ResumeSagaRequest>,
    ) -> Result<Response<Saga>, Status> {
        let by = authorized(&request).caller.subject();
        let ResumeSagaRequest { id, note } = request.get_ref();
        self.0.resume(parse("id", id)?, &by, note).await.map(answer).map_err(refused)
    }

    async fn force_saga(
        &self,
        request: Request<ForceSagaRequest>,
    ) -> Result<Response<Saga>, Status> {
        let by = authorized(&request).caller.subject();
        let ForceSagaRequest { id, note } = request.get_ref();
        self.0.force(parse("id", id)?, &by, note).await.map(answer).map_err(refused)
    }

    async fn abort_saga(
        &self,
        request: Request<AbortSagaRequest>,
    ) -> Result<Response<Saga>, Status> {
        let by = authorized(&request).caller.subject();
        let AbortSagaRequest { id, note } = request.get_ref();
        self.0.abort(parse("id", id)?, &by, note).await.map(answer).map_err(refused)
    }
}

fn parse(field: &str, id: &str) -> Result<Uuid, Violations> {
    Uuid::parse_str(id).map_err(|_| {
        let mut violations = Violations::default();
        violations.push(field, "must be a UUID");
        violations
    })
}

fn answer(saga: History) -> Response<Saga> {
    let entries = saga.entries.into_iter().map(entry).collect();
    Response::new(Saga { input: saga.input, entries, ..summary(saga.summary) })
}

fn summary(saga: Summary) -> Saga {
    let status = match saga.status {
        State::Running => SagaStatus::Running,
        State::Completed => SagaStatus::Completed,
        State::Undone => SagaStatus::Undone,
        State::Stuck => SagaStatus::Stuck,
    };
    Saga {
        id: saga.id.to_string(),
        name: saga.name,
        status: status.into(),
        create_time: Some(timestamp(saga.create_time)),
        update_time: Some(timestamp(saga.update_time)),
        actor: saga.context.actor.unwrap_or_default(),
        trace: saga.context.trace.unwrap_or_default(),
        request_id: saga.context.request_id.unwrap_or_default(),
        ..Saga::default()
    }
}

fn entry(Recorded { time, entry }: Recorded) -> SagaEntry {
    use gantry_saga::Failure::{Refused, Unanswered};

    let of = |kind: SagaEntryKind, step| SagaEntry {
        time: Some(timestamp(time)),
        kind: kind.into(),
        step,
        ..SagaEntry::default()
    };
    let failed = |entry, failure| match failure {
        Refused { code, message } => SagaEntry { reason: code, message, ..entry },
        Unanswered { message } => SagaEntry { reason: UNANSWERED.to_owned(), message, ..entry },
    };
    let by = |kind, operator, message| SagaEntry { operator, message, ..of(kind, String::new()) };
    match entry {
        Entry::Started { step } => of(SagaEntryKind::Started, step),
        Entry::Succeeded { step } => of(SagaEntryKind::Succeeded, step),
        Entry::Failed { step, failure } => failed(of(SagaEntryKind::Failed, step), failure),
        Entry::UndoStarted { step } => of(SagaEntryKind::UndoStarted, step),
        Entry::UndoDone { step } => of(SagaEntryKind::UndoDone, step),
        Entry::UndoFailed { step, failure } => failed(of(SagaEntryKind::UndoFailed, step), failure),
        Entry::Resumed { by: operator, note } => by(SagaEntryKind::Resumed, operator, note),
        Entry::Aborted { by: operator, note } => by(SagaEntryKind::Aborted, operator, note),
        Entry::Forced { by: operator, note } => by(SagaEntryKind::Forced, operator, note),
    }
}

fn timestamp(time: OffsetDateTime) -> Timestamp {
    Timestamp::from(SystemTime::from(time))
}

fn refused(error: OperatorError) -> Status {
    let refuse = |code, reason: SagaReason| Failure::new(code, reason, error.to_string());
    let forbids = |reason| refuse(Code::FailedPrecondition, reason);
    let failure = match &error {
        OperatorError::NotFound(id) => refuse(Code::NotFound, SagaReason::SagaNotFound).resource(
            SAGA,
            id.to_string(),
            "does not exist",
        ),
        OperatorError::Unknown(_) | OperatorError::Mismatch => forbids(SagaReason::SagaUnknown),
        OperatorError::NotStuck(_) => forbids(SagaReason::SagaNotStuck),
        OperatorError::Abort(AbortError::PastPivot { .. }) => forbids(SagaReason::SagaPastPivot),
        OperatorError::Abort(AbortError::Undoing) => forbids(SagaReason::SagaUndoing),
        OperatorError::Abort(AbortError::Ended(_)) => forbids(SagaReason::SagaEnded),
        OperatorError::Busy | OperatorError::Log(LogError::Stale) => {
            refuse(Code::Aborted, SagaReason::SagaBusy)
        }
        OperatorError::Log(LogError::Unavailable(cause)) => {
            tracing::error!(error = %cause, "saga log unavailable");
            Failure::storage_unavailable()
        }
        OperatorError::Log(LogError::OutcomeUnknown(cause)) => {
            tracing::error!(error = %cause, "outcome of a write to the saga log unknown");
            Failure::outcome_unknown()
        }
    };
    failure.into()
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn reason(error: OperatorError) -> (Code, String) {
        let status = refused(error);
        (status.code(), status.get_details_error_info().unwrap().reason)
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let forbidden = |reason: &str| (Code::FailedPrecondition, reason.to_owned());
        let past = AbortError::PastPivot { pivot: "commit" };
        for (error, expected) in [
            (OperatorError::NotStuck(State::Running), forbidden("SAGA_NOT_STUCK")),
            (OperatorError::Abort(past), forbidden("SAGA_PAST_PIVOT")),
            (OperatorError::Abort(AbortError::Undoing), forbidden("SAGA_UNDOING")),
            (OperatorError::Abort(AbortError::Ended(State::Undone)), forbidden("SAGA_ENDED")),
            (OperatorError::Unknown("x/1".to_owned()), forbidden("SAGA_UNKNOWN")),
            (OperatorError::NotFound(Uuid::nil()), (Code::NotFound, "SAGA_NOT_FOUND".to_owned())),
            (OperatorError::Busy, (Code::Aborted, "SAGA_BUSY".to_owned())),
            (
                OperatorError::Log(LogError::OutcomeUnknown("lost".into())),
                (Code::Unavailable, "OUTCOME_UNKNOWN".to_owned()),
            ),
        ] {
            assert_eq!(reason(error), expected);
        }
    }

    #[test]
    fn an_unavailable_log_keeps_its_cause_from_the_caller() {
        let cause = "the password of ann is wrong";
        let status = refused(OperatorError::Log(LogError::Unavailable(cause.into())));
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!format!("{status:?}").contains("ann"), "{status:?}");
    }
}
