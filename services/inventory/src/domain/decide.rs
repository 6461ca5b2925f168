//! Rules between reservations and stocks.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Items, Quantity, Reservation, Sku, Stock, Unbalanced, reservation::State};

/// Command to a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Reserve these items.
    Reserve(Items),
    /// Sell the reserved items.
    Commit,
    /// Make the reserved items available again. An unknown reservation becomes a tombstone that refuses
    /// a late [`Command::Reserve`].
    Release,
}

/// Stocks by product.
pub type Stocks = BTreeMap<Sku, Stock>;

/// Change to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No change: the reservation is already as requested.
    AsItIs(Reservation),
    /// The new state of the reservation and of the stocks that changed with it.
    Change {
        /// New reservation, or the replacement of the stored one.
        reservation: Reservation,
        /// Changed stocks only; none for a tombstone.
        stocks: Stocks,
    },
}

/// Refusal of a command. Nothing is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// SKUs that are not in the catalogue.
    #[error("no such product")]
    UnknownProducts(Vec<Sku>),
    /// Products with too little stock, by SKU.
    #[error("too little stock")]
    InsufficientStock(Vec<Shortage>),
    /// No reservation has this id.
    #[error("no reservation has the id {0}")]
    NotFound(Uuid),
    /// The reservation was released, before or after it was made.
    #[error("the reservation {0} was released")]
    Released(Uuid),
    /// The reservation was committed.
    #[error("the reservation {0} was committed")]
    Committed(Uuid),
    /// The id belongs to a reservation of other items.
    #[error("the reservation {0} was made with other items")]
    OtherItems(Uuid),
    /// The stock of a product disagrees with its reservations. The rules and the database's checks
    /// prevent this.
    #[error("{0}: less is reserved than the reservations say")]
    Unbalanced(Sku),
}

/// Product with too little stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// SKU of the product.
    pub sku: Sku,
    /// Requested quantity.
    pub requested: u32,
    /// Available quantity.
    pub available: u32,
}

impl Command {
    /// Returns the items of the command itself, not those of the stored reservation.
    pub fn items(&self) -> Option<&Items> {
        match self {
            Self::Reserve(items) => Some(items),
            Self::Commit | Self::Release => None,
        }
    }
}

/// Decides a command to the reservation `id`. `found` is the stored reservation with this id. `stocks`
/// has the stock of every existing product that the command or the stored reservation names.
///
/// # Errors
/// [`Refusal`].
pub fn decide(
    id: Uuid,
    command: Command,
    found: Option<Reservation>,
    stocks: &Stocks,
    now: OffsetDateTime,
) -> Result<Decision, Refusal> {
    match found {
        None => match command {
            Command::Reserve(items) => {
                let stocks = take(&items, stocks)?;
                Ok(Decision::Change { reservation: Reservation::reserved(id, items, now), stocks })
            }
            Command::Commit => Err(Refusal::NotFound(id)),
            Command::Release => Ok(Decision::Change {
                reservation: Reservation::tombstone(id, now),
                stocks: Stocks::new(),
            }),
        },
        Some(found) => match (command, found.state()) {
            (Command::Reserve(items), State::Reserved(held) | State::Committed(held)) => {
                if items == *held {
                    Ok(Decision::AsItIs(found))
                } else {
                    Err(Refusal::OtherItems(id))
                }
            }
            (Command::Commit, State::Reserved(held)) => Ok(Decision::Change {
                stocks: shift(held, stocks, Stock::commit)?,
                reservation: found.committed(held.clone(), now),
            }),
            (Command::Release, State::Reserved(held)) => Ok(Decision::Change {
                stocks: shift(held, stocks, Stock::release)?,
                reservation: found.released(held.clone(), now),
            }),
            (Command::Commit, State::Committed(_)) | (Command::Release, State::Released(_)) => {
                Ok(Decision::AsItIs(found))
            }
            (Command::Release, State::Committed(_)) => Err(Refusal::Committed(id)),
            (Command::Reserve(_) | Command::Commit, State::Released(_)) => {
                Err(Refusal::Released(id))
            }
        },
    }
}

/// Reserves all items. The error lists every unknown product, or else every shortage.
fn take(items: &Items, stocks: &Stocks) -> Result<Stocks, Refusal> {
    let mut taken = Stocks::new();
    let mut unknown = Vec::new();
    let mut short = Vec::new();
    for (sku, quantity) in items.iter() {
        let Some(stock) = stocks.get(sku) else {
            unknown.push(sku.clone());
            continue;
        };
        match stock.reserve(quantity) {
            Some(stock) => {
                taken.insert(sku.clone(), stock);
            }
            None => short.push(Shortage {
                sku: sku.clone(),
                requested: quantity.get(),
                available: stock.available(),
            }),
        }
    }
    if !unknown.is_empty() {
        Err(Refusal::UnknownProducts(unknown))
    } else if !short.is_empty() {
        Err(Refusal::InsufficientStock(short))
    } else {
        Ok(taken)
    }
}

/// Applies a change of stock to every reserved item.
fn shift(
    held: &Items,
    stocks: &Stocks,
    step: fn(Stock, Quantity) -> Result<Stock, Unbalanced>,
) -> Result<Stocks, Refusal> {
    held.iter()
        .map(|(sku, quantity)| {
            let stock = stocks.get(sku).ok_or(Unbalanced).and_then(|stock| step(*stock, quantity));
            Ok((sku.clone(), stock.map_err(|Unbalanced| Refusal::Unbalanced(sku.clone()))?))
        })
        .collect()
}
