//! Several definitions in one engine, their origins, and the contexts of their sagas.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use gantry_saga::{
    Attempt, Call, Carrier, Context, Definition, DefinitionError, Engine, Entry, Failure, NewSaga,
    Origin, Reversible, Status, Step, memory::MemoryLog, testing::CrashingLog,
};
use tracing::Span;
use uuid::Uuid;

use crate::world::{SAGA, STEPS, World, carry, context, definition, policy, saga, start};

/// Names of steps and undos, in the order of their calls.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn push(&self, call: impl Into<String>) {
        self.0.lock().unwrap().push(call.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A step, refused if its input is 0.
struct Count(&'static str, Calls);

#[async_trait]
impl Step<u32> for Count {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn run(&self, call: Call<'_, u32>) -> Result<(), Failure> {
        self.1.push(self.0);
        if *call.input == 0 { Err(Failure::refused("ZERO", "nothing to count")) } else { Ok(()) }
    }
}

#[async_trait]
impl Reversible<u32> for Count {
    async fn undo(&self, _: Call<'_, u32>, _: &Failure) -> Result<(), Failure> {
        self.1.push(format!("undo {}", self.0));
        Ok(())
    }
}

struct Begun(Calls);

#[async_trait]
impl Origin<u32> for Begun {
    fn name(&self) -> &'static str {
        "begun"
    }

    async fn undo(&self, _: Call<'_, u32>, why: &Failure) -> Result<(), Failure> {
        self.0.push(format!("undo begun: {why}"));
        Ok(())
    }
}

fn counting(calls: &Calls) -> Definition<u32> {
    let step = |name| Count(name, calls.clone());
    Definition::named("counting").origin(Begun(calls.clone())).step(step("one")).pivot(step("two"))
}

async fn ended(log: &MemoryLog, saga: Uuid) -> Status {
    loop {
        match log.status(saga).unwrap() {
            Status::Running => tokio::time::sleep(Duration::from_millis(1)).await,
            status => return status,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_engine_drives_sagas_of_several_definitions() {
    let (world, calls, log) = (World::default(), Calls::default(), MemoryLog::default());
    let engine = Engine::builder(Arc::new(log.clone()), policy());
    let engine = engine.definition(definition(&world)).unwrap();
    let engine = engine.definition(counting(&calls)).unwrap().start();
    let other = Uuid::from_u128(1);
    log.begin(saga());
    log.begin(NewSaga::new(other, "counting", &3, Context::default()).unwrap());
    engine.handle().wake();
    assert_eq!(ended(&log, SAGA).await, Status::Completed);
    assert_eq!(ended(&log, other).await, Status::Completed);
    assert_eq!(world.calls().len(), STEPS.len());
    assert_eq!(calls.take(), ["one", "two"]);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_origin_is_never_run_and_undone_last() {
    let (calls, log) = (Calls::default(), MemoryLog::default());
    let engine = Engine::builder(Arc::new(log.clone()), policy());
    let engine = engine.definition(counting(&calls)).unwrap().start();
    for (input, status, expected) in [
        (1_u32, Status::Completed, vec!["one", "two"]),
        (0, Status::Undone, vec!["one", "undo begun: refused: ZERO: nothing to count"]),
    ] {
        let id = Uuid::from_u128(u128::from(input));
        log.begin(NewSaga::new(id, "counting", &input, Context::default()).unwrap());
        engine.handle().wake();
        assert_eq!(ended(&log, id).await, status);
        assert_eq!(calls.take(), expected);
    }
    engine.close().await;
}

#[tokio::test]
async fn doubled_names_are_refused() {
    let calls = Calls::default();
    let builder = || Engine::builder(Arc::new(MemoryLog::default()), policy());
    let twice = builder().definition(counting(&calls)).unwrap().definition(counting(&calls));
    assert_eq!(twice.unwrap_err(), DefinitionError::Name("counting"));
    let step = |name| Count(name, calls.clone());
    let doubled = Definition::named("doubled").step(step("one")).pivot(step("one"));
    let expected = DefinitionError::Step { definition: "doubled", step: "one" };
    assert_eq!(builder().definition(doubled).unwrap_err(), expected);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_and_the_next_start_are_one_append() {
    let (world, log) = (World::default(), MemoryLog::default());
    log.begin(saga());
    let counting = CrashingLog::new(log.clone(), usize::MAX, true);
    let engine = start(&world, counting.clone());
    assert_eq!(ended(&log, SAGA).await, Status::Completed);
    engine.close().await;
    assert_eq!(log.entries(SAGA).len(), 2 * STEPS.len());
    assert_eq!(usize::MAX - counting.left(), STEPS.len() + 1);
}

/// Notes the contexts that it is given, and makes them visible to the attempt.
#[derive(Clone, Debug, Default)]
struct Noting(Calls);

tokio::task_local! {
    static REQUEST_ID: Option<String>;
}

#[async_trait]
impl Carrier for Noting {
    fn join(&self, context: &Context, _: &Span) {
        self.0.push(format!("join {}", context.trace.as_deref().unwrap_or("none")));
    }

    async fn attempt(&self, context: &Context, attempt: Attempt<'_>) -> Result<(), Failure> {
        REQUEST_ID.scope(context.request_id.clone(), attempt).await
    }
}

/// A step that notes the request id around it.
struct Note(Calls);

#[async_trait]
impl Step<u32> for Note {
    fn name(&self) -> &'static str {
        "note"
    }

    async fn run(&self, call: Call<'_, u32>) -> Result<(), Failure> {
        let id = REQUEST_ID.with(Clone::clone);
        assert_eq!(*call.context, context());
        self.0.push(format!("note {}", id.as_deref().unwrap_or("none")));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_sagas_context_is_carried_into_its_attempts() {
    let (calls, log) = (Calls::default(), MemoryLog::default());
    let engine = Engine::builder(Arc::new(log.clone()), policy()).carrier(Noting(calls.clone()));
    let definition = Definition::named("noting").pivot(Note(calls.clone()));
    log.begin(NewSaga::new(SAGA, "noting", &1, context()).unwrap());
    let engine = engine.definition(definition).unwrap().start();
    assert_eq!(ended(&log, SAGA).await, Status::Completed);
    engine.close().await;
    let trace = context().trace.unwrap();
    assert_eq!(calls.take(), [format!("join {trace}"), "note request-1".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn entries_are_written_in_pairs_of_one_time() {
    let (_, log) = carry(&World::default()).await;
    let entries = log.entries(SAGA);
    let pairs = entries[1..entries.len() - 1].chunks(2);
    for (pair, steps) in pairs.zip(STEPS.windows(2)) {
        let expected = [
            Entry::Succeeded { step: steps[0].to_owned() },
            Entry::Started { step: steps[1].to_owned() },
        ];
        assert_eq!(pair, expected);
    }
}
