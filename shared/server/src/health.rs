//! `grpc.health.v1.Health`: whether the server as a whole (the name "") and each of
//! its services serves.
//!
//! All of them do or none does, so there is one state behind all names. A watch
//! ends once it has told that the server drains: it would hold up the drain, and
//! has nothing more to tell.

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health,
};

use crate::state::State;

/// The health service of one server.
#[derive(Clone, Debug)]
pub(crate) struct HealthService {
    names: Arc<BTreeSet<&'static str>>,
    state: watch::Receiver<State>,
}

impl HealthService {
    pub(crate) fn new(
        services: impl IntoIterator<Item = &'static str>,
        state: watch::Receiver<State>,
    ) -> Self {
        Self { names: Arc::new(services.into_iter().chain([""]).collect()), state }
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = &request.get_ref().service;
        if !self.names.contains(name.as_str()) {
            // The code is the protocol's; probes expect it.
            return Err(Status::not_found("this server does not have the service"));
        }
        Ok(Response::new(answer(*self.state.borrow())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.names.contains(request.get_ref().service.as_str());
        let told = watch_until_drained(self.state.clone()).map(move |state| {
            Ok(if known { answer(state) } else { status(ServingStatus::ServiceUnknown) })
        });
        Ok(Response::new(told.boxed()))
    }
}

/// Every state from now on, the last of them [`State::Draining`].
fn watch_until_drained(state: watch::Receiver<State>) -> impl Stream<Item = State> {
    stream::unfold(Some(WatchStream::new(state)), |states| async {
        let mut states = states?;
        let state = states.next().await?;
        Some((state, (state != State::Draining).then_some(states)))
    })
}

fn answer(state: State) -> HealthCheckResponse {
    status(match state {
        State::Serving => ServingStatus::Serving,
        State::Starting | State::Draining => ServingStatus::NotServing,
    })
}

fn status(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Life;

    fn ask(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.into() })
    }

    #[tokio::test]
    async fn a_check_follows_the_servers_life_for_every_name_it_has() {
        let life = Life::new();
        let health = HealthService::new(["a.v1.A"], life.watch());
        for (state, expected) in [
            (State::Starting, ServingStatus::NotServing),
            (State::Serving, ServingStatus::Serving),
            (State::Draining, ServingStatus::NotServing),
        ] {
            life.set(state);
            for name in ["", "a.v1.A"] {
                let answer = health.check(ask(name)).await.unwrap();
                assert_eq!(answer.get_ref().status(), expected);
            }
        }
        let unknown = health.check(ask("b.v1.B")).await.unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::NotFound);
    }

    #[tokio::test]
    async fn a_watch_tells_the_end_and_then_ends() {
        let life = Life::new();
        life.set(State::Serving);
        let health = HealthService::new(["a.v1.A"], life.watch());
        for (name, serving, draining) in [
            ("a.v1.A", ServingStatus::Serving, ServingStatus::NotServing),
            ("b.v1.B", ServingStatus::ServiceUnknown, ServingStatus::ServiceUnknown),
        ] {
            life.set(State::Serving);
            let mut told = health.watch(ask(name)).await.unwrap().into_inner();
            assert_eq!(told.next().await.unwrap().unwrap().status(), serving);
            life.set(State::Draining);
            assert_eq!(told.next().await.unwrap().unwrap().status(), draining);
            assert!(told.next().await.is_none());
        }
    }
}
