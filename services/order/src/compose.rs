//! Composition of the service. The only file that names adapters.

use std::sync::Arc;

use gantry_common::USERS_KEYS;
use gantry_contract::Contract;
use gantry_process::{Base, Callee, KeysApi, Migrations, OpenError};
use gantry_proto::{CONTRACT, shop::order::v1::order_service_server::OrderServiceServer};
use gantry_saga::Engine;
use gantry_server::{Fingerprints, ServerBuilder};

use crate::{
    application::{DraftLimit, PlaceOrderSaga, Ports, UseCases},
    inbound::grpc::Api,
    outbound::{
        clients::{InventoryClient, UserClient},
        sql::{MIGRATIONS, SqlRepository},
    },
    settings::{DraftSettings, Settings},
};

/// Order service: its use cases, and the engine of its sagas.
#[derive(Debug)]
pub struct Service {
    use_cases: UseCases,
    fingerprints: Fingerprints,
    sagas: Engine,
}

impl gantry_process::Service for Service {
    const NAME: &'static str = "order";
    const ABOUT: &'static str = "Keeps the orders and carries them through";
    const CONTRACT: Option<&'static Contract> = Some(&CONTRACT);
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const CALLS: &'static [Callee] =
        &[Callee::new("user", &CONTRACT), Callee::new("inventory", &CONTRACT)];
    const MIGRATIONS: Option<&'static Migrations> = Some(&MIGRATIONS);
    const SAGAS: bool = true;
    const KEYS: Option<KeysApi> = Some(USERS_KEYS);
    type Settings = Settings;

    /// Opens the service and resumes unfinished sagas.
    async fn open(base: &Base, settings: Settings) -> Result<Self, OpenError> {
        let inventory = Arc::new(InventoryClient::new(base.channel("inventory")?));
        let ports = Ports {
            orders: Arc::new(SqlRepository::new(base.database()?)),
            users: Arc::new(UserClient::new(base.channel("user")?)),
            catalogue: inventory.clone(),
            stock: inventory,
            clock: base.clock(),
            ids: base.ids(),
        };
        let steps = PlaceOrderSaga::new(&ports, Self::NAME);
        let sagas = base.saga_engine().await?.definition(steps.definition());
        let sagas = sagas.map_err(OpenError::service("cannot start the sagas"))?.start();
        let DraftSettings { max_per_user: max, open_for } = settings.drafts;
        let (pricing, drafts) = (settings.pricing.into(), DraftLimit { max, open_for });
        let use_cases = UseCases::new(ports, pricing, drafts, sagas.handle(), steps.notifier);
        Ok(Self { use_cases, fingerprints: base.fingerprints()?, sagas })
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        let api = Api::new(self.use_cases.clone(), self.fingerprints.clone(), server.drain());
        let sagas = gantry_operator::sagas(self.sagas.operator());
        server.service(OrderServiceServer::new(api)).service(sagas)
    }

    /// Stops the sagas at their next safe points. The next start resumes them.
    async fn close(self) {
        self.sagas.close().await;
    }
}
