//! Engines of two replicas on one PostgreSQL database.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use gantry_saga::{
    Call, Definition, Engine, Entry, Failure, Filter, Log, Policy, Reversible, Status, Step,
};
use gantry_sql::{Database, sagas::SagaLog};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{begin, postgres::replicas, saga, started};

/// A step that notes its calls, and may hang in one of its steps.
#[derive(Clone)]
struct Count {
    name: &'static str,
    calls: Arc<Mutex<Vec<(Uuid, &'static str)>>>,
    hangs_in: Arc<Mutex<Option<&'static str>>>,
    hanging: Arc<Notify>,
}

#[async_trait]
impl Step<String> for Count {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(&self, call: Call<'_, String>) -> Result<(), Failure> {
        self.calls.lock().unwrap().push((call.saga, self.name));
        if *self.hangs_in.lock().unwrap() == Some(self.name) {
            self.hanging.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[async_trait]
impl Reversible<String> for Count {
    async fn undo(&self, _: Call<'_, String>, _: &Failure) -> Result<(), Failure> {
        Ok(())
    }
}

/// A replica with its engine.
struct Replica {
    database: Database,
    log: SagaLog,
    step: Count,
    engine: Engine,
}

impl Replica {
    async fn start(database: Database) -> Self {
        let log = SagaLog::open(database.clone()).await.unwrap();
        let step = Count {
            name: "one",
            calls: Arc::default(),
            hangs_in: Arc::default(),
            hanging: Arc::default(),
        };
        let policy = Policy {
            attempt_timeout: Duration::from_millis(500),
            step_deadline: Duration::from_secs(60),
            poll: Duration::from_millis(50),
            retry_max: Duration::from_millis(100),
            ..Policy::default()
        };
        let two = Count { name: "two", ..step.clone() };
        let definition = Definition::named("test").step(step.clone()).pivot(two);
        let engine = Engine::builder(Arc::new(log.clone()), policy);
        let engine = engine.definition(definition).unwrap().start();
        Self { database, log, step, engine }
    }

    fn hang_in(&self, step: &'static str) {
        *self.step.hangs_in.lock().unwrap() = Some(step);
    }

    fn calls(&self) -> Vec<(Uuid, &'static str)> {
        self.step.calls.lock().unwrap().clone()
    }

    async fn status(&self, saga: Uuid) -> Status {
        self.log.find(saga).await.unwrap().unwrap().summary.status
    }

    async fn entries(&self, saga: Uuid) -> Vec<Entry> {
        let found = self.log.find(saga).await.unwrap().unwrap();
        found.entries.into_iter().map(|recorded| recorded.entry).collect()
    }

    /// Waits until no saga is running.
    async fn settled(&self) {
        let running = Filter { status: Some(Status::Running), before: None, limit: 1 };
        while !self.log.list(&running).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn succeeded(step: &str) -> Entry {
    Entry::Succeeded { step: step.to_owned() }
}

#[tokio::test]
async fn a_killed_replicas_saga_is_finished_by_another() {
    let [one, other] = replicas().await;
    let killed = Replica::start(one).await;
    killed.hang_in("two");
    let id = Uuid::from_u128(1);
    begin(&killed.database, saga(1, "test")).await.unwrap();
    killed.step.hanging.notified().await;
    // Without its connections it writes nothing more, and its lease stays.
    killed.database.close().await;
    let survivor = Replica::start(other).await;
    assert_eq!(survivor.status(id).await, Status::Running);
    survivor.settled().await;
    assert_eq!(survivor.status(id).await, Status::Completed);
    let history = survivor.log.find(id).await.unwrap().unwrap();
    assert_eq!(history.epoch, 2, "it was claimed once more");
    let expected =
        [started("one"), succeeded("one"), started("two"), started("two"), succeeded("two")];
    assert_eq!(survivor.entries(id).await, expected);
    assert_eq!(survivor.calls(), [(id, "two")], "the first step is not repeated");
    survivor.engine.close().await;
}

#[tokio::test]
async fn an_operator_of_one_replica_aborts_a_saga_of_another() {
    let [one, other] = replicas().await;
    let driving = Replica::start(one).await;
    driving.hang_in("one");
    let id = Uuid::from_u128(1);
    begin(&driving.database, saga(1, "test")).await.unwrap();
    driving.step.hanging.notified().await;
    let other = Replica::start(other).await;
    let aborted = other.engine.operator().abort(id, "op", "").await.unwrap();
    assert_eq!(aborted.summary.status, Status::Running);
    other.settled().await;
    assert_eq!(other.status(id).await, Status::Undone);
    let refused = driving.engine.operator().abort(id, "op", "").await.unwrap_err();
    assert_eq!(refused.to_string(), "the saga has ended: it is undone");
    driving.engine.close().await;
    other.engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_engines_drive_a_crowd_of_sagas_once() {
    const SAGAS: u128 = 100;
    let [one, other] = replicas().await;
    let replicas = [Replica::start(one).await, Replica::start(other).await];
    for id in 0..SAGAS {
        begin(&replicas[0].database, saga(id, "test")).await.unwrap();
    }
    replicas[0].settled().await;
    let mut calls: Vec<_> = replicas.iter().flat_map(Replica::calls).collect();
    calls.sort_unstable();
    let ids = (0..SAGAS).map(Uuid::from_u128);
    assert_eq!(calls, ids.flat_map(|id| [(id, "one"), (id, "two")]).collect::<Vec<_>>());
    for replica in replicas {
        replica.engine.close().await;
    }
}
