//! The service, put together: the only file that names adapters.

use std::sync::Arc;

use gantry_common::USERS_KEYS;
use gantry_contract::Contract;
use gantry_process::{Base, Callee, KeysApi, Migrator, OpenError};
use gantry_proto::{CONTRACT, shop::order::v1::order_service_server::OrderServiceServer};
use gantry_saga::Engine;
use gantry_server::{Fingerprints, ServerBuilder};

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
    settings::{DraftSettings, Settings},
};

/// The order service: its use cases, and one worker for its sagas.
#[derive(Debug)]
pub struct Service {
    use_cases: UseCases,
    fingerprints: Fingerprints,
    sagas: Engine,
}

impl gantry_process::Service for Service {
    const NAME: &'static str = "order";
    const ABOUT: &'static str = "Keeps the orders and carries them through";
    const CONTRACT: &'static Contract = &CONTRACT;
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const CALLS: &'static [Callee] =
        &[Callee::new("user", &CONTRACT), Callee::new("inventory", &CONTRACT)];
    const MIGRATIONS: Option<&'static Migrator> = Some(&MIGRATIONS);
    const KEYS: Option<KeysApi> = Some(USERS_KEYS);
    type Settings = Settings;

    /// Opens the service, and goes on with orders that were left unfinished.
    async fn open(base: &Base, settings: Settings) -> Result<Self, OpenError> {
        let Settings { saga, pricing, drafts: DraftSettings { max_per_user: max, open_for } } =
            settings;
        let users = Arc::new(UserClient::new(base.channel("user")?));
        let inventory = Arc::new(InventoryClient::new(base.channel("inventory")?));
        let orders: Arc<dyn OrderRepository> = Arc::new(SqliteRepository::new(base.database()?));
        let orders = || Arc::clone(&orders);
        let (clock, ids) = (|| base.clock(), || base.ids());
        let pricing = Arc::new(Pricing::from(&pricing));
        let notifier = CompletionNotifier::default();
        let steps = PlaceOrderSaga {
            orders: orders(),
            users: users.clone(),
            stock: inventory.clone(),
            notifier: notifier.clone(),
            clock: clock(),
            service: Self::NAME,
        };
        let log = SqliteSagaLog::open(base.database()?, clock()).await;
        let log = Arc::new(log.map_err(OpenError::service("cannot open the saga log"))?);
        let sagas = Engine::start(steps.definition(), log, saga);
        let use_cases = UseCases {
            create_order: CreateOrder {
                orders: orders(),
                users,
                catalogue: inventory,
                pricing: pricing.clone(),
                clock: clock(),
                ids: ids(),
                drafts: DraftLimit { max, open_for },
            },
            place_order: PlaceOrder {
                orders: orders(),
                pricing,
                sagas: sagas.handle(),
                notifier,
                clock: clock(),
                ids: ids(),
            },
            get_order: GetOrder { orders: orders() },
            list_orders: ListOrders { orders: orders() },
        };
        Ok(Self { use_cases, fingerprints: base.fingerprints()?, sagas })
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        let api = Api::new(self.use_cases.clone(), self.fingerprints.clone(), server.drain());
        server.service(OrderServiceServer::new(api))
    }

    /// Stops the sagas at their next safe points. They are resumed when the service is next
    /// opened.
    async fn close(self) {
        self.sagas.close().await;
    }
}
