//! The shop's contract: what its services offer, to whom, and by which rules.
//!
//! Everything here is made of the .proto files beside this crate, which are the
//! place to read and to change:
//!
//! | file | what it declares |
//! |---|---|
//! | `shop/access/v1/access.proto` | permissions and roles |
//! | `shop/errors/v1/reason.proto` | why calls are refused |
//! | `shop/user/v1/` | users, and how they prove who they are |
//! | `shop/inventory/v1/` | products, stock and reservations |
//! | `shop/order/v1/` | orders |
//!
//! Each package is a module of the same name ([`shop::user::v1`]) with messages,
//! a client and a server for each service. [`CONTRACT`] holds what holds for
//! methods: timeout, permission, idempotency, retries; [`SERVICE_CONFIG`] says it to
//! gRPC clients in other languages, [`REFERENCE`] to people (`docs/API.md`).

gantry_contract::include_contract!();
