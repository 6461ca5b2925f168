//! The inventory as the contract has it.

mod convert;
pub(crate) mod grpc;
mod status;
