//! The users as the contract has them.

mod convert;
pub(crate) mod grpc;
mod status;
