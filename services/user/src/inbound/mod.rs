//! gRPC interface of the user service.

mod convert;
pub(crate) mod grpc;
mod status;
