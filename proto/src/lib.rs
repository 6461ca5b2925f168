//! Contract of the shop: its services, their access rules and their limits.
//!
//! All code here is generated from the .proto files of this folder. Read and change those:
//!
//! | file | content |
//! |---|---|
//! | `shop/access/v1/access.proto` | permissions, roles, rate classes |
//! | `shop/errors/v1/reason.proto` | reasons for refused calls |
//! | `shop/user/v1/` | users, login, keys |
//! | `shop/inventory/v1/` | products, stock, reservations |
//! | `shop/order/v1/` | orders |
//! | `shop/events/v1/` | payloads of the events between services |
//!
//! The order service also serves `gantry/operator/v1/sagas.proto` of `gantry-operator`.
//!
//! Each package is a module of the same name ([`shop::user::v1`]) with its messages, and a client
//! and a server for each service. [`CONTRACT`] has the rules of every method: timeout, permission,
//! idempotency, retries. [`SERVICE_CONFIG`] states them for gRPC clients in other languages,
//! [`REFERENCE`] for people (`docs/API.md`). [`EVENTS`] lists the types of events with their payloads.

mod events;

pub use events::{EVENTS, EventPayload, EventType};

gantry_contract::include_contract!();
