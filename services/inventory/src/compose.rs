//! The service, put together: the only file that names adapters.

use std::{convert::Infallible, sync::Arc};

use gantry_client::Channel;
use gantry_common::users_keys;
use gantry_contract::Clock;
use gantry_discovery::Registry;
use gantry_identity::{KeyError, Verifier};
use gantry_proto::{
    CONTRACT,
    shop::{
        inventory::v1::inventory_service_server::InventoryServiceServer,
        user::v1::auth_service_server,
    },
};
use gantry_server::{BuildError, Fingerprints, Server};
use gantry_sql::{Sqlite, requests};
use gantry_telemetry::{BUILD, Meter};
use time::OffsetDateTime;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    application::{
        BatchGetProducts, CommitReservation, CreateProduct, GetProduct, InventoryRepository,
        ListProducts, ReleaseReservation, ReserveStock, UseCases,
    },
    inbound::grpc::Api,
    outbound::sqlite::{MIGRATIONS, SqliteRepository},
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
    /// There is no way to who publishes users' keys.
    #[error("inventory.client: {0}")]
    Client(#[from] gantry_client::BuildError),
}

/// The inventory service: one database, served by as many servers as are asked for.
#[derive(Debug)]
pub struct Service {
    settings: Settings,
    registry: Registry,
    /// The way to who publishes users' keys, where one is used.
    channels: Vec<Channel>,
    /// Follows published keys.
    follower: AbortOnDropHandle<Infallible>,
    meter: Option<Meter>,
    verifier: Arc<Verifier>,
    fingerprints: Fingerprints,
    database: Sqlite,
    use_cases: UseCases,
    /// Forgets old request records, for as long as the service is there.
    purge: AbortOnDropHandle<()>,
}

impl gantry_process::Service for Service {
    type Settings = Settings;
    type OpenError = OpenError;

    /// Opens what the service needs once.
    /// Where there is a meter, calls are measured with it.
    ///
    /// # Errors
    /// [`OpenError`]
    async fn open(
        settings: Settings,
        registry: Registry,
        meter: Option<Meter>,
    ) -> Result<Self, OpenError> {
        let jwks = settings.identity.publishers();
        let channels = jwks.iter().map(|user| {
            Channel::builder(*user)
                .contract(&CONTRACT)
                // Whatever the operator calls who publishes the keys.
                .grpc_service(auth_service_server::SERVICE_NAME)
                .registry(registry.clone())
                .settings(settings.client.clone())
                .meter(meter.clone())
                .caller(NAME)
                .build()
        });
        let channels: Vec<_> = channels.collect::<Result<_, _>>()?;
        let source = |service: &str| {
            let channel = channels.iter().find(|channel| channel.service() == service)?;
            Some(users_keys(channel.clone()))
        };
        let verifier = Arc::new(settings.identity.verifier(NAME, source)?);
        let following = Arc::clone(&verifier);
        let follower = tokio::spawn(async move { following.follow().await });
        let follower = AbortOnDropHandle::new(follower);
        let fingerprints = settings.idempotency.fingerprints()?;
        let database = Sqlite::open(&settings.database, &MIGRATIONS).await?;
        let repository: Arc<dyn InventoryRepository> =
            Arc::new(SqliteRepository::new(database.clone()));
        let inventory = || Arc::clone(&repository);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let clock = || Arc::clone(&clock);
        let use_cases = UseCases {
            create_product: CreateProduct { inventory: inventory(), clock: clock() },
            get_product: GetProduct { inventory: inventory() },
            batch_get_products: BatchGetProducts { inventory: inventory() },
            list_products: ListProducts { inventory: inventory() },
            reserve_stock: ReserveStock { inventory: inventory(), clock: clock() },
            commit_reservation: CommitReservation { inventory: inventory(), clock: clock() },
            release_reservation: ReleaseReservation { inventory: inventory(), clock: clock() },
        };
        let purge = tokio::spawn(requests::keep_purged(database.clone(), || SystemClock.now()));
        Ok(Self {
            use_cases,
            purge: AbortOnDropHandle::new(purge),
            settings,
            registry,
            channels,
            follower,
            meter,
            verifier,
            fingerprints,
            database,
        })
    }

    /// One more server; all of them share the database.
    ///
    /// # Errors
    /// [`BuildError`] where the settings do not make one.
    fn server(&self) -> Result<Server, BuildError> {
        let api = Api::new(self.use_cases.clone(), self.fingerprints.clone());
        let database = self.database.clone();
        Server::builder(NAME, &CONTRACT)
            .service(InventoryServiceServer::new(api))
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
            .build()
    }

    fn channels(&self) -> Vec<Channel> {
        self.channels.clone()
    }

    /// Finishes what has begun and lets go of the database. Its servers have drained before.
    async fn close(self) {
        drop((self.purge, self.follower));
        self.database.close().await;
    }
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
