//! Contracts at run time.
//!
//! A team declares its methods in .proto files. `gantry-contract-build` generates a [`Contract`]
//! from them: tables that the client, the server and the documentation share. This crate has the
//! types of the tables and everything that depends on them only:
//!
//! - authorization ([`access`]),
//! - the context of a call: caller, deadline, request id ([`call`]),
//! - validation of requests ([`Validate`], [`rules`]), applied by the server's [`codec`],
//! - error statuses ([`Failure`]).
//!
//! A contract crate consists of .proto files, a build script that calls
//! `gantry_contract_build::compile`, and a `lib.rs` with one line: [`include_contract!`].
//!
//! This crate depends on no other crate of the workspace.

pub mod access;
pub mod call;
pub mod called;
mod code;
pub mod codec;
mod failure;
pub mod gzip;
pub mod idempotency;
pub mod ids;
pub mod page;
pub mod policy;
mod reason;
pub mod rules;
pub mod shape;
mod sources;
mod validate;

pub use access::{Actor, Authorized, Caller, Denied, Scope};
pub use call::CallContext;
pub use code::code_name;
pub use failure::Failure;
pub use policy::{
    Access, Contract, HedgingPolicy, Idempotency, MethodKind, MethodPolicy, RateClass, Repeats,
    RetryPolicy, Role, ServicePolicy,
};
pub use reason::{GantryReason, Reason};
pub use shape::Shape;
pub use sources::{Clock, Ids};
pub use validate::{FieldPath, Validate, Violation, Violations};

/// Includes the generated code of `gantry_contract_build::compile`: one module per package
/// (`shop::user::v1`), and `CONTRACT` with all tables.
#[macro_export]
macro_rules! include_contract {
    () => {
        include!(concat!(env!("OUT_DIR"), "/contract.rs"));
    };
}
