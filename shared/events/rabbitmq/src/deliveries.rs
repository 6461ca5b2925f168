//! Consuming with manual acknowledgement.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::StreamExt;
use gantry_events::{BusError, Deliveries, Delivery, Subscription};
use lapin::{
    Acker, Channel, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions},
    types::FieldTable,
};

use crate::{connection::Connection, failure, message, topology::short};

/// Deliveries of a queue, with a channel and a connection of their own.
#[derive(Debug)]
pub(crate) struct RabbitDeliveries {
    // Dropped before the consumer: see `Connection`.
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
    queue: String,
    /// Deliveries in hand, at most as many as the prefetch.
    held: HashMap<u64, Held>,
}

/// Delivery that is not settled.
#[derive(Debug)]
struct Held {
    acker: Acker,
    is_readable: bool,
}

impl RabbitDeliveries {
    pub(crate) async fn open(
        connection: Connection,
        queue: String,
        subscription: &Subscription,
    ) -> Result<Self, BusError> {
        let channel = connection.channel().await?;
        let prefetch = subscription.prefetch.get();
        let limited = channel.basic_qos(prefetch, BasicQosOptions::default()).await;
        limited.map_err(|error| failure::of_channel(&error, "limit the deliveries"))?;
        let consumer = channel
            .basic_consume(
                short(&queue)?,
                short(&subscription.consumer)?,
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await;
        let consumer = consumer
            .map_err(|error| failure::of_channel(&error, &format!("read the queue {queue:?}")))?;
        Ok(Self { connection, channel, consumer, queue, held: HashMap::new() })
    }

    fn failure(&self, error: &lapin::Error) -> BusError {
        failure::of_channel(error, &format!("deliver from the queue {:?}", self.queue))
    }

    fn ended(&self) -> BusError {
        BusError::Unavailable(format!(
            "the broker ended the deliveries of the queue {:?}: it was deleted or moved",
            self.queue
        ))
    }
}

#[async_trait]
impl Deliveries for RabbitDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let delivery = match self.consumer.next().await {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => return Err(self.failure(&error)),
            None => return Err(self.ended()),
        };
        let tag = delivery.delivery_tag;
        let acker = delivery.acker.clone();
        let event = message::read(delivery);
        self.held.insert(tag, Held { acker, is_readable: event.is_ok() });
        Ok(Delivery { tag, event })
    }

    async fn settle(&mut self, tag: u64) -> Result<(), BusError> {
        let Some(Held { acker, is_readable }) = self.held.remove(&tag) else {
            return Err(BusError::Unavailable(format!("delivery {tag} is not in hand")));
        };
        let settled = if is_readable {
            acker.ack(BasicAckOptions::default()).await
        } else {
            // Without a requeue the message goes to the dead-letter queue.
            acker.reject(BasicRejectOptions { requeue: false }).await
        };
        match settled {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.ended()),
            Err(error) => Err(self.failure(&error)),
        }
    }

    async fn close(self: Box<Self>) {
        let Self { connection, channel, consumer, .. } = *self;
        // The channel is closed as a whole: after a `basic.cancel` the next consumer would get later
        // messages while earlier ones are unsettled.
        connection.close(&channel).await;
        drop(consumer);
    }
}
