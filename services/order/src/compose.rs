//! The service, put together: the only file that names adapters.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};

use gantry_client::{Channel, ClientSettings};
use gantry_common::users_keys;
use gantry_contract::{Clock, Ids};
use gantry_discovery::Registry;
use gantry_identity::{KeyError, ServiceSigner, Verifier};
use gantry_proto::{CONTRACT, shop::order::v1::order_service_server::OrderServiceServer};
use gantry_saga::Engine;
use gantry_server::{BuildError, Fingerprints, Server};
use gantry_sql::{Sqlite, StorageError, requests};
use gantry_telemetry::{BUILD, Meter};
use time::OffsetDateTime;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    application::{
        CompletionNotifier, CreateOrder, DraftLimit, GetOrder, ListOrders, OrderRepository,
        PlaceOrder, PlaceOrderSaga, UseCases,
    },
    domain::Pricing,
    inbound::grpc::Api,
    outbound::{
        clients::{InventoryClient, UserClient},
        sqlite::{MIGRATIONS, SqliteRepository, SqliteSagaLog},
    },
    settings::{NAME, Settings},
};

/// Why the service could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A key is missing or none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] gantry_sql::OpenError),
    /// The database was opened and then gave nothing.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is no way to another service.
    #[error("order.clients.{peer}: {cause}")]
    Client {
        /// Which service.
        peer: &'static str,
        /// Why not.
        cause: gantry_client::BuildError,
    },
}

/// The order service: one database and one worker for its sagas, served by as many
/// servers as are asked for.
#[derive(Debug)]
pub struct Service {
    settings: Settings,
    registry: Registry,
    meter: Option<Meter>,
    verifier: Arc<Verifier>,
    fingerprints: Fingerprints,
    database: Sqlite,
    use_cases: UseCases,
    /// The ways to the services it calls.
    channels: [Channel; 2],
    /// Follows published keys.
    follower: AbortOnDropHandle<Infallible>,
    /// Carries placed orders through.
    sagas: Engine,
    /// Forgets old request records, for as long as the service is there.
    purge: AbortOnDropHandle<()>,
}

impl gantry_process::Service for Service {
    type Settings = Settings;
    type OpenError = OpenError;

    /// Opens what the service needs once, and goes on with what was left unfinished.
    /// Where there is a meter, calls are measured with it.
    ///
    /// # Errors
    /// [`OpenError`]
    async fn open(
        settings: Settings,
        registry: Registry,
        meter: Option<Meter>,
    ) -> Result<Self, OpenError> {
        let signer = Arc::new(settings.identity.signer(NAME)?);
        let fingerprints = settings.idempotency.fingerprints()?;
        let database = Sqlite::open(&settings.database, &MIGRATIONS).await?;

        // One channel for each service: it is the one holder of that service's state here.
        let channel = |peer, settings| channel(peer, settings, &registry, &signer, meter.as_ref());
        let channels = [
            channel("user", &settings.clients.user)?,
            channel("inventory", &settings.clients.inventory)?,
        ];
        let [users, inventory] = channels.clone();
        let keys = |service: &str| (service == "user").then(|| users_keys(users.clone()));
        let verifier = Arc::new(settings.identity.verifier(NAME, keys)?);
        let following = Arc::clone(&verifier);
        let follower = tokio::spawn(async move { following.follow().await });
        let follower = AbortOnDropHandle::new(follower);
        let users = Arc::new(UserClient::new(users));
        let inventory = Arc::new(InventoryClient::new(inventory));
        let orders: Arc<dyn OrderRepository> = Arc::new(SqliteRepository::new(database.clone()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids = Arc::new(SystemIds);
        let pricing = Arc::new(Pricing::from(&settings.pricing));
        let notifier = CompletionNotifier::default();

        let saga = PlaceOrderSaga {
            orders: Arc::clone(&orders),
            users: users.clone(),
            stock: inventory.clone(),
            notifier: notifier.clone(),
            clock: Arc::clone(&clock),
            service: NAME,
        };
        let log = SqliteSagaLog::open(database.clone(), Arc::clone(&clock)).await?;
        let sagas = Engine::start(saga.definition(), Arc::new(log), settings.saga.clone());
        let purge = tokio::spawn(requests::keep_purged(database.clone(), || SystemClock.now()));

        let use_cases = UseCases {
            create_order: CreateOrder {
                orders: Arc::clone(&orders),
                users,
                catalogue: inventory,
                pricing: Arc::clone(&pricing),
                clock: Arc::clone(&clock),
                ids: ids.clone(),
                drafts: DraftLimit {
                    max: settings.drafts.max_per_user,
                    open_for: settings.drafts.open_for,
                },
            },
            place_order: PlaceOrder {
                orders: Arc::clone(&orders),
                pricing,
                sagas: sagas.handle(),
                notifier,
                clock,
                ids,
            },
            get_order: GetOrder { orders: Arc::clone(&orders) },
            list_orders: ListOrders { orders },
        };
        let purge = AbortOnDropHandle::new(purge);
        Ok(Self {
            settings,
            registry,
            meter,
            verifier,
            fingerprints,
            database,
            use_cases,
            channels,
            follower,
            sagas,
            purge,
        })
    }

    /// One more server; all of them share the database.
    ///
    /// # Errors
    /// [`BuildError`] where the settings do not make one.
    fn server(&self) -> Result<Server, BuildError> {
        // The server's state is known to its own handlers, and only once it is built.
        let status = Arc::new(OnceLock::new());
        let api = Api::new(self.use_cases.clone(), self.fingerprints.clone(), Arc::clone(&status));
        let database = self.database.clone();
        let server = Server::builder(NAME, &CONTRACT)
            .service(OrderServiceServer::new(api))
            .settings(self.settings.server.clone())
            .version(BUILD.version)
            .verifier(Arc::clone(&self.verifier))
            .grants(self.settings.identity.grants.clone())
            .registry(self.registry.clone())
            .meter(self.meter.clone())
            .readiness("database", move || {
                let database = database.clone();
                async move { database.probe().await }
            })
            .build()?;
        status.get_or_init(|| server.status());
        Ok(server)
    }

    fn channels(&self) -> Vec<Channel> {
        self.channels.to_vec()
    }

    /// Finishes what has begun, as far as the next safe point, and lets go of the
    /// database. Its servers have drained before. Orders that are still being carried
    /// through are resumed when the service is next opened.
    async fn close(self) {
        self.sagas.close().await;
        drop((self.purge, self.follower));
        self.database.close().await;
    }
}

fn channel(
    peer: &'static str,
    settings: &ClientSettings,
    registry: &Registry,
    signer: &Arc<ServiceSigner>,
    meter: Option<&Meter>,
) -> Result<Channel, OpenError> {
    Channel::builder(peer)
        .contract(&CONTRACT)
        .registry(registry.clone())
        .signer(Some(Arc::clone(signer)))
        .settings(settings.clone())
        .meter(meter.cloned())
        .caller(NAME)
        .build()
        .map_err(|cause| OpenError::Client { peer, cause })
}

/// The computer's clock, cut to the microseconds that databases keep.
#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is passed in elsewhere")]
    fn now(&self) -> OffsetDateTime {
        let now = OffsetDateTime::now_utc();
        // Cutting digits off a valid number of nanoseconds leaves a valid one.
        now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
    }
}

/// Random ids that sort by age.
#[derive(Debug)]
struct SystemIds;

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "these are the ids that are passed in elsewhere")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}
