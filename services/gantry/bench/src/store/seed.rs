//! Rows that are stored before a scenario, written as the services write them.

use super::{
    engine::{Engine, Set},
    goods::{Kind, now},
};
use crate::error::BenchError;
use gantry::suite::{INVENTORY, ORDER, Row, USER};

/// Numbers of stored rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed {
    pub(super) users: u64,
    pub(super) products: u64,
    /// Drafts to be placed.
    pub(super) drafts: u64,
    /// Confirmed orders, each with its events, its completed saga and its reservation.
    pub(super) orders: u64,
}

impl Default for Seed {
    fn default() -> Self {
        Self { users: 1_000, products: 1_000, drafts: 50_000, orders: 20_000 }
    }
}

impl Seed {
    /// Writes the rows to the databases of a suite that is not running.
    pub(super) async fn write(self, set: &Set) -> Result<(), BenchError> {
        let texts = Texts { engine: set.engine, seed: self, now: now() };
        let tables: [(Row, Vec<String>); 3] = [
            (USER, vec![texts.users()]),
            (INVENTORY, texts.inventory()),
            (ORDER, [texts.orders(Kind::Order), texts.orders(Kind::Draft)].concat()),
        ];
        for (service, statements) in tables {
            let pools = set.pools(service).await?;
            for statement in statements {
                pools.run(statement).await?;
            }
            pools.run("ANALYZE".to_owned()).await?;
            pools.close().await;
        }
        Ok(())
    }
}

/// Texts of the statements.
struct Texts {
    engine: Engine,
    seed: Seed,
    now: i64,
}

impl Texts {
    /// Returns the expression of 12 hex digits.
    fn hex(&self, number: &str) -> String {
        match self.engine {
            Engine::Sqlite => format!("printf('%012x', {number})"),
            Engine::Postgres => format!("lpad(to_hex({number}), 12, '0')"),
        }
    }

    /// Returns the expression of an id as text.
    fn text(&self, kind: Kind, number: &str) -> String {
        let id = kind.id(0).to_string();
        format!("'{}' || {}", &id[..id.len() - 12], self.hex(number))
    }

    /// Returns the expression of an id.
    fn id(&self, kind: Kind, number: &str) -> String {
        let id = self.text(kind, number);
        match self.engine {
            Engine::Sqlite => format!("unhex({id}, '-')"),
            Engine::Postgres => format!("({id})::uuid"),
        }
    }

    /// Returns an INSERT of this many rows, in which `n` counts from 0.
    fn insert(&self, table: &str, rows: u64, values: &[&str]) -> String {
        let values = values.join(", ");
        format!(
            "INSERT INTO {table} SELECT {values} FROM (WITH RECURSIVE series(n) AS \
             (SELECT 0 UNION ALL SELECT n + 1 FROM series WHERE n + 1 < {rows}) \
             SELECT n FROM series) AS numbers WHERE n < {rows}"
        )
    }

    fn users(&self) -> String {
        let (id, now) = (self.id(Kind::User, "n"), self.now.to_string());
        let email = "'shopper-' || n || '@example.com'";
        self.insert(
            "users (id, email, email_key, name, status, tier, roles, version, create_time, update_time)",
            self.seed.users,
            &[&id, email, email, "'Ann Shopper'", "'ACTIVE'", "'REGULAR'", "'user'", "1", &now, &now],
        )
    }

    fn inventory(&self) -> Vec<String> {
        let Seed { products, orders, .. } = self.seed;
        let (id, now) = (self.id(Kind::Order, "n"), self.now.to_string());
        let sku = format!("'SKU-' || (n % {products})");
        vec![
            self.insert(
                "products (sku, name, currency, price, available, reserved, sold, create_time, \
                 update_time)",
                products,
                &[&sku, "'A thing'", "'EUR'", "1000", "1000000000", "0", "0", &now, &now],
            ),
            self.insert(
                "reservations (id, status, create_time, update_time)",
                orders,
                &[&id, "'COMMITTED'", &now, &now],
            ),
            self.insert(
                "reservation_items (reservation_id, sku, quantity)",
                orders,
                &[&id, &sku, "1"],
            ),
        ]
    }

    fn orders(&self, kind: Kind) -> Vec<String> {
        let Seed { users, products, drafts, orders } = self.seed;
        let (rows, status, version) = match kind {
            Kind::Draft => (drafts, "'DRAFT'", "1"),
            Kind::Order | Kind::User => (orders, "'CONFIRMED'", "3"),
        };
        const PRICE: &str = r#""price":{"subtotal":1000,"discount":100,"tax":0,"total":900}"#;
        let (id, now) = (self.id(kind, "n"), self.now.to_string());
        let user = format!("(n % {users})");
        let (user_id, user) = (self.id(Kind::User, &user), self.text(Kind::User, &user));
        let created = format!(
            r#"'{{"user":"' || {user} || '","tier":"REGULAR","currency":"EUR","lines":[{{"sku":"SKU-' || (n % {products}) || '","quantity":1,"unit_price":1000}}],{PRICE}}}'"#
        );
        let placed = format!(
            r#"'{{"saga":"' || {saga} || '","by":{{"subject":"' || {user} || '","roles":["user"]}},"currency":"EUR",{PRICE}}}'"#,
            saga = self.text(kind, "n"),
        );
        let event = |version: &str, kind: &str, data: &str| {
            let table = "order_events (order_id, version, create_time, type, data)";
            self.insert(table, rows, &[&id, version, &now, &format!("'order.{kind}.v1'"), data])
        };
        let mut texts = vec![
            self.insert(
                "orders (id, user_id, status, version, create_time, update_time)",
                rows,
                &[&id, &user_id, status, version, &now, &now],
            ),
            event("1", "created", &created),
        ];
        if matches!(kind, Kind::Draft) {
            return texts;
        }
        let input = format!("'\"' || {} || '\"'", self.text(kind, "n"));
        texts.extend([
            event("2", "placed", &placed),
            event("3", "confirmed", "'{}'"),
            self.insert(
                "sagas (id, name, input, context, status, epoch, length, lease_expire_time, \
                 create_time, update_time)",
                rows,
                &[&id, "'place-order/1'", &input, "'{}'", "'completed'", "1", "0", "0", &now, &now],
            ),
        ]);
        texts
    }
}
