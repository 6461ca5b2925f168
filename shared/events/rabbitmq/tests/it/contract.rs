//! Contract of buses.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use gantry_events::{Bus, testing::bus::Broker};
use lapin::{
    BasicProperties,
    options::{BasicPublishOptions, QueueDeclareOptions},
    types::FieldTable,
};

use crate::support::Place;

struct Rabbit(Place<'static>);

impl fmt::Debug for Rabbit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.vhost)
    }
}

#[async_trait]
impl Broker for Rabbit {
    async fn bus(&self) -> Arc<dyn Bus> {
        Arc::new(self.0.bus())
    }

    async fn publish_unreadable(&self, kind: &str) {
        let key = format!("{kind}.changed").into();
        let (options, none) = (BasicPublishOptions::default(), BasicProperties::default());
        let channel = self.0.channel().await;
        let sent = channel.basic_publish("events".into(), key, options, b"no event", none).await;
        sent.unwrap().await.unwrap();
        // Later messages come over other connections.
        channel.close(200, "OK".into()).await.unwrap();
    }

    async fn unreadable(&self) -> usize {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let channel = self.0.channel().await;
        let queue = channel.queue_declare("reader.dead".into(), passive, FieldTable::default());
        usize::try_from(queue.await.unwrap().message_count()).unwrap()
    }
}

gantry_events::bus_contract!(Rabbit(Place::shared().await));
