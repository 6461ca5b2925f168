//! gantry.operator.v1.Sagas beside the order service.

use gantry_operator::gantry::operator::v1::{
    AbortSagaRequest, ForceSagaRequest, GetSagaRequest, ListSagasRequest, ResumeSagaRequest, Saga,
    SagaEntryKind, SagaStatus, sagas_client::SagasClient,
};
use gantry_proto::shop::order::v1::{OrderStatus, RejectReason};
use tonic::{Code, transport::Channel};
use uuid::Uuid;

use super::{ADMIN, ANN, Running, fakes::Behavior, new_id, place, place_and_wait, refused};

impl Running {
    fn sagas(&self) -> SagasClient<Channel> {
        SagasClient::new(self.it.server.channel())
    }

    /// Returns the sagas of this status, as `user` sees them.
    async fn list_sagas(&self, user: Uuid, status: SagaStatus) -> Result<Vec<Saga>, tonic::Status> {
        let request = ListSagasRequest { status: status.into(), ..ListSagasRequest::default() };
        let listed = self.sagas().list_sagas(self.by(user, request)).await?;
        Ok(listed.into_inner().sagas)
    }

    async fn get_saga(&self, id: &str) -> Result<Saga, tonic::Status> {
        let request = self.by(ADMIN, GetSagaRequest { id: id.to_owned() });
        self.sagas().get_saga(request).await.map(tonic::Response::into_inner)
    }

    async fn abort_saga(&self, id: &str) -> Result<Saga, tonic::Status> {
        let request = AbortSagaRequest { id: id.to_owned(), note: "customer called".to_owned() };
        let aborted = self.sagas().abort_saga(self.by(ADMIN, request)).await;
        aborted.map(tonic::Response::into_inner)
    }

    async fn force_saga(&self, id: &str, note: &str) -> Result<Saga, tonic::Status> {
        let request = ForceSagaRequest { id: id.to_owned(), note: note.to_owned() };
        let forced = self.sagas().force_saga(self.by(ADMIN, request)).await;
        forced.map(tonic::Response::into_inner)
    }

    /// Waits for the only saga to become stuck with this number of entries or more.
    async fn stuck(&self, entries: usize) -> Saga {
        let stuck = || async {
            let listed = self.list_sagas(ADMIN, SagaStatus::Stuck).await.unwrap();
            let saga = self.get_saga(&listed.first()?.id).await.unwrap();
            (saga.entries.len() >= entries).then_some(saga)
        };
        super::eventually("a stuck saga", stuck).await
    }

    async fn resume_saga(&self, id: &str) -> Result<Saga, tonic::Status> {
        let request = ResumeSagaRequest { id: id.to_owned(), note: String::new() };
        let resumed = self.sagas().resume_saga(self.by(ADMIN, request)).await;
        resumed.map(tonic::Response::into_inner)
    }
}

#[tokio::test]
async fn an_operator_aborts_a_saga_before_its_pivot() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    running.inventory.behave("reserve", Behavior::Down);
    running.place(place(&draft)).await.unwrap();
    running.inventory_called("reserve").await;
    let listed = running.list_sagas(ADMIN, SagaStatus::Running).await.unwrap();
    let [saga] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((saga.name.as_str(), saga.entries.len()), ("place-order/1", 0));
    assert!(saga.actor.contains(&ANN.to_string()) && !saga.request_id.is_empty(), "{saga:?}");

    let aborted = running.abort_saga(&saga.id).await.unwrap();
    assert_eq!(aborted.status(), SagaStatus::Running, "it is to be undone");
    let order = running.finished(&draft.id).await;
    assert_eq!(order.status(), OrderStatus::Rejected);
    assert_eq!(order.reject_reason(), RejectReason::ServiceUnavailable);
    assert_eq!(running.inventory.stock("mug"), (10, 0, 0));
    let saga = running.get_saga(&saga.id).await.unwrap();
    let entry = saga.entries.iter().find(|entry| entry.kind() == SagaEntryKind::Aborted).unwrap();
    assert_eq!((&*entry.operator, &*entry.message), (&*ADMIN.to_string(), "customer called"));
}

#[tokio::test]
async fn an_operator_forces_a_stuck_saga() {
    let running = Running::start_set("max_rounds = 1").await;
    let draft = running.draft(&[("mug", 3)]).await;
    running.inventory.behave("commit", Behavior::Down);
    running.place(place(&draft)).await.unwrap();
    let saga = running.stuck(0).await;
    refused(running.abort_saga(&saga.id), Code::FailedPrecondition, "SAGA_PAST_PIVOT").await;
    running.resume_saga(&saga.id).await.unwrap();
    // The inventory is still down.
    let saga = running.stuck(saga.entries.len() + 2).await;

    let rejected = running.force_saga(&saga.id, "").await.unwrap_err();
    assert_eq!(super::wrong_fields(&rejected), ["note"]);
    running.force_saga(&saga.id, "sold by hand").await.unwrap();
    assert_eq!(running.finished(&draft.id).await.status(), OrderStatus::Confirmed);
    let saga = running.get_saga(&saga.id).await.unwrap();
    let entry = saga.entries.iter().find(|entry| entry.kind() == SagaEntryKind::Forced).unwrap();
    assert_eq!((&*entry.operator, &*entry.message), (&*ADMIN.to_string(), "sold by hand"));
    refused(running.force_saga(&saga.id, "again"), Code::FailedPrecondition, "SAGA_NOT_STUCK")
        .await;
}

#[tokio::test]
async fn an_ended_saga_is_neither_aborted_nor_resumed() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    running.place(place_and_wait(&draft)).await.unwrap();
    let completed = || async {
        let listed = running.list_sagas(ADMIN, SagaStatus::Completed).await.unwrap();
        listed.into_iter().next()
    };
    let saga = super::eventually("the end of the saga", completed).await;
    refused(running.abort_saga(&saga.id), Code::FailedPrecondition, "SAGA_ENDED").await;
    refused(running.resume_saga(&saga.id), Code::FailedPrecondition, "SAGA_NOT_STUCK").await;
    refused(running.get_saga(&new_id()), Code::NotFound, "SAGA_NOT_FOUND").await;
    refused(running.get_saga("7"), Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert!(running.list_sagas(ADMIN, SagaStatus::Stuck).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_customer_is_no_operator() {
    let running = Running::start().await;
    let listed = running.list_sagas(ANN, SagaStatus::Unspecified).await;
    assert_eq!(listed.unwrap_err().code(), Code::PermissionDenied);
}
