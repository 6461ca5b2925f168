//! Fakes of the called services that fail on demand, and an order to run the saga on.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    num::NonZeroU32,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use gantry_common_testing::{
    eventually,
    repository::{execute, replicas},
};
use gantry_contract::{Actor, Caller};
use gantry_order::{
    application::{
        CompletionNotifier, Customer, OrderRepository, PlaceOrderSaga, Stock, StockError,
        StoredOrder, Unanswered, UnitOfWork, Users, UsersError,
    },
    domain::{OrderId, PlacedBy, Quantity, RejectReason, Sku, Status, Tier, UserId},
    outbound::sql::{MIGRATIONS, SqlRepository},
};
use gantry_saga::{Context, Engine, Log, NewSaga, Policy};
use gantry_sql::{Database, sagas::SagaLog};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{ANN, NOW, TestClock, database, draft, fresh, unit};

pub(super) const IN_STOCK: i64 = 10;

/// Method of a called service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    User,
    Reserve,
    Commit,
    Release,
}

/// Fault of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Lost before it takes effect.
    Before,
    /// Lost after it has taken effect.
    After,
    /// No response.
    Hang,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reservation {
    Reserved(i64),
    Committed(i64),
    Released,
}

#[derive(Debug, Default)]
struct State {
    faults: BTreeMap<Method, VecDeque<Fault>>,
    customer: Option<Customer>,
    reservations: BTreeMap<Uuid, Reservation>,
    /// Method of each key.
    keys: BTreeMap<Uuid, Method>,
    callers: Vec<Caller>,
}

/// Fake user and inventory services. Clones share their state.
#[derive(Clone, Debug)]
pub(super) struct FakeServices(Arc<Mutex<State>>);

impl FakeServices {
    pub(super) fn new() -> Self {
        let customer = Some(Customer { tier: Tier::Premium, active: true });
        Self(Arc::new(Mutex::new(State { customer, ..State::default() })))
    }

    /// Makes the next attempts of `method` fail.
    pub(super) fn fail(&self, method: Method, faults: impl IntoIterator<Item = Fault>) {
        self.0.lock().unwrap().faults.entry(method).or_default().extend(faults);
    }

    pub(super) fn customer(&self, customer: Option<Customer>) {
        self.0.lock().unwrap().customer = customer;
    }

    /// Returns the numbers of available, reserved and sold mugs.
    pub(super) fn stock(&self) -> (i64, i64, i64) {
        let state = self.0.lock().unwrap();
        let (mut reserved, mut sold) = (0, 0);
        for reservation in state.reservations.values() {
            match reservation {
                Reservation::Reserved(count) => reserved += count,
                Reservation::Committed(count) => sold += count,
                Reservation::Released => {}
            }
        }
        (IN_STOCK - reserved - sold, reserved, sold)
    }

    pub(super) fn callers(&self) -> Vec<Caller> {
        self.0.lock().unwrap().callers.clone()
    }

    /// Runs one attempt with its fault. `act` is the effect.
    async fn attempt<T, E: From<Unanswered>>(
        &self,
        method: Method,
        key: Option<Uuid>,
        caller: &Caller,
        act: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<T, E> {
        let fault = {
            let mut state = self.0.lock().unwrap();
            state.callers.push(caller.clone());
            if let Some(key) = key {
                let known = *state.keys.entry(key).or_insert(method);
                assert_eq!(known, method, "one key for two methods");
            }
            state.faults.entry(method).or_default().pop_front()
        };
        let lost = || Unanswered::Unavailable("lost".to_owned());
        match fault {
            None => act(&mut self.0.lock().unwrap()),
            Some(Fault::Before) => Err(lost().into()),
            Some(Fault::After) => {
                act(&mut self.0.lock().unwrap())?;
                Err(lost().into())
            }
            Some(Fault::Hang) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Users for FakeServices {
    async fn find(&self, id: UserId, caller: &Caller) -> Result<Customer, UsersError> {
        assert_eq!(id, ANN);
        self.attempt(Method::User, None, caller, |state| state.customer.ok_or(UsersError::NotFound))
            .await
    }
}

#[async_trait]
impl Stock for FakeServices {
    async fn reserve(
        &self,
        reservation: Uuid,
        items: &[(Sku, Quantity)],
        key: Uuid,
        caller: &Caller,
    ) -> Result<(), StockError> {
        let unknown = items.iter().find(|(sku, _)| sku.as_str() != "mug");
        if let Some((sku, _)) = unknown {
            return Err(StockError::ProductNotFound(format!("no product has the SKU {sku}")));
        }
        let count: i64 = items.iter().map(|(_, quantity)| i64::from(quantity.get())).sum();
        let available = self.stock().0;
        self.attempt(Method::Reserve, Some(key), caller, |state| {
            match state.reservations.get(&reservation) {
                Some(Reservation::Released) => {
                    Err(StockError::Reservation("was released".to_owned()))
                }
                Some(_) => Ok(()),
                None if count > available => Err(StockError::Insufficient("too little".to_owned())),
                None => {
                    state.reservations.insert(reservation, Reservation::Reserved(count));
                    Ok(())
                }
            }
        })
        .await
    }

    async fn commit(
        &self,
        reservation: Uuid,
        key: Uuid,
        caller: &Caller,
    ) -> Result<(), StockError> {
        self.attempt(Method::Commit, Some(key), caller, |state| {
            match state.reservations.get(&reservation).copied() {
                Some(Reservation::Reserved(count)) => {
                    state.reservations.insert(reservation, Reservation::Committed(count));
                    Ok(())
                }
                Some(Reservation::Committed(_)) => Ok(()),
                Some(Reservation::Released) | None => {
                    Err(StockError::Reservation("is not reserved".to_owned()))
                }
            }
        })
        .await
    }

    async fn release(
        &self,
        reservation: Uuid,
        key: Uuid,
        caller: &Caller,
    ) -> Result<(), StockError> {
        self.attempt(Method::Release, Some(key), caller, |state| {
            if let Some(Reservation::Committed(_)) = state.reservations.get(&reservation) {
                return Err(StockError::Reservation("was committed".to_owned()));
            }
            state.reservations.insert(reservation, Reservation::Released);
            Ok(())
        })
        .await
    }
}

/// Engine of an order's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    Sqlite,
    Postgres,
}

/// Placed order whose saga has not run yet.
pub(super) struct TestOrder {
    /// Folder of a SQLite database.
    folder: Option<TempDir>,
    database: Database,
    /// The same database as another replica has it open.
    replica: Database,
    pub(super) policy: Policy,
    pub(super) services: FakeServices,
    pub(super) id: OrderId,
}

impl TestOrder {
    /// Places an order of mugs.
    pub(super) async fn of(on: On, count: u32) -> Self {
        Self::with(on, &[("mug", count)]).await
    }

    pub(super) async fn with(on: On, items: &[(&str, u32)]) -> Self {
        let (folder, [database, replica]) = match on {
            On::Sqlite => {
                let (folder, database) = database().await;
                (Some(folder), [database.clone(), database])
            }
            On::Postgres => (None, replicas(&MIGRATIONS).await),
        };
        let orders = SqlRepository::new(database.clone());
        let draft = draft(ANN, items);
        let id = draft.order.id();
        let saga = Uuid::from_u128(fresh());
        let by = PlacedBy { subject: ANN.to_string(), roles: vec!["user".to_owned()] };
        let placed = draft.order.place(draft.order.price(), saga, Some(by), NOW).unwrap();
        let saga = NewSaga::new(saga, PlaceOrderSaga::NAME, &id.0, Context::default()).unwrap();
        orders.commit(unit(draft)).await.unwrap();
        orders.commit(UnitOfWork { saga: Some(saga), ..unit(placed) }).await.unwrap();
        let services = FakeServices::new();
        Self { folder, database, replica, policy: policy(), services, id }
    }

    /// Raises the timeouts, so that no attempt ends early on a busy machine. For tests without
    /// [`Fault::Hang`].
    pub(super) fn wait_long(&mut self) {
        self.policy.attempt_timeout = Duration::from_secs(60);
        self.policy.step_deadline = Duration::from_secs(60);
    }

    /// Opens the log as a new process does, once the lease of a crashed one has ended.
    pub(super) async fn log(&self) -> SagaLog {
        if self.database.is_shared() {
            self.end_leases().await;
        }
        SagaLog::open(self.database.clone()).await.unwrap()
    }

    /// Opens the log as another replica does.
    pub(super) async fn replica_log(&self) -> SagaLog {
        SagaLog::open(self.replica.clone()).await.unwrap()
    }

    /// Ends all leases, as time does.
    pub(super) async fn end_leases(&self) {
        let end = "UPDATE sagas SET lease_expire_time = 0 WHERE status = 'running'";
        while let Err(error) = execute(&self.database, end).await {
            // An engine changed one of the rows meanwhile.
            let code = error.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("40001"), "{error}");
        }
    }

    pub(super) fn start(&self, log: impl Log) -> Engine {
        self.start_on(&self.database, log)
    }

    /// Starts the engine of another replica.
    pub(super) fn start_replica(&self, log: impl Log) -> Engine {
        self.start_on(&self.replica, log)
    }

    fn start_on(&self, database: &Database, log: impl Log) -> Engine {
        let saga = PlaceOrderSaga {
            orders: Arc::new(SqlRepository::new(database.clone())),
            users: Arc::new(self.services.clone()),
            stock: Arc::new(self.services.clone()),
            notifier: CompletionNotifier::default(),
            clock: Arc::new(TestClock),
            service: "order",
        };
        let engine = Engine::builder(Arc::new(log), self.policy.clone());
        engine.definition(saga.definition()).unwrap().start()
    }

    /// The write-ahead log of the database.
    pub(super) fn wal(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("test.db-wal")
    }

    pub(super) async fn stored(&self) -> StoredOrder {
        SqlRepository::new(self.database.clone()).find(self.id).await.unwrap().unwrap()
    }

    /// Returns the saga's status and the number of its log entries.
    pub(super) async fn saga(&self) -> (String, i64) {
        let mut conn = self.database.reader().await.unwrap();
        let saga = conn.query("SELECT status, (SELECT count(*) FROM saga_entries) FROM sagas");
        saga.fetch_one().await.unwrap()
    }

    /// Returns the number of leases that the saga has had.
    pub(super) async fn epoch(&self) -> i64 {
        let mut conn = self.database.reader().await.unwrap();
        conn.query("SELECT epoch FROM sagas").fetch_value().await.unwrap()
    }

    /// Waits for the end of the saga. Returns its status.
    pub(super) async fn ended(&self) -> String {
        let ended = || async { Some(self.saga().await.0).filter(|status| status != "running") };
        eventually("the end of the saga", ended).await
    }

    /// Runs the saga to its end. Returns the order's status and reject reason, and the saga's status.
    pub(super) async fn run(&self) -> (Status, Option<RejectReason>, String) {
        let engine = self.start(self.log().await);
        let saga = self.ended().await;
        engine.close().await;
        let order = self.stored().await.order;
        (order.status(), order.reject_reason(), saga)
    }

    /// Checks the rules that hold for every order whose saga has ended.
    pub(super) async fn check(&self, count: i64) {
        let order = self.stored().await.order;
        let expected = match order.status() {
            Status::Confirmed => (IN_STOCK - count, 0, count),
            Status::Rejected => (IN_STOCK, 0, 0),
            other => panic!("the order is {other}"),
        };
        assert_eq!(self.services.stock(), expected, "{}", order.status());
        let callers: HashSet<_> =
            self.services.callers().into_iter().map(|caller| format!("{caller:?}")).collect();
        let ann = Actor { subject: ANN.to_string(), roles: vec!["user".to_owned()] };
        let order = Caller::Service { service: "order".to_owned(), cause: Some(ann) };
        assert!(callers.iter().all(|caller| *caller == format!("{order:?}")), "{callers:?}");
    }
}

fn policy() -> Policy {
    let millis = Duration::from_millis;
    Policy {
        attempt_timeout: millis(250),
        step_deadline: millis(600),
        retry_initial: millis(50),
        retry_max: millis(200),
        // The test's clock stands still, so a longer pause would never end.
        pause_initial: Duration::from_nanos(1),
        pause_max: Duration::from_nanos(1),
        max_rounds: NonZeroU32::new(6).unwrap(),
        poll: millis(5),
        ..Policy::default()
    }
}
