//! Rules between reservations and stock.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Items, Quantity, Reservation, Sku, Stock, Unbalanced, reservation::State};

/// Command to a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Hold these items.
    Reserve(Items),
    /// Sell the held items.
    Commit,
    /// Put the held items back. An unknown reservation becomes a tombstone that refuses a late
    /// [`Ask::Reserve`].
    Release,
}

/// Stocks by product.
pub type Shelf = BTreeMap<Sku, Stock>;

/// Change to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: the reservation already is as requested.
    AsItIs(Reservation),
    /// The new state of the reservation and of the stocks that changed with it.
    Change {
        /// New reservation, or the replacement of the stored one.
        reservation: Reservation,
        /// Changed stocks only; none for a tombstone.
        shelf: Shelf,
    },
}

/// Refusal of a command. Nothing is stored then.
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
    /// Stock and reservations disagree. Both the database's checks and these rules prevent it.
    #[error("{0}: less is reserved than the reservations say")]
    Unbalanced(Sku),
}

/// Product with too little stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// SKU of the product.
    pub sku: Sku,
    /// Requested quantity.
    pub asked: u32,
    /// Available quantity.
    pub available: u32,
}

impl Ask {
    /// Returns the products that the command names, without those that the reservation holds.
    pub fn items(&self) -> Option<&Items> {
        match self {
            Self::Reserve(items) => Some(items),
            Self::Commit | Self::Release => None,
        }
    }
}

/// Decides a command. `found` is the stored reservation with that id. `shelf` holds the stock of
/// every existing product that the command or the reservation names.
///
/// # Errors
/// [`Refusal`]
pub fn decide(
    id: Uuid,
    ask: Ask,
    found: Option<Reservation>,
    shelf: &Shelf,
    now: OffsetDateTime,
) -> Result<Decision, Refusal> {
    match found {
        None => match ask {
            Ask::Reserve(items) => {
                let shelf = take(&items, shelf)?;
                Ok(Decision::Change { reservation: Reservation::reserved(id, items, now), shelf })
            }
            Ask::Commit => Err(Refusal::NotFound(id)),
            Ask::Release => Ok(Decision::Change {
                reservation: Reservation::tombstone(id, now),
                shelf: Shelf::new(),
            }),
        },
        Some(found) => match (ask, found.state()) {
            (Ask::Reserve(items), State::Reserved(held) | State::Committed(held)) => {
                if items == *held {
                    Ok(Decision::AsItIs(found))
                } else {
                    Err(Refusal::OtherItems(id))
                }
            }
            (Ask::Commit, State::Reserved(held)) => Ok(Decision::Change {
                shelf: shift(held, shelf, Stock::commit)?,
                reservation: found.committed(held.clone(), now),
            }),
            (Ask::Release, State::Reserved(held)) => Ok(Decision::Change {
                shelf: shift(held, shelf, Stock::release)?,
                reservation: found.released(held.clone(), now),
            }),
            (Ask::Commit, State::Committed(_)) | (Ask::Release, State::Released(_)) => {
                Ok(Decision::AsItIs(found))
            }
            (Ask::Release, State::Committed(_)) => Err(Refusal::Committed(id)),
            (Ask::Reserve(_) | Ask::Commit, State::Released(_)) => Err(Refusal::Released(id)),
        },
    }
}

/// Takes all items from the shelf, or returns every item that is missing.
fn take(items: &Items, shelf: &Shelf) -> Result<Shelf, Refusal> {
    let mut taken = Shelf::new();
    let mut unknown = Vec::new();
    let mut short = Vec::new();
    for (sku, quantity) in items.iter() {
        let Some(stock) = shelf.get(sku) else {
            unknown.push(sku.clone());
            continue;
        };
        match stock.reserve(quantity) {
            Some(stock) => {
                taken.insert(sku.clone(), stock);
            }
            None => short.push(Shortage {
                sku: sku.clone(),
                asked: quantity.get(),
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

/// Applies a stock movement to every held item.
fn shift(
    held: &Items,
    shelf: &Shelf,
    step: fn(Stock, Quantity) -> Result<Stock, Unbalanced>,
) -> Result<Shelf, Refusal> {
    held.iter()
        .map(|(sku, quantity)| {
            let stock = shelf.get(sku).ok_or(Unbalanced).and_then(|stock| step(*stock, quantity));
            Ok((sku.clone(), stock.map_err(|Unbalanced| Refusal::Unbalanced(sku.clone()))?))
        })
        .collect()
}
