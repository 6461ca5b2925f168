//! The service, put together: the only file that names adapters.

use std::sync::Arc;

use gantry_common::USERS_KEYS;
use gantry_contract::Contract;
use gantry_process::{Base, KeysApi, Migrator, NoSettings, OpenError};
use gantry_proto::{
    CONTRACT, shop::inventory::v1::inventory_service_server::InventoryServiceServer,
};
use gantry_server::ServerBuilder;

use crate::{
    application::{
        BatchGetProducts, CommitReservation, CreateProduct, GetProduct, InventoryRepository,
        ListProducts, ReleaseReservation, ReserveStock, UseCases,
    },
    inbound::grpc::Api,
    outbound::sqlite::{MIGRATIONS, SqliteRepository},
};

/// The inventory service.
#[derive(Debug)]
pub struct Service {
    api: InventoryServiceServer<Api>,
}

impl gantry_process::Service for Service {
    const NAME: &'static str = "inventory";
    const ABOUT: &'static str = "Keeps the catalogue and the stock";
    const CONTRACT: &'static Contract = &CONTRACT;
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const MIGRATIONS: Option<&'static Migrator> = Some(&MIGRATIONS);
    const KEYS: Option<KeysApi> = Some(USERS_KEYS);
    type Settings = NoSettings;

    async fn open(base: &Base, _: NoSettings) -> Result<Self, OpenError> {
        let inventory: Arc<dyn InventoryRepository> =
            Arc::new(SqliteRepository::new(base.database()?));
        let inventory = || Arc::clone(&inventory);
        let use_cases = UseCases {
            create_product: CreateProduct { inventory: inventory(), clock: base.clock() },
            get_product: GetProduct { inventory: inventory() },
            batch_get_products: BatchGetProducts { inventory: inventory() },
            list_products: ListProducts { inventory: inventory() },
            reserve_stock: ReserveStock { inventory: inventory(), clock: base.clock() },
            commit_reservation: CommitReservation { inventory: inventory(), clock: base.clock() },
            release_reservation: ReleaseReservation { inventory: inventory(), clock: base.clock() },
        };
        let api = Api::new(use_cases, base.fingerprints()?);
        Ok(Self { api: InventoryServiceServer::new(api) })
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        server.service(self.api.clone())
    }
}
