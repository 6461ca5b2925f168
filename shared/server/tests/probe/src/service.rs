//! Service whose requests control its behaviour, with counters.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use gantry_contract::{CallContext, Scope};
use gantry_server::authorized;
use tokio::time::{Instant, sleep};
use tonic::{Request, Response, Status, Streaming};

use crate::probe::v1::{
    ActRequest, ActResponse, AddRequest, AddResponse, CountRequest, CountResponse, RepeatRequest,
    RepeatResponse, probe_service_server::ProbeService,
};

/// Counters of the service.
#[derive(Debug, Default)]
pub struct Seen {
    started: AtomicUsize,
    finished: AtomicUsize,
    dropped: AtomicUsize,
}

impl Seen {
    /// Returns the number of calls that reached the handler.
    pub fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    /// Returns the number of calls that the handler answered.
    pub fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }

    /// Returns the number of calls that were dropped before the handler answered.
    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
}

/// The service.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// Counters.
    pub seen: Arc<Seen>,
}

struct Working(Arc<Seen>, bool);

impl Working {
    fn start(seen: &Arc<Seen>) -> Self {
        seen.started.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(seen), false)
    }

    fn finish(mut self) {
        self.0.finished.fetch_add(1, Ordering::SeqCst);
        self.1 = true;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Probe {
    async fn run(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        let working = Working::start(&self.seen);
        let ActRequest { nap_ms, panic, fail_attempts, answer_bytes, release, .. } =
            *request.get_ref();
        let before = request.metadata().get("grpc-previous-rpc-attempts");
        let before = before.map_or(0, |count| count.to_str().unwrap().parse().unwrap());
        if fail_attempts > before {
            return Err(Status::unavailable("not yet"));
        }
        if release {
            gantry_server::release_place();
        }
        if nap_ms > 0 {
            sleep(Duration::from_millis(nap_ms.into())).await;
        }
        assert!(!panic, "the secret is 42");
        let authorized = authorized(&request);
        let context = CallContext::current().unwrap();
        let left = context.deadline.map(|deadline| deadline - Instant::now());
        working.finish();
        Ok(Response::new(ActResponse {
            subject: authorized.caller.subject(),
            scope: match &authorized.scope {
                Scope::All => "all".into(),
                Scope::Own(subject) => subject.clone(),
            },
            request_id: context.request_id.to_string(),
            left_ms: left.map_or(0, |left| left.as_millis().try_into().unwrap()),
            ballast: vec![0; answer_bytes as usize],
        }))
    }
}

#[tonic::async_trait]
impl ProbeService for Probe {
    async fn act(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        self.run(request).await
    }

    async fn brief(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        self.run(request).await
    }

    async fn once(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        self.run(request).await
    }

    async fn guarded(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        self.run(request).await
    }

    async fn scarce(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        self.run(request).await
    }

    type CountStream = Pin<Box<dyn Stream<Item = Result<CountResponse, Status>> + Send>>;

    async fn count(
        &self,
        request: Request<CountRequest>,
    ) -> Result<Response<Self::CountStream>, Status> {
        let CountRequest { to, pause_ms, panic_at } = request.into_inner();
        let working = Working::start(&self.seen);
        let numbers = stream::unfold((1, working), move |(number, working)| async move {
            if to > 0 && number > to {
                working.finish();
                return None;
            }
            sleep(Duration::from_millis(pause_ms.into())).await;
            assert!(number != panic_at, "the secret is 42");
            let request_id = CallContext::current().unwrap().request_id.to_string();
            Some((Ok(CountResponse { number, request_id }), (number + 1, working)))
        });
        Ok(Response::new(numbers.boxed()))
    }

    async fn add(
        &self,
        request: Request<Streaming<AddRequest>>,
    ) -> Result<Response<AddResponse>, Status> {
        let working = Working::start(&self.seen);
        let (mut numbers, mut sum) = (request.into_inner(), 0);
        while let Some(AddRequest { number, nap_ms, .. }) = numbers.message().await? {
            sum += number;
            sleep(Duration::from_millis(nap_ms.into())).await;
        }
        working.finish();
        Ok(Response::new(AddResponse { sum }))
    }

    type RepeatStream = Pin<Box<dyn Stream<Item = Result<RepeatResponse, Status>> + Send>>;

    async fn repeat(
        &self,
        request: Request<Streaming<RepeatRequest>>,
    ) -> Result<Response<Self::RepeatStream>, Status> {
        let working = Working::start(&self.seen);
        let repeated = stream::try_unfold((request.into_inner(), working, false), repeat_next);
        Ok(Response::new(repeated.boxed()))
    }
}

type Repeating = (Streaming<RepeatRequest>, Working, bool);

async fn repeat_next(
    (mut numbers, working, done): Repeating,
) -> Result<Option<(RepeatResponse, Repeating)>, Status> {
    let next = if done { None } else { numbers.message().await? };
    let Some(RepeatRequest { number, last }) = next else {
        working.finish();
        return Ok(None);
    };
    Ok(Some((RepeatResponse { number }, (numbers, working, last))))
}
