//! Publishing with confirms.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use gantry_events::{BusError, Event, PublishError, PublishFailure, Publisher};
use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};

use crate::{
    batch::{Batch, describe},
    connection::Connection,
    failure, message,
    topology::{EXCHANGE, short},
};

/// Number of messages without their confirm. Confirms per second on one node by window 1, 10, 100, 1,000:
/// 1,800, 5,700, 15,000, 20,000.
const WINDOW: usize = 100;

/// Largest message that the broker takes, in bytes. It is known once the broker has refused one.
#[derive(Clone, Debug)]
pub(crate) struct SizeLimit(Arc<AtomicUsize>);

impl Default for SizeLimit {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }
}

impl SizeLimit {
    fn check(&self, size: usize) -> Result<(), String> {
        let limit = self.0.load(Ordering::Relaxed);
        if size <= limit {
            return Ok(());
        }
        Err(format!("its {size} bytes are more than the {limit} of the broker's max_message_size"))
    }

    fn learn(&self, error: &lapin::Error) {
        if let Some(limit) = failure::size_limit(error) {
            self.0.store(limit, Ordering::Relaxed);
        }
    }
}

/// Publisher with a channel and a connection of its own.
#[derive(Debug)]
pub(crate) struct RabbitPublisher {
    // Dropped before the channel: see `Connection`.
    connection: Connection,
    channel: Channel,
    limit: SizeLimit,
}

impl RabbitPublisher {
    pub(crate) async fn open(
        mut connection: Connection,
        limit: SizeLimit,
    ) -> Result<Self, BusError> {
        let channel = connection.channel().await?;
        let selected = channel.confirm_select(ConfirmSelectOptions::default()).await;
        selected.map_err(|error| failure::of_channel(&error, "confirm messages"))?;
        connection.set_idle(true);
        Ok(Self { connection, channel, limit })
    }

    async fn send(&self, message: Message) -> lapin::Result<PublisherConfirm> {
        // Otherwise the broker confirms a message without a queue and says nothing of its loss.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let Message { key, properties, body } = message;
        self.channel.basic_publish(EXCHANGE.into(), key, options, &body, properties).await
    }

    fn settle(&self, batch: &mut Batch, confirmation: lapin::Result<Confirmation>) {
        let lost = |why: &str| Err(BusError::Unavailable(why.to_owned()).into());
        let (returned, result) = match confirmation {
            Ok(Confirmation::Ack(returned)) => (returned, Ok(())),
            Ok(Confirmation::Nack(returned)) => {
                (returned, lost("the broker could not store an event"))
            }
            Ok(Confirmation::NotRequested) => (None, lost("the broker does not confirm events")),
            Err(error) => {
                self.limit.learn(&error);
                (None, Err(failure::of_channel(&error, "publish this event").into()))
            }
        };
        if let Some(BasicReturnMessage { delivery, reply_code, reply_text }) = returned {
            let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
            let why = format!("no queue takes it yet ({reply_code} {reply_text})");
            batch.note_returned(id.unwrap_or_default(), why);
        }
        batch.settle(result);
    }
}

/// An event in the form of the library.
struct Message {
    key: ShortString,
    properties: BasicProperties,
    body: Bytes,
}

impl Message {
    fn of(event: &Event, limit: &SizeLimit) -> Result<Self, PublishFailure> {
        let refused = |why: String| PublishFailure::Refused(describe(event, &why));
        let (properties, body) =
            message::write(event).map_err(|error| refused(error.to_string()))?;
        limit.check(body.len()).map_err(refused)?;
        let key = short(&event.kind).map_err(|error| refused(error.to_string()))?;
        Ok(Self { key, properties, body })
    }
}

#[async_trait]
impl Publisher for RabbitPublisher {
    async fn publish(&mut self, events: &[Event]) -> Result<(), PublishError> {
        self.connection.set_idle(false);
        let mut batch = Batch::default();
        let mut pending = VecDeque::with_capacity(WINDOW.min(events.len()));
        let mut unsent = None;
        for event in events {
            if pending.len() == WINDOW
                && let Some(confirm) = pending.pop_front()
            {
                self.settle(&mut batch, confirm.await);
            }
            if batch.has_failed() {
                break;
            }
            match Message::of(event, &self.limit) {
                Ok(message) => match self.send(message).await {
                    Ok(confirm) => pending.push_back(confirm),
                    Err(error) => {
                        unsent = Some(Err(error));
                        break;
                    }
                },
                Err(cause) => {
                    unsent = Some(Ok(cause));
                    break;
                }
            }
        }
        for confirm in pending {
            self.settle(&mut batch, confirm.await);
        }
        match unsent {
            Some(Ok(cause)) => batch.settle(Err(cause)),
            Some(Err(error)) => self.settle(&mut batch, Err(error)),
            None => {}
        }
        self.connection.set_idle(!batch.has_failed());
        batch.outcome(events)
    }
}
