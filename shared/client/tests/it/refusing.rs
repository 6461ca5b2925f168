//! Replicas that refuse calls at once: an older version, a wrong clock, no data. They are fast, but
//! attract no calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use gantry_client::{ClientSettings, ejection};
use gantry_contract::{Failure, GantryReason, Reason as _};
use gantry_discovery::Registration;
use http::{Response, uri::PathAndQuery};
use tokio::task::JoinSet;
use tonic::{Code, Request, Status, body::Body, client::Grpc};
use tonic_prost::ProstCodec;

use crate::{
    caller::{ADD, CHAT, FIND, SEEK, Setup, call, idle, patient, warm},
    passing_on,
    server::{Server, reply},
};

const CALLS: usize = 1_000;
/// Concurrent calls.
const CLIENTS: usize = 8;

/// Three replicas that take a few milliseconds, and one that responds at once.
struct Four {
    setup: Setup,
    refusing: Server,
    _well: [Server; 3],
    _registrations: Vec<Registration>,
}

impl Four {
    async fn new(
        settings: ClientSettings,
        refusal: impl Fn() -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let refusing = Server::answering(move |_| std::future::ready(refusal())).await;
        Self::with(settings, refusing).await
    }

    async fn with(settings: ClientSettings, refusing: Server) -> Self {
        let slow = || Server::slow(Duration::from_millis(2));
        let well = [slow().await, slow().await, slow().await];
        let setup = Setup::with(settings);
        let mut registrations = vec![setup.register(refusing.address).await];
        for server in &well {
            registrations.push(setup.register(server.address).await);
        }
        warm(&setup.channel, 4).await;
        Self { setup, refusing, _well: well, _registrations: registrations }
    }

    /// Asserts that the refusing replica got few calls before each ejection and since the last: 4 %
    /// of them, if 1,000 calls take less than an ejection.
    fn assert_few(&self, before: usize) {
        let hits = self.refusing.hits() - before;
        let endpoints = self.setup.channel.snapshot().endpoints;
        let refusing = endpoints.iter().find(|one| one.address == self.refusing.address).unwrap();
        let turns = usize::try_from(refusing.ejections.max(1)).unwrap();
        assert!(hits <= turns * CALLS * 4 / 100, "{hits} of {CALLS}: {refusing:?}");
    }

    /// Makes calls, and returns those that failed.
    async fn calls(&self, path: &'static str) -> Vec<Status> {
        let made = Arc::<AtomicUsize>::default();
        let mut tasks = JoinSet::new();
        for _ in 0..CLIENTS {
            let (channel, made) = (self.setup.channel.clone(), made.clone());
            tasks.spawn(async move {
                let mut failed = Vec::new();
                while made.fetch_add(1, Ordering::SeqCst) < CALLS {
                    failed.extend(call(&channel, path).await.err());
                }
                failed
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }
}

fn refused(code: Code) -> Status {
    Status::new(code, "not here")
}

fn method_unknown() -> Status {
    Failure::new(Code::Unimplemented, GantryReason::MethodUnknown, "no such method").into()
}

#[tokio::test]
async fn one_of_four_replicas_that_refuses_at_once_gets_few_calls() {
    for code in [Code::Unimplemented, Code::Unauthenticated, Code::PermissionDenied, Code::NotFound]
    {
        for late in [false, true] {
            let four = Four::new(patient(), move || passing_on::answer(&refused(code), late)).await;
            let failed = four.calls(ADD).await;
            four.assert_few(0);
            assert_eq!(failed.len(), four.refusing.hits(), "{code:?}, late: {late}");
            assert!(failed.iter().all(|status| status.code() == code));
            for endpoint in four.setup.channel.snapshot().endpoints {
                let is_well = endpoint.address != four.refusing.address;
                assert!(!is_well || endpoint.ejections == 0, "{endpoint:?}");
            }
            idle(&four.setup.channel).await;
        }
    }
}

#[tokio::test]
async fn a_replica_that_was_well_and_begins_to_refuse_is_ejected() {
    for code in [Code::Unimplemented, Code::Unauthenticated] {
        let refuses = Arc::<AtomicBool>::default();
        let sick = Arc::clone(&refuses);
        let turning = Server::answering(move |_| {
            let sick = sick.load(Ordering::SeqCst);
            async move {
                if sick {
                    return passing_on::answer(&refused(code), false);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
                reply("well")
            }
        })
        .await;
        let four = Four::with(patient(), turning).await;
        assert!(four.calls(ADD).await.is_empty());
        refuses.store(true, Ordering::SeqCst);
        let failed = four.calls(ADD).await.len();
        assert!(failed >= 10, "{failed} of {CALLS}, {code:?}");
        four.assert_few(four.refusing.hits() - failed);
        let endpoints = four.setup.channel.snapshot().endpoints;
        let turned = endpoints.iter().find(|one| one.address == four.refusing.address).unwrap();
        assert_eq!(turned.ejection_reason, Some(ejection::Reason::Refusals), "{turned:?}");
        let others = endpoints.iter().filter(|one| one.address != four.refusing.address);
        assert_eq!(others.map(|one| one.ejections).sum::<u64>(), 0);
    }
}

#[tokio::test]
async fn streams_that_one_of_four_replicas_refuses_are_as_few() {
    let refusal = || passing_on::answer(&refused(Code::Unauthenticated), true);
    let four = Four::new(patient(), refusal).await;
    for _ in 0..CALLS {
        let request = Request::new(tokio_stream::iter(["hello".to_owned()]));
        let codec = ProstCodec::<String, String>::default();
        let answers = Grpc::new(four.setup.channel.clone())
            .streaming(request, PathAndQuery::from_static(CHAT), codec)
            .await;
        match answers {
            Ok(answers) => {
                let mut answers = answers.into_inner();
                while let Ok(Some(_)) = answers.message().await {}
            }
            Err(status) => assert_eq!(status.code(), Code::Unauthenticated),
        }
    }
    four.assert_few(0);
}

#[tokio::test]
async fn an_unknown_method_is_called_on_another_replica() {
    // Non-repeatable calls too: they were not executed.
    for path in [ADD, FIND, SEEK] {
        let four = Four::new(patient(), || passing_on::answer(&method_unknown(), false)).await;
        let failed = four.calls(path).await;
        assert!(failed.is_empty(), "{path}: {} failed: {:?}", failed.len(), failed[0]);
        assert!(four.refusing.hits() > 0, "it was never asked");
        let tokens = four.setup.channel.snapshot().retry_tokens;
        assert!((tokens - 100.0).abs() < 0.01, "it costs nothing: {tokens}");
        idle(&four.setup.channel).await;
    }
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_tried_on_five_replicas() {
    let mut servers = Vec::new();
    let setup = Setup::new();
    let mut registrations = Vec::new();
    for _ in 0..7 {
        let unknown = || std::future::ready(passing_on::answer(&method_unknown(), false));
        let server = Server::answering(move |_| unknown()).await;
        registrations.push(setup.register(server.address).await);
        servers.push(server);
    }
    warm(&setup.channel, 7).await;
    // A busy machine adds hedges.
    for (path, most) in [(ADD, 5), (SEEK, 7)] {
        let before: usize = servers.iter().map(Server::hits).sum();
        let status = call(&setup.channel, path).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unimplemented, "no such method"));
        assert!(GantryReason::MethodUnknown.is_given_by(&status), "{status:?}");
        let hits = servers.iter().map(Server::hits).sum::<usize>() - before;
        assert!((5..=most).contains(&hits), "{path}: {hits}");
    }
    idle(&setup.channel).await;
}

#[tokio::test]
async fn when_all_replicas_refuse_nobody_is_ejected() {
    for late in [false, true] {
        let refusal = move || passing_on::answer(&refused(Code::Unauthenticated), late);
        let setup = Setup::new();
        let mut servers = Vec::new();
        let mut registrations = Vec::new();
        for _ in 0..4 {
            let server = Server::answering(move |_| std::future::ready(refusal())).await;
            registrations.push(setup.register(server.address).await);
            servers.push(server);
        }
        warm(&setup.channel, 4).await;
        for _ in 0..300 {
            call(&setup.channel, ADD).await.unwrap_err();
        }
        for endpoint in setup.channel.snapshot().endpoints {
            assert_eq!(endpoint.ejections, 0, "{endpoint:?}");
        }
    }
}

#[tokio::test]
async fn one_refused_method_of_a_replica_attracts_no_calls() {
    let setup = Setup::with(patient());
    let half = Server::answering(|hit| async move {
        if hit.request.uri().path() == FIND {
            return passing_on::answer(&refused(Code::Unimplemented), false);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        reply("well")
    })
    .await;
    let mut registrations = vec![setup.register(half.address).await];
    let slow = || Server::slow(Duration::from_millis(2));
    let well = [slow().await, slow().await, slow().await];
    for server in &well {
        registrations.push(setup.register(server.address).await);
    }
    warm(&setup.channel, 4).await;
    let mut tasks = JoinSet::new();
    for _ in 0..CLIENTS {
        let channel = setup.channel.clone();
        tasks.spawn(async move {
            for _ in 0..100 {
                call(&channel, ADD).await.unwrap();
                let _ = call(&channel, FIND).await;
            }
        });
    }
    tasks.join_all().await;
    let share = half.hits() * 100 / (2 * CLIENTS * 100);
    assert!(share <= 40, "{share} % of the calls");
}
