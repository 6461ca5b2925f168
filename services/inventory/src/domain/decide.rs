//! Every rule between reservations and stock.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Items, Quantity, Reservation, Sku, Stock, Unbalanced, reservation::State};

/// What is asked of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To hold these items.
    Reserve(Items),
    /// To sell what it holds.
    Commit,
    /// To put back what it holds, or, where it does not exist, never to exist.
    Release,
}

/// Stocks by product.
pub type Shelf = BTreeMap<Sku, Stock>;

/// What is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: what was asked for is so already.
    AsItIs(Reservation),
    /// The reservation as it is now, and the stocks that changed with it.
    Change {
        /// New, or to replace the one that was found.
        reservation: Reservation,
        /// Only those that changed; none for a tombstone.
        shelf: Shelf,
    },
}

/// Why the answer is no. Nothing is to be stored then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// These are not in the catalogue, by SKU.
    #[error("no such product")]
    UnknownProducts(Vec<Sku>),
    /// Of these there are too few, by SKU.
    #[error("too little stock")]
    InsufficientStock(Vec<Shortage>),
    /// Nothing was ever reserved under this id.
    #[error("no reservation has the id {0}")]
    NotFound(Uuid),
    /// It was released, before or after it was made.
    #[error("the reservation {0} was released")]
    Released(Uuid),
    /// It was committed.
    #[error("the reservation {0} was committed")]
    Committed(Uuid),
    /// The id stands for a reservation of other items.
    #[error("the reservation {0} was made with other items")]
    OtherItems(Uuid),
    /// The books are wrong. The database's checks and the rules here both prevent it.
    #[error("{0}: less is reserved than the reservations say")]
    Unbalanced(Sku),
}

/// A product of which there are too few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Which.
    pub sku: Sku,
    /// How many were asked for.
    pub asked: u32,
    /// How many there are.
    pub available: u32,
}

impl Ask {
    /// The products it needs to know of; what the reservation holds comes on top.
    pub fn items(&self) -> Option<&Items> {
        match self {
            Self::Reserve(items) => Some(items),
            Self::Commit | Self::Release => None,
        }
    }
}

/// Answers `ask`, where `found` is the reservation with that id and `shelf` has the
/// stocks of all products that either of the two names, as far as they exist.
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

/// Takes all of the items from the shelf, or tells everything that is missing.
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

/// Moves what was held into other hands.
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
