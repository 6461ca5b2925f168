//! The contract's methods on the use cases, and the statuses of their failures.

mod convert;
pub(crate) mod grpc;
mod status;
