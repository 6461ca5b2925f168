//! Statements of each call on the databases, in order.

use super::statement::{
    APPEND, CHANGE_ORDER, CHANGE_STOCK, CLAIM, GET_ORDER, GET_USER, ITEMS, LIST_ORDERS, LOCK,
    NEW_ENTRIES, NEW_EVENT, NEW_ITEM, NEW_ORDER, NEW_REQUEST, NEW_SAGA, OPEN_DRAFTS, PRODUCTS,
    REQUEST, RESERVATION, STOCKS, STORE_RESERVATION, Statement,
};
use gantry::suite::{INVENTORY, ORDER, Row, USER};

/// Call whose cost is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    CreateOrder,
    /// Until the order is confirmed.
    PlaceOrder,
    ReserveStock,
    GetUser,
    GetOrder,
    ListOrders,
}

/// Use of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    Read(Row, &'static [Statement]),
    /// Unit of work, begun with this text on PostgreSQL.
    Unit(Row, &'static str, &'static [Statement]),
}

pub(super) const REPEATABLE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
pub(super) const COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

const WRITE_LOG: Use = Use::Unit(ORDER, COMMITTED, &[APPEND, NEW_ENTRIES]);
const READ_ORDER: Use = Use::Read(ORDER, &[GET_ORDER]);
const READ_USER: Use = Use::Read(USER, &[GET_USER]);
const RESERVE: Use = Use::Unit(
    INVENTORY,
    COMMITTED,
    &[LOCK, REQUEST, RESERVATION, STOCKS, STORE_RESERVATION, NEW_ITEM, CHANGE_STOCK, NEW_REQUEST],
);
const SELL: Use = Use::Unit(
    INVENTORY,
    COMMITTED,
    &[LOCK, REQUEST, RESERVATION, ITEMS, STOCKS, STORE_RESERVATION, CHANGE_STOCK, NEW_REQUEST],
);

impl Call {
    /// Calls that are compared with their statements.
    pub(super) const COMPARED: [Self; 5] =
        [Self::CreateOrder, Self::PlaceOrder, Self::ReserveStock, Self::GetUser, Self::ListOrders];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CreateOrder => "CreateOrder",
            Self::PlaceOrder => "PlaceOrder to CONFIRMED",
            Self::ReserveStock => "ReserveStock",
            Self::GetUser => "GetUser",
            Self::GetOrder => "GetOrder",
            Self::ListOrders => "ListOrders",
        }
    }

    /// Returns what the call does on the databases.
    pub(super) fn plan(self) -> &'static [Use] {
        match self {
            Self::CreateOrder => &[
                Use::Read(ORDER, &[REQUEST]),
                Use::Read(ORDER, &[OPEN_DRAFTS]),
                READ_USER,
                Use::Read(INVENTORY, &[PRODUCTS]),
                Use::Unit(
                    ORDER,
                    COMMITTED,
                    &[LOCK, OPEN_DRAFTS, REQUEST, NEW_REQUEST, NEW_ORDER, NEW_EVENT],
                ),
            ],
            Self::PlaceOrder => &[
                READ_ORDER,
                Use::Read(ORDER, &[REQUEST]),
                Use::Unit(
                    ORDER,
                    REPEATABLE,
                    &[REQUEST, NEW_REQUEST, CHANGE_ORDER, NEW_EVENT, NEW_SAGA],
                ),
                // The call looks for an outcome before it waits.
                READ_ORDER,
                Use::Unit(ORDER, COMMITTED, &[CLAIM]),
                WRITE_LOG,
                READ_ORDER,
                READ_USER,
                WRITE_LOG,
                READ_ORDER,
                RESERVE,
                WRITE_LOG,
                READ_ORDER,
                SELL,
                WRITE_LOG,
                READ_ORDER,
                Use::Unit(ORDER, REPEATABLE, &[CHANGE_ORDER, NEW_EVENT]),
                READ_ORDER,
                WRITE_LOG,
            ],
            Self::ReserveStock => &[RESERVE],
            Self::GetUser => &[READ_USER],
            Self::GetOrder => &[READ_ORDER],
            Self::ListOrders => &[Use::Read(ORDER, &[LIST_ORDERS])],
        }
    }
}
