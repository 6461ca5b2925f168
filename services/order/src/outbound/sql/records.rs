//! How events and addresses are written: private to this database.
//!
//! An event's type names the form of its data: a form that is changed gets another
//! name, and the old one is read as long as there are databases that have it.

use gantry_money::{Currency, Money};
use gantry_sql::{StorageError, StoredTime};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    application::StoredOrder,
    domain::{
        Address, Event, Line, Lines, Order, OrderId, PlacedBy, Price, Quantity, Recorded,
        RejectReason, Sku, Tier, UserId,
    },
};

const CREATED: &str = "order.created.v1";
const PLACED: &str = "order.placed.v1";
const CONFIRMED: &str = "order.confirmed.v1";
const REJECTED: &str = "order.rejected.v1";

#[derive(Serialize, Deserialize)]
struct Created {
    user: Uuid,
    tier: String,
    currency: String,
    lines: Vec<LineData>,
    price: PriceData,
}

#[derive(Serialize, Deserialize)]
struct Placed {
    saga: Uuid,
    by: Option<ByData>,
    currency: String,
    price: PriceData,
}

#[derive(Serialize, Deserialize)]
struct Confirmed {}

#[derive(Serialize, Deserialize)]
struct Rejected {
    reason: String,
}

#[derive(Serialize, Deserialize)]
struct ByData {
    subject: String,
    roles: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct LineData {
    sku: String,
    quantity: u32,
    /// In minor units, as all amounts here.
    unit_price: i64,
}

#[derive(Serialize, Deserialize)]
struct PriceData {
    subtotal: i64,
    discount: i64,
    tax: i64,
    total: i64,
}

/// An event's type and data.
pub(super) fn event_record(event: &Event) -> Result<(&'static str, String), StorageError> {
    match event {
        Event::Created { user, tier, lines, price } => {
            let lines = lines.iter().map(|line| LineData {
                sku: line.sku().as_str().to_owned(),
                quantity: line.quantity().get(),
                unit_price: line.unit_price().minor(),
            });
            let data = Created {
                user: user.0,
                tier: tier.as_str().to_owned(),
                currency: price.total.currency().code().to_owned(),
                lines: lines.collect(),
                price: price.into(),
            };
            Ok((CREATED, json(&data)?))
        }
        Event::Placed { saga, by, price } => {
            let data = Placed {
                saga: *saga,
                by: by
                    .as_ref()
                    .map(|by| ByData { subject: by.subject.clone(), roles: by.roles.clone() }),
                currency: price.total.currency().code().to_owned(),
                price: price.into(),
            };
            Ok((PLACED, json(&data)?))
        }
        Event::Confirmed => Ok((CONFIRMED, json(&Confirmed {})?)),
        Event::Rejected { reason } => {
            Ok((REJECTED, json(&Rejected { reason: reason.as_str().to_owned() })?))
        }
    }
}

fn event(kind: &str, data: &str) -> Result<Event, StorageError> {
    match kind {
        CREATED => {
            let Created { user, tier, currency, lines, price } = parse(data)?;
            let currency = Currency::parse(&currency).map_err(StorageError::corrupt)?;
            let lines = lines.into_iter().map(|line| {
                let quantity = Quantity::new(line.quantity)
                    .ok_or_else(|| StorageError::corrupt("a quantity is out of bounds"))?;
                let unit_price =
                    Money::new(line.unit_price, currency).map_err(StorageError::corrupt)?;
                Line::new(Sku::new(line.sku), quantity, unit_price).map_err(StorageError::corrupt)
            });
            Ok(Event::Created {
                user: UserId(user),
                tier: Tier::parse(&tier)
                    .ok_or_else(|| StorageError::corrupt(format!("tier {tier:?}")))?,
                lines: Lines::new(lines.collect::<Result<_, StorageError>>()?)
                    .map_err(StorageError::corrupt)?,
                price: price.price(currency)?,
            })
        }
        PLACED => {
            let Placed { saga, by, currency, price } = parse(data)?;
            let currency = Currency::parse(&currency).map_err(StorageError::corrupt)?;
            let by = by.map(|ByData { subject, roles }| PlacedBy { subject, roles });
            Ok(Event::Placed { saga, by, price: price.price(currency)? })
        }
        CONFIRMED => parse(data).map(|Confirmed {}| Event::Confirmed),
        REJECTED => {
            let Rejected { reason } = parse(data)?;
            let reason = RejectReason::parse(&reason)
                .ok_or_else(|| StorageError::corrupt(format!("reject reason {reason:?}")))?;
            Ok(Event::Rejected { reason })
        }
        unknown => Err(StorageError::corrupt(format!("event type {unknown:?}"))),
    }
}

impl From<&Price> for PriceData {
    fn from(price: &Price) -> Self {
        Self {
            subtotal: price.subtotal.minor(),
            discount: price.discount.minor(),
            tax: price.tax.minor(),
            total: price.total.minor(),
        }
    }
}

impl PriceData {
    fn price(&self, currency: Currency) -> Result<Price, StorageError> {
        let money = |minor| Money::new(minor, currency).map_err(StorageError::corrupt);
        Ok(Price {
            subtotal: money(self.subtotal)?,
            discount: money(self.discount)?,
            tax: money(self.tax)?,
            total: money(self.total)?,
        })
    }
}

/// The fields of an address as they are stored.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Address")]
struct AddressData {
    region_code: String,
    language_code: String,
    postal_code: String,
    sorting_code: String,
    administrative_area: String,
    locality: String,
    sublocality: String,
    address_lines: Vec<String>,
    recipients: Vec<String>,
    organization: String,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct AddressRecord(#[serde(with = "AddressData")] Address);

/// An address as it is stored.
pub(super) fn address_record(address: &Address) -> Result<String, StorageError> {
    json(&AddressRecord(address.clone()))
}

/// An event, and beside each the address that its order has.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct EventRow {
    order_id: Uuid,
    version: i64,
    create_time: StoredTime,
    #[sqlx(rename = "type")]
    kind: String,
    data: String,
    address: Option<String>,
}

impl EventRow {
    fn recorded(&self) -> Result<Recorded, StorageError> {
        Ok(Recorded {
            version: u64::try_from(self.version).map_err(StorageError::corrupt)?,
            at: self.create_time.0,
            event: event(&self.kind, &self.data)?,
        })
    }
}

/// The orders whose histories these rows are, in their order. The rows of one order
/// stand together, the oldest event first.
pub(super) fn orders(rows: &[EventRow]) -> Result<Vec<StoredOrder>, StorageError> {
    rows.chunk_by(|one, next| one.order_id == next.order_id)
        .filter_map(|rows| rows.first().map(|first| (first, rows)))
        .map(|(first, rows)| {
            let history =
                rows.iter().map(EventRow::recorded).collect::<Result<Vec<_>, StorageError>>()?;
            let order = Order::rebuild(OrderId(first.order_id), history)
                .map_err(StorageError::corrupt)?
                .ok_or_else(|| StorageError::corrupt("an order without history"))?;
            let address = first.address.as_deref().map(parse::<AddressRecord>).transpose()?;
            Ok(StoredOrder { order, address: address.map(|record| record.0) })
        })
        .collect()
}

fn json(data: &impl Serialize) -> Result<String, StorageError> {
    serde_json::to_string(data).map_err(StorageError::corrupt)
}

fn parse<T: DeserializeOwned>(data: &str) -> Result<T, StorageError> {
    serde_json::from_str(data).map_err(StorageError::corrupt)
}
