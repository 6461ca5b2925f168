//! What a contract means at run time.
//!
//! A team declares its methods once, in its .proto files; `gantry-contract-build`
//! turns the declarations into a [`Contract`]: tables that the client, the server
//! and the documentation share. This crate holds the types of those tables and
//! what follows from them: who may call ([`access`]), under which deadline and
//! for whom a call runs ([`call`]), what a request must look like ([`Validate`],
//! [`rules`], applied by the server's [`codec`]), and how a refusal is said
//! ([`Failure`]).
//!
//! A contract crate is a folder of .proto files, a build script that calls
//! `gantry_contract_build::compile`, and a `lib.rs` of one line:
//! [`include_contract!`].
//!
//! It names no other crate of ours.

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

/// Includes what `gantry_contract_build::compile` made: a module for each package
/// (`shop::user::v1`) and `CONTRACT`, the tables of the whole.
#[macro_export]
macro_rules! include_contract {
    () => {
        include!(concat!(env!("OUT_DIR"), "/contract.rs"));
    };
}
