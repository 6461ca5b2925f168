//! The contract's methods, on the use cases.

mod convert;
pub(crate) mod grpc;
mod status;
