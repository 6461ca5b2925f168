//! Handler in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, time::sleep};

use super::Faults;
use crate::{Aggregate, Event, Handled, Handler, HandlerError, StoreError};

/// Handler with the inbox that [`Handler`] asks for, for tests. Its effect is an entry of a list. Clones
/// are the same database.
#[derive(Clone, Debug)]
pub struct MemoryInbox {
    rows: Arc<Mutex<Rows>>,
    open: watch::Sender<bool>,
    /// Fates of the next operations.
    pub faults: Faults,
    /// Duration of handling an event.
    pace: Duration,
}

#[derive(Debug, Default)]
struct Rows {
    last: BTreeMap<Aggregate, i64>,
    held: BTreeSet<(Aggregate, i64)>,
    parked: BTreeMap<Aggregate, Vec<i64>>,
    poison: BTreeSet<(Aggregate, i64)>,
    panics: BTreeSet<(Aggregate, i64)>,
    effects: Vec<(Aggregate, i64)>,
    /// Deliveries that were begun.
    began: usize,
    subscribed: usize,
}

impl Default for MemoryInbox {
    fn default() -> Self {
        Self {
            rows: Arc::default(),
            open: watch::Sender::new(true),
            faults: Faults::default(),
            pace: Duration::ZERO,
        }
    }
}

impl Rows {
    fn apply(&mut self, aggregate: &Aggregate, sequence: i64) {
        self.last.insert(aggregate.clone(), sequence);
        self.effects.push((aggregate.clone(), sequence));
    }

    fn handle(&mut self, event: &Event) -> Handled {
        let Event { aggregate, sequence, .. } = event;
        let last = self.last.get(aggregate).copied().unwrap_or_default();
        if *sequence <= last {
            return Handled::Duplicate;
        }
        if let Some(parked) = self.parked.get_mut(aggregate) {
            if parked.contains(sequence) {
                return Handled::Duplicate;
            }
            parked.push(*sequence);
            return Handled::Parked;
        }
        if *sequence > last + 1 {
            self.held.insert((aggregate.clone(), *sequence));
            return Handled::Held;
        }
        self.apply(aggregate, *sequence);
        let mut released = 0;
        let mut next = sequence + 1;
        while !self.poison.contains(&(aggregate.clone(), next))
            && self.held.remove(&(aggregate.clone(), next))
        {
            self.apply(aggregate, next);
            released += 1;
            next += 1;
        }
        // A held event that fails is parked with its successors.
        if self.held.contains(&(aggregate.clone(), next)) {
            self.park_held(aggregate);
        }
        Handled::Applied { released }
    }

    fn park_held(&mut self, aggregate: &Aggregate) {
        let parked = self.parked.entry(aggregate.clone()).or_default();
        self.held.retain(|(of, sequence)| {
            let is_of = of == aggregate;
            if is_of && !parked.contains(sequence) {
                parked.push(*sequence);
            }
            !is_of
        });
    }
}

impl MemoryInbox {
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a handler that takes this time for each event.
    pub fn with_pace(pace: Duration) -> Self {
        Self { pace, ..Self::default() }
    }

    /// Makes the handler fail on an event.
    pub fn poison(&self, aggregate: &Aggregate, sequence: i64) {
        self.lock().poison.insert((aggregate.clone(), sequence));
    }

    /// Makes the handler panic on an event, once.
    pub fn panic_once(&self, aggregate: &Aggregate, sequence: i64) {
        self.lock().panics.insert((aggregate.clone(), sequence));
    }

    /// Makes the handler wait before each event, until it is opened again.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Lets the handler go on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns the effects, in order.
    pub fn effects(&self) -> Vec<(Aggregate, i64)> {
        self.lock().effects.clone()
    }

    /// Returns the sequences of an aggregate that took effect, in order.
    pub fn effects_of(&self, aggregate: &Aggregate) -> Vec<i64> {
        let effects = self.effects().into_iter().filter(|(of, _)| of == aggregate);
        effects.map(|(_, sequence)| sequence).collect()
    }

    /// Returns the parked sequences of an aggregate, in the order of their arrival.
    pub fn parked(&self, aggregate: &Aggregate) -> Vec<i64> {
        self.lock().parked.get(aggregate).cloned().unwrap_or_default()
    }

    /// Returns the number of held events.
    pub fn held(&self) -> usize {
        self.lock().held.len()
    }

    /// Returns the number of attempts.
    pub fn began(&self) -> usize {
        self.lock().began
    }

    /// Returns the number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.lock().subscribed
    }
}

#[async_trait]
impl Handler for MemoryInbox {
    async fn subscribed(&self) {
        self.lock().subscribed += 1;
    }

    async fn handle(&self, event: &Event) -> Result<Handled, HandlerError> {
        self.lock().began += 1;
        // The sender is a field, so it is not closed.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
        sleep(self.pace).await;
        let place = (event.aggregate.clone(), event.sequence);
        let (panics, fails) = {
            let mut rows = self.lock();
            let is_parked = rows.parked.contains_key(&event.aggregate);
            let is_next = rows.last.get(&event.aggregate).copied().unwrap_or_default() + 1;
            let is_tried = !is_parked && event.sequence == is_next;
            (rows.panics.remove(&place), is_tried && rows.poison.contains(&place))
        };
        #[expect(clippy::panic, reason = "the test asked for it")]
        if panics {
            panic!("asked for by the test");
        }
        if fails {
            return Err(HandlerError::Failed("poison".to_owned()));
        }
        Ok(self.faults.store(|| self.lock().handle(event))?)
    }

    async fn park(&self, event: &Event, _: &str) -> Result<(), StoreError> {
        self.faults.store(|| {
            let mut rows = self.lock();
            let parked = rows.parked.entry(event.aggregate.clone()).or_default();
            if !parked.contains(&event.sequence) {
                parked.push(event.sequence);
            }
            rows.park_held(&event.aggregate);
        })
    }
}
