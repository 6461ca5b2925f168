//! The bus.

use async_trait::async_trait;
use gantry_events::{Bus, BusError, Deliveries, Publisher, Subscription};

use crate::{
    connection::Connector,
    deliveries::RabbitDeliveries,
    publisher::{RabbitPublisher, SizeLimit},
    settings::{InvalidSettings, Settings},
    topology,
};

/// RabbitMQ as the bus of events.
#[derive(Debug)]
pub struct RabbitMq {
    connector: Connector,
    /// Name of the process in the broker, such as the service's.
    name: String,
    required_queues: Vec<String>,
    limit: SizeLimit,
}

impl RabbitMq {
    /// Creates the bus without connecting to the broker. Operators see `name` in the broker, as that of
    /// each connection. A publisher is opened only once the `required_queues` exist: before that, an event
    /// could have a queue already and miss another.
    ///
    /// # Errors
    /// [`InvalidSettings`] naming the key that is wrong.
    pub fn new(
        name: impl Into<String>,
        settings: &Settings,
        required_queues: Vec<String>,
    ) -> Result<Self, InvalidSettings> {
        let connector = Connector::new(settings)?;
        let (name, limit) = (name.into(), SizeLimit::default());
        Ok(Self { connector, name, required_queues, limit })
    }
}

#[async_trait]
impl Bus for RabbitMq {
    async fn publisher(&self) -> Result<Box<dyn Publisher>, BusError> {
        let connection = self.connector.open(format!("{}: publisher", self.name)).await?;
        topology::prepare_publisher(&connection, &self.required_queues).await?;
        let publisher = RabbitPublisher::open(connection, self.limit.clone()).await?;
        Ok(Box::new(publisher))
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
    ) -> Result<Box<dyn Deliveries>, BusError> {
        let name = format!("{}: consumer {}", self.name, subscription.consumer);
        let connection = self.connector.open(name).await?;
        let queue = topology::prepare_subscription(&connection, subscription).await?;
        let deliveries = RabbitDeliveries::open(connection, queue, subscription).await?;
        Ok(Box::new(deliveries))
    }
}
