//! Exchanges and queues: their names, their properties, their declaration.

use gantry_events::{BusError, Scope, Subscription};
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use uuid::Uuid;

use crate::{connection::Connection, failure};

/// Topic exchange of all events. The routing key is the event's kind, such as `order.placed`.
pub(crate) const EXCHANGE: &str = "events";

/// Direct exchange of unreadable messages. The routing key is the consumer's name.
pub(crate) const DEAD: &str = "events.dead";

/// Redeliveries after which a quorum queue gives a message up: practically never. From version 4 on the
/// broker's default is 20, after which a message that outlived 20 connections would be lost to its
/// consumer.
const DELIVERY_LIMIT: i64 = i32::MAX as i64;

/// Shortens nothing: AMQP's names have at most 255 bytes.
pub(crate) fn short(name: &str) -> Result<ShortString, BusError> {
    ShortString::try_new(name)
        .map_err(|_| BusError::Misconfigured(format!("the name {name:?} is longer than 255 bytes")))
}

/// Returns the name of a consumer's queue of unreadable messages.
pub(crate) fn dead_queue(consumer: &str) -> String {
    format!("{consumer}.dead")
}

/// Declares what a publisher needs, and checks that queues exist.
pub(crate) async fn prepare_publisher(
    connection: &Connection,
    required_queues: &[String],
) -> Result<(), BusError> {
    declare_exchange(connection, EXCHANGE, ExchangeKind::Topic).await?;
    for queue in required_queues {
        check_queue(connection, queue).await?;
    }
    Ok(())
}

/// Declares a subscription's queue and its bindings. Returns the queue's name.
pub(crate) async fn prepare_subscription(
    connection: &Connection,
    subscription: &Subscription,
) -> Result<String, BusError> {
    let Subscription { consumer, scope, aggregates, .. } = subscription;
    declare_exchange(connection, EXCHANGE, ExchangeKind::Topic).await?;
    declare_exchange(connection, DEAD, ExchangeKind::Direct).await?;
    let dead = dead_queue(consumer);
    declare_queue(connection, &dead, durable(), dead_arguments()).await?;
    bind(connection, &dead, DEAD, consumer).await?;
    let queue = match scope {
        Scope::Service => {
            declare_queue(connection, consumer, durable(), service_arguments(consumer)?).await?;
            consumer.clone()
        }
        Scope::Process => {
            let queue = format!("{consumer}.{}", Uuid::now_v7());
            declare_queue(connection, &queue, of_process(), process_arguments(consumer)?).await?;
            queue
        }
    };
    for aggregate in aggregates {
        bind(connection, &queue, EXCHANGE, &format!("{aggregate}.#")).await?;
    }
    Ok(queue)
}

fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() }
}

/// The queue ends with its connection.
fn of_process() -> QueueDeclareOptions {
    QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn dead_arguments() -> FieldTable {
    quorum()
}

fn service_arguments(consumer: &str) -> Result<FieldTable, BusError> {
    let mut arguments = quorum();
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    // An unreadable message leaves the queue only after its dead-letter queue has it. The broker demands
    // the overflow rule for that; without a limit of length it has no other effect.
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    insert_dead_letters(&mut arguments, consumer)?;
    Ok(arguments)
}

fn process_arguments(consumer: &str) -> Result<FieldTable, BusError> {
    let mut arguments = FieldTable::default();
    insert_dead_letters(&mut arguments, consumer)?;
    Ok(arguments)
}

fn insert_dead_letters(arguments: &mut FieldTable, consumer: &str) -> Result<(), BusError> {
    arguments.insert("x-dead-letter-exchange".into(), text(DEAD));
    arguments.insert("x-dead-letter-routing-key".into(), text(short(consumer)?.as_str()));
    Ok(())
}

/// Declares an exchange. A user that may not declare it uses the one that exists.
async fn declare_exchange(
    connection: &Connection,
    name: &str,
    kind: ExchangeKind,
) -> Result<(), BusError> {
    let what = format!("the exchange {name:?}");
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declare = async |options| {
        let channel = connection.channel().await?;
        let declared = channel
            .exchange_declare(short(name)?, kind.clone(), options, FieldTable::default())
            .await;
        finish(&channel, declared).await
    };
    match declare(options).await? {
        Err(error) if failure::is_forbidden(&error) => {
            let passive = ExchangeDeclareOptions { passive: true, ..options };
            let existing = declare(passive).await?;
            // If it does not exist, the lack of permission is what an operator can change.
            existing.map_err(|_| failure::of_declaring(&error, &what))
        }
        declared => declared.map_err(|error| failure::of_declaring(&error, &what)),
    }
}

async fn declare_queue(
    connection: &Connection,
    name: &str,
    options: QueueDeclareOptions,
    arguments: FieldTable,
) -> Result<(), BusError> {
    let channel = connection.channel().await?;
    let declared = channel.queue_declare(short(name)?, options, arguments).await;
    let declared = finish(&channel, declared).await?;
    declared
        .map(|_| ())
        .map_err(|error| failure::of_declaring(&error, &format!("the queue {name:?}")))
}

/// Checks that a queue exists, which needs no permission.
async fn check_queue(connection: &Connection, name: &str) -> Result<(), BusError> {
    let channel = connection.channel().await?;
    let options = QueueDeclareOptions { passive: true, ..durable() };
    let found = channel.queue_declare(short(name)?, options, FieldTable::default()).await;
    match finish(&channel, found).await? {
        Ok(_) => Ok(()),
        Err(error) if failure::is_missing(&error) => Err(BusError::Unavailable(format!(
            "the queue {name:?} of events.required_queues does not exist yet: its consumer creates it \
             when it starts"
        ))),
        Err(error) => Err(failure::of_declaring(&error, &format!("the queue {name:?}"))),
    }
}

async fn bind(
    connection: &Connection,
    queue: &str,
    exchange: &str,
    key: &str,
) -> Result<(), BusError> {
    let channel = connection.channel().await?;
    let options = QueueBindOptions::default();
    let bound = channel
        .queue_bind(short(queue)?, short(exchange)?, short(key)?, options, FieldTable::default())
        .await;
    let what =
        format!("the binding of {key:?} from the exchange {exchange:?} to the queue {queue:?}");
    finish(&channel, bound).await?.map_err(|error| failure::of_declaring(&error, &what))
}

/// Closes the channel of one request, which a refusal has closed already.
async fn finish<T>(
    channel: &Channel,
    outcome: lapin::Result<T>,
) -> Result<lapin::Result<T>, BusError> {
    if outcome.is_ok() {
        let closed = channel.close(lapin::protocol::constants::REPLY_SUCCESS, "OK".into()).await;
        closed.map_err(|error| failure::of_channel(&error, "close a channel"))?;
    }
    Ok(outcome)
}
