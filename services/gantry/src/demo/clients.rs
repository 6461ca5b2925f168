//! Clients of the walk.

use gantry_client::{Channel, ClientSettings, ClientTls};
use gantry_discovery::Registry;
use gantry_operator::gantry::operator::v1::sagas_client::SagasClient;
use gantry_proto::{
    CONTRACT,
    shop::{
        inventory::v1::inventory_service_client::InventoryServiceClient,
        order::v1::order_service_client::OrderServiceClient,
        user::v1::{
            auth_service_client::AuthServiceClient, user_service_client::UserServiceClient,
        },
    },
};
use tonic::Request;

use crate::suite::{INVENTORY, ORDER, Row, SERVICES, TooLarge, USER};

/// One client for each gRPC service.
#[derive(Clone)]
pub struct Clients {
    /// Login and tokens.
    pub auth: AuthServiceClient<Channel>,
    /// Users.
    pub users: UserServiceClient<Channel>,
    /// Products and stock.
    pub inventory: InventoryServiceClient<Channel>,
    /// Orders.
    pub orders: OrderServiceClient<Channel>,
    /// Sagas of the order service.
    pub sagas: SagasClient<Channel>,
}

/// Error of creating the clients.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A port beyond the last one.
    #[error(transparent)]
    Port(#[from] TooLarge),
    /// The list of addresses is invalid.
    #[error(transparent)]
    Registry(#[from] gantry_discovery::static_list::InvalidList),
    /// The channel cannot be built.
    #[error(transparent)]
    Channel(#[from] gantry_client::BuildError),
}

impl Clients {
    /// Creates clients of the suite at the port offset `offset`, with TLS if there are settings for it.
    pub fn new(offset: u16, tls: Option<ClientTls>) -> Result<Self, ConnectError> {
        let mut addresses = Vec::new();
        for service in SERVICES {
            addresses.push((service.name, [service.address(0, offset)?.to_string()]));
        }
        Self::found_in(&Registry::fixed(addresses)?, tls)
    }

    /// Creates clients of the services in a registry, with TLS if there are settings for it.
    pub fn found_in(registry: &Registry, tls: Option<ClientTls>) -> Result<Self, ConnectError> {
        let mut settings = ClientSettings::default();
        settings.tls = tls;
        let channel = |service: Row| {
            Channel::builder(service.name)
                .contract(&CONTRACT)
                .registry(registry.clone())
                .settings(settings.clone())
                .build()
        };
        let (users, orders) = (channel(USER)?, channel(ORDER)?);
        Ok(Self {
            auth: AuthServiceClient::new(users.clone()),
            users: UserServiceClient::new(users),
            inventory: InventoryServiceClient::new(channel(INVENTORY)?),
            orders: OrderServiceClient::new(orders.clone()),
            sagas: SagasClient::new(orders),
        })
    }
}

/// Returns a request with a user's token.
pub fn as_bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    // A token is base64url and dots. Without a valid value, the server rejects the call as unauthenticated.
    if let Ok(value) = format!("Bearer {token}").parse() {
        request.metadata_mut().insert("authorization", value);
    }
    request
}
