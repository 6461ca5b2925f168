//! Fake world for sagas: steps with countable effects, and a script of outcomes.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use gantry_saga::{
    Call, Context, Definition, Engine, Failure, Log, NewSaga, Policy, Reversible, Status, Step,
    memory::MemoryLog,
};
use uuid::Uuid;

/// Three steps before the pivot, the pivot and one after it.
pub(crate) const STEPS: [&str; 5] = ["a", "b", "c", "pivot", "last"];
pub(crate) const PIVOT: usize = 3;
pub(crate) const SAGA: Uuid = Uuid::from_u128(7);

/// Outcome of one attempt. `Lost` fails at once without an answer, `Hung` never returns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Done,
    Refused,
    LostBefore,
    LostAfter,
    HungBefore,
    HungAfter,
    /// No answer; takes effect after this delay.
    Late(Duration),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    /// True while the effect holds.
    pub(crate) done: bool,
    /// Number of times that it took effect.
    pub(crate) times: u32,
    /// True once undone: it must not take effect any more.
    pub(crate) undone: bool,
}

#[derive(Debug, Default)]
struct State {
    effects: BTreeMap<&'static str, Effect>,
    script: BTreeMap<(Kind, &'static str), VecDeque<Fate>>,
    calls: Vec<(Kind, &'static str, Uuid)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Run,
    Undo,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

impl World {
    /// Sets the outcomes of the next attempts at `step`. Later attempts succeed.
    pub(crate) fn script(
        &self,
        kind: Kind,
        step: &'static str,
        fates: impl IntoIterator<Item = Fate>,
    ) {
        self.0.lock().unwrap().script.entry((kind, step)).or_default().extend(fates);
    }

    pub(crate) fn effect(&self, step: &str) -> Effect {
        self.0.lock().unwrap().effects.get(step).cloned().unwrap_or_default()
    }

    pub(crate) fn done(&self) -> Vec<&'static str> {
        STEPS.into_iter().filter(|step| self.effect(step).done).collect()
    }

    pub(crate) fn calls(&self) -> Vec<(Kind, &'static str, Uuid)> {
        self.0.lock().unwrap().calls.clone()
    }

    fn act(&self, kind: Kind, step: &'static str) -> Result<(), Failure> {
        let mut state = self.0.lock().unwrap();
        // The pivot is refused once the step before it is undone, like the commit of a released
        // reservation.
        let too_late = step == "pivot" && state.effects.get("c").is_some_and(|c| c.undone);
        let effect = state.effects.entry(step).or_default();
        match kind {
            Kind::Run if too_late => return Err(Failure::refused("UNDONE", "too late")),
            Kind::Run if effect.undone => return Err(Failure::refused("UNDONE", "undone before")),
            Kind::Run => {
                effect.times += u32::from(!effect.done);
                effect.done = true;
            }
            Kind::Undo => {
                effect.done = false;
                effect.undone = true;
            }
        }
        Ok(())
    }

    async fn attempt(&self, kind: Kind, step: &'static str, key: Uuid) -> Result<(), Failure> {
        let fate = {
            let mut state = self.0.lock().unwrap();
            state.calls.push((kind, step, key));
            let script = state.script.entry((kind, step)).or_default();
            script.pop_front().unwrap_or(Fate::Done)
        };
        let lost = Err(Failure::unanswered("lost"));
        match fate {
            Fate::Done => self.act(kind, step),
            // A repeat of an executed step succeeds.
            Fate::Refused if kind == Kind::Run && self.effect(step).done => self.act(kind, step),
            Fate::Refused => Err(Failure::refused("NO", format_args!("{step} says no"))),
            Fate::LostBefore => lost,
            Fate::LostAfter => self.act(kind, step).and(lost),
            Fate::HungBefore => std::future::pending().await,
            Fate::HungAfter => {
                let _ = self.act(kind, step);
                std::future::pending().await
            }
            Fate::Late(delay) => {
                let world = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let _ = world.act(kind, step);
                });
                lost
            }
        }
    }
}

struct Do(&'static str, World);

#[async_trait]
impl Step<String> for Do {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn run(&self, call: Call<'_, String>) -> Result<(), Failure> {
        assert_eq!((call.saga, call.input.as_str()), (SAGA, "input"));
        assert_eq!(*call.context, context());
        self.1.attempt(Kind::Run, self.0, call.key).await
    }
}

#[async_trait]
impl Reversible<String> for Do {
    async fn undo(&self, call: Call<'_, String>, _why: &Failure) -> Result<(), Failure> {
        self.1.attempt(Kind::Undo, self.0, call.key).await
    }
}

pub(crate) fn definition(world: &World) -> Definition<String> {
    let step = |index: usize| Do(STEPS[index], world.clone());
    Definition::named("test").step(step(0)).step(step(1)).step(step(2)).pivot(step(3)).then(step(4))
}

pub(crate) fn policy() -> Policy {
    Policy { jitter: 0.0, max_rounds: NonZeroU32::new(5).unwrap(), ..Policy::default() }
}

pub(crate) fn saga() -> NewSaga {
    NewSaga::new(SAGA, "test", &"input", context()).unwrap()
}

pub(crate) fn context() -> Context {
    Context {
        actor: Some("ann".to_owned()),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        request_id: Some("request-1".to_owned()),
    }
}

pub(crate) fn start(world: &World, log: impl Log) -> Engine {
    Engine::builder(Arc::new(log), policy()).definition(definition(world)).unwrap().start()
}

/// Waits, in paused time, until the saga is no longer running.
pub(crate) async fn ended(log: &MemoryLog) -> Status {
    for _ in 0..100_000 {
        match log.status(SAGA) {
            Some(Status::Running) | None => tokio::time::sleep(Duration::from_millis(50)).await,
            Some(status) => return status,
        }
    }
    panic!("the saga never ended: {:?}", log.entries(SAGA));
}

/// Begins the saga and drives it to its end.
pub(crate) async fn carry(world: &World) -> (Status, MemoryLog) {
    let log = MemoryLog::default();
    log.begin(saga());
    let engine = start(world, log.clone());
    let status = ended(&log).await;
    engine.close().await;
    (status, log)
}

/// Checks the invariants of a saga that is no longer running.
pub(crate) fn check(world: &World, status: Status, log: &MemoryLog) {
    let story = || format!("{status:?} {:?} {:?}", world.done(), log.entries(SAGA));
    match status {
        Status::Completed => assert_eq!(world.done(), STEPS, "{}", story()),
        Status::Undone => assert!(world.done().is_empty(), "{}", story()),
        Status::Stuck | Status::Running => {}
    }
    for step in STEPS {
        assert!(world.effect(step).times <= 1, "{step} took effect twice: {}", story());
    }
    let mut keys = BTreeMap::new();
    for (kind, step, key) in world.calls() {
        let known = *keys.entry((kind, step)).or_insert(key);
        assert_eq!(known, key, "{step} was called with two keys");
    }
    let different: std::collections::BTreeSet<_> = keys.values().collect();
    assert_eq!(different.len(), keys.len(), "two calls share a key: {keys:?}");
}
