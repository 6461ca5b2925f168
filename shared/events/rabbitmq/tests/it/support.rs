//! Common to the tests: a bus on a broker, events, raw access to queues.

use std::{num::NonZeroU16, path::Path, time::Duration};

use bytes::Bytes;
use gantry_events::{
    Aggregate, Bus, BusError, Context, Deliveries, Event, PublishError, Scope, Subscription,
};
use gantry_events_rabbitmq::{RabbitMq, Settings};
use gantry_rabbitmq_broker::{ADMIN, ADMIN_PASSWORD, Broker};
use lapin::{Channel, options::BasicGetOptions};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// Guard against a test that hangs. Generous, because the machine may be busy.
const LIMIT: Duration = Duration::from_secs(300);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("the test waits in vain")
}

/// Virtual host of a test, with the file of its user's password.
pub(crate) struct Place<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) vhost: String,
    folder: TempDir,
}

impl<'a> Place<'a> {
    /// Creates a virtual host on a broker.
    pub(crate) async fn on(broker: &'a Broker) -> Self {
        let vhost = broker.add_vhost().await;
        let folder = tempfile::tempdir().unwrap();
        let place = Self { broker, vhost, folder };
        place.write_password("admin", ADMIN_PASSWORD);
        place
    }

    /// Creates a virtual host on the broker of all tests.
    pub(crate) async fn shared() -> Place<'static> {
        Place::on(Broker::shared()).await
    }

    /// Writes the file of a password. Returns its path.
    pub(crate) fn write_password(&self, file: &str, password: &str) -> std::path::PathBuf {
        let path = self.file(file);
        gantry_files::replace(&path, password.as_bytes(), gantry_files::Readers::Owner).unwrap();
        path
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the settings of the administrator.
    pub(crate) fn settings(&self) -> Settings {
        settings(self.broker.url(&self.vhost), &self.file("admin"))
    }

    /// Creates a user without permissions. Returns its settings.
    pub(crate) async fn add_user(&self, name: &str) -> Settings {
        // Users belong to the broker, and other tests use the same names.
        let user = format!("{name}-{}", self.vhost);
        let password = format!("password of {user}");
        self.broker.api().add_user(&user, &password).await;
        let path = self.write_password(name, &password);
        settings(self.broker.url_of(&user, &self.vhost), &path)
    }

    /// Returns a bus of the administrator.
    pub(crate) fn bus(&self) -> RabbitMq {
        bus(&self.settings())
    }

    /// Opens a channel without the adapter.
    pub(crate) async fn channel(&self) -> Channel {
        let url = self.broker.url(&self.vhost);
        let url = url.replace(&format!("{ADMIN}@"), &format!("{ADMIN}:{ADMIN_PASSWORD}@"));
        let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default());
        connection.await.unwrap().create_channel().await.unwrap()
    }
}

fn settings(url: String, password_file: &Path) -> Settings {
    // No test may depend on the speed of the machine.
    Settings::default().url(url).password_file(password_file).connect_timeout(LIMIT)
}

/// Creates a bus.
pub(crate) fn bus(settings: &Settings) -> RabbitMq {
    RabbitMq::new("test", settings, Vec::new()).unwrap()
}

/// Returns a subscription of a service to orders.
pub(crate) fn orders(consumer: &str) -> Subscription {
    Subscription {
        consumer: consumer.to_owned(),
        scope: Scope::Service,
        aggregates: vec!["order".to_owned()],
        prefetch: NonZeroU16::new(100).unwrap(),
    }
}

/// Returns an event of an aggregate.
pub(crate) fn event(kind: &str, id: u128, sequence: i64) -> Event {
    let (aggregate, _) = kind.split_once('.').unwrap();
    Event {
        source: "order".to_owned(),
        aggregate: Aggregate::new(aggregate, Uuid::from_u128(id)).unwrap(),
        sequence,
        kind: kind.to_owned(),
        schema: "shop.events.v1.Something".to_owned(),
        time: OffsetDateTime::UNIX_EPOCH,
        context: Context::default(),
        data: Bytes::from_static(b"payload"),
    }
}

/// Returns events of one order, with sequences from 1 on.
pub(crate) fn placed(count: i64) -> Vec<Event> {
    (1..=count).map(|sequence| event("order.placed", 1, sequence)).collect()
}

/// Publishes with a publisher of its own.
pub(crate) async fn publish(bus: &RabbitMq, events: &[Event]) -> Result<(), PublishError> {
    let mut publisher = soon(bus.publisher()).await.unwrap();
    soon(publisher.publish(events)).await
}

/// Receives and settles events.
pub(crate) async fn receive(deliveries: &mut dyn Deliveries, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        let delivery = soon(deliveries.next()).await.unwrap();
        events.push(delivery.event.unwrap());
        deliveries.settle(delivery.tag).await.unwrap();
    }
    events
}

/// Takes the next message of a queue, without the adapter.
pub(crate) async fn take(channel: &Channel, queue: &str) -> lapin::message::Delivery {
    let get = async {
        loop {
            let options = BasicGetOptions { no_ack: true };
            if let Some(message) = channel.basic_get(queue.into(), options).await.unwrap() {
                return message.delivery;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    soon(get).await
}

/// Returns the text of a misconfiguration. Panics at any other result.
pub(crate) fn misconfigured<T: std::fmt::Debug>(result: Result<T, BusError>) -> String {
    match result {
        Err(BusError::Misconfigured(why)) => why,
        other => panic!("expected a misconfiguration, got {other:?}"),
    }
}

/// Returns the text of an unavailability. Panics at any other result.
pub(crate) fn unavailable<T: std::fmt::Debug>(result: Result<T, BusError>) -> String {
    match result {
        Err(BusError::Unavailable(why)) => why,
        other => panic!("expected an unavailability, got {other:?}"),
    }
}
