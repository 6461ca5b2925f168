//! Statements that calls make, and the values with which a baseline replays them.
//!
//! A statement is known by the begin of its text; the recording has the rest.

use uuid::Uuid;

use super::{
    goods::{Kind, now},
    pools::Value,
};

/// Returns the parameters of a statement.
pub(super) type Values = fn(&mut Subject) -> Vec<Value>;

/// Statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    /// Begin of its text. No other statement begins with it.
    pub(super) head: &'static str,
    pub(super) values: Values,
    /// True if only PostgreSQL gets it.
    pub(super) locks: bool,
}

/// Resources of a call.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    user: u64,
    order: Uuid,
    sku: String,
    /// Saga and reservation.
    saga: Uuid,
    request: Uuid,
    /// Uses of a connection so far. Each looks for a request record of its own.
    unit: i64,
    /// Version of the order.
    version: i64,
    /// Entries in the log of the saga.
    length: i64,
}

impl Subject {
    pub(super) fn new(user: u64, order: Uuid, sku: String) -> Self {
        let [saga, request] = [Uuid::now_v7(), Uuid::now_v7()];
        Self { user, order, sku, saga, request, unit: 0, version: 1, length: 0 }
    }

    /// Begins the use of a connection.
    pub(super) fn begin(&mut self) {
        self.unit += 1;
    }

    fn record(&self) -> Vec<Value> {
        let subject = Value::Text(format!("user:{}", Kind::User.id(self.user)));
        let method = Value::Text(format!("/shop.order.v1.OrderService/PlaceOrder{}", self.unit));
        vec![subject, method, Value::Id(self.request)]
    }
}

const fn statement(head: &'static str, values: Values) -> Statement {
    Statement { head, values, locks: false }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Time before which a draft is not open.
const OPEN_FOR_MICROS: i64 = 30 * 24 * 60 * 60 * 1_000_000;

/// Lock of a name.
pub(super) const LOCK: Statement = Statement {
    head: "SELECT pg_advisory_xact_lock",
    values: |of| vec![Value::Text(format!("drafts of {} {}", Kind::User.id(of.user), of.unit))],
    locks: true,
};
pub(super) const REQUEST: Statement =
    statement("SELECT fingerprint, resource_id FROM request_records", |of| of.record());
pub(super) const NEW_REQUEST: Statement = statement("INSERT INTO request_records", |of| {
    let more = [Value::Bytes(vec![7; 32]), text(&of.order.to_string()), Value::Number(now())];
    of.record().into_iter().chain(more).collect()
});
pub(super) const GET_USER: Statement =
    statement("SELECT id, email, name", |of| vec![Value::Id(Kind::User.id(of.user))]);
pub(super) const PRODUCTS: Statement =
    statement("SELECT sku, name, currency", |of| vec![Value::List(vec![of.sku.clone()])]);
pub(super) const OPEN_DRAFTS: Statement =
    statement("SELECT count(*) FROM (SELECT 1 FROM orders", |of| {
        let since = now() - OPEN_FOR_MICROS;
        vec![Value::Id(Kind::User.id(of.user)), Value::Number(since), Value::Number(100)]
    });
pub(super) const NEW_ORDER: Statement = statement("INSERT INTO orders ", |of| {
    vec![
        text("DRAFT"),
        Value::Number(of.version),
        Value::Number(now()),
        Value::Id(of.order),
        Value::Id(Kind::User.id(of.user)),
        Value::Number(now()),
    ]
});
pub(super) const CHANGE_ORDER: Statement = statement("UPDATE orders SET", |of| {
    of.version += 1;
    vec![
        text(if of.version == 2 { "PLACED" } else { "CONFIRMED" }),
        Value::Number(of.version),
        Value::Number(now()),
        Value::Id(of.order),
        Value::Number(of.version - 1),
    ]
});
pub(super) const NEW_EVENT: Statement = statement("INSERT INTO order_events", |of| {
    const PRICE: &str = r#""price":{"subtotal":1000,"discount":100,"tax":0,"total":900}"#;
    let user = Kind::User.id(of.user);
    let (kind, data) = match of.version {
        1 => (
            "order.created.v1",
            format!(
                r#"{{"user":"{user}","tier":"REGULAR","currency":"EUR","lines":[{{"sku":"{}","quantity":1,"unit_price":1000}}],{PRICE}}}"#,
                of.sku
            ),
        ),
        2 => (
            "order.placed.v1",
            format!(
                r#"{{"saga":"{}","by":{{"subject":"{user}","roles":["user"]}},"currency":"EUR",{PRICE}}}"#,
                of.saga
            ),
        ),
        _ => ("order.confirmed.v1", "{}".to_owned()),
    };
    let of = [Value::Id(of.order), Value::Number(of.version), Value::Number(now())];
    of.into_iter().chain([text(kind), Value::Text(data)]).collect()
});
pub(super) const GET_ORDER: Statement =
    statement("WITH page AS (SELECT id FROM orders WHERE id = $1)", |of| vec![Value::Id(of.order)]);
/// Page of 20, and one row more.
pub(super) const LIST_ORDERS: Statement =
    statement("WITH page AS (SELECT id FROM orders WHERE id < $1 AND user_id", |of| {
        vec![Value::Id(Uuid::max()), Value::Number(21), Value::Id(Kind::User.id(of.user))]
    });
pub(super) const NEW_SAGA: Statement = statement("INSERT INTO sagas", |of| {
    let context = format!(
        r#"{{"actor":"{}","trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","request_id":"{}"}}"#,
        Kind::User.id(of.user),
        of.request,
    );
    let input = Value::Text(format!("\"{}\"", of.order));
    let reserved = Value::Number(1_000_000);
    vec![Value::Id(of.saga), text("place-order/1"), input, Value::Text(context), reserved]
});
/// Statement that the engine of sagas makes now and then.
pub(super) const FREE_SAGAS: Statement = statement("SELECT EXISTS (SELECT 1 FROM sagas", |_| {
    vec![Value::List(vec!["place-order/1".to_owned()])]
});
/// Claim of the new saga, for half a minute.
pub(super) const CLAIM: Statement = statement("UPDATE sagas SET epoch", |of| {
    let names = Value::List(vec!["place-order/1".to_owned()]);
    vec![Value::Id(of.saga), names, Value::Number(30_000_000)]
});
pub(super) const APPEND: Statement = statement("UPDATE sagas\n", |of| {
    let count = entries(of);
    let status = if of.length + count == ALL_ENTRIES { "completed" } else { "running" };
    vec![
        Value::Id(of.saga),
        Value::Number(1),
        Value::Number(of.length),
        text(status),
        Value::Number(0),
        Value::Number(count),
        Value::Number(30_000_000),
    ]
});
pub(super) const NEW_ENTRIES: Statement = statement("INSERT INTO saga_entries", |of| {
    let (at, count) = (of.length, entries(of));
    of.length += count;
    let data =
        [r#"{"kind":"succeeded","step":"commit-reservation"}"#; 2][..count as usize].join(",");
    vec![Value::Id(of.saga), Value::Number(at), Value::Text(format!("[{data}]"))]
});
pub(super) const RESERVATION: Statement =
    statement("SELECT id, status, create_time", |of| vec![Value::Id(of.saga)]);
pub(super) const ITEMS: Statement =
    statement("SELECT sku, quantity FROM reservation_items", |of| vec![Value::Id(of.saga)]);
pub(super) const STOCKS: Statement =
    statement("SELECT sku, available", |of| vec![Value::List(vec![of.sku.clone()])]);
pub(super) const STORE_RESERVATION: Statement = statement("INSERT INTO reservations", |of| {
    vec![Value::Id(of.saga), text("RESERVED"), Value::Number(now()), Value::Number(now())]
});
pub(super) const NEW_ITEM: Statement = statement("INSERT INTO reservation_items", |of| {
    vec![Value::Id(of.saga), Value::Text(of.sku.clone()), Value::Number(1)]
});
pub(super) const CHANGE_STOCK: Statement = statement("UPDATE products", |of| {
    let [available, reserved, sold] = [1_000_000, 1, 1].map(Value::Number);
    vec![available, reserved, sold, Value::Number(now()), Value::Text(of.sku.clone())]
});

/// Entries in the log of a saga that succeeds: start and success of each of its four steps.
const ALL_ENTRIES: i64 = 8;

/// Returns the number of entries of the next append: a success and the next start are one.
fn entries(of: &Subject) -> i64 {
    if of.length == 0 || of.length == ALL_ENTRIES - 1 { 1 } else { 2 }
}
