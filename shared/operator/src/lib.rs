//! Operator API of a service: `gantry.operator.v1`.
//!
//! A service adds [`sagas`] to its server, and `gantry/operator/v1/sagas.proto` to the files of its
//! contract, which must declare the permission `operator`: the contract decides who has it.

mod sagas;

pub use sagas::sagas;

gantry_contract::include_contract!();
