//! Composition of the service. The only file that names adapters.

use std::sync::Arc;

use gantry_common::USERS_KEYS;
use gantry_contract::Contract;
use gantry_process::{Base, KeysApi, Migrations, NoSettings, OpenError};
use gantry_proto::{
    CONTRACT, shop::inventory::v1::inventory_service_server::InventoryServiceServer,
};
use gantry_server::ServerBuilder;

use crate::{
    application::UseCases,
    inbound::grpc::Api,
    outbound::sql::{MIGRATIONS, SqlRepository},
};

/// Inventory service.
#[derive(Debug)]
pub struct Service {
    api: InventoryServiceServer<Api>,
}

impl gantry_process::Service for Service {
    const NAME: &'static str = "inventory";
    const ABOUT: &'static str = "Keeps the catalogue and the stock";
    const CONTRACT: Option<&'static Contract> = Some(&CONTRACT);
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const MIGRATIONS: Option<&'static Migrations> = Some(&MIGRATIONS);
    const KEYS: Option<KeysApi> = Some(USERS_KEYS);
    type Settings = NoSettings;

    async fn open(base: &Base, _: NoSettings) -> Result<Self, OpenError> {
        let inventory = Arc::new(SqlRepository::new(base.database()?));
        let use_cases = UseCases::new(inventory, base.clock());
        let api = Api::new(use_cases, base.fingerprints()?);
        Ok(Self { api: InventoryServiceServer::new(api) })
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        server.service(self.api.clone())
    }
}
