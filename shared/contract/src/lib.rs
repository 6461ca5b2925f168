//! What a contract means at run time.
//!
//! A team declares its methods once, in its .proto files; `gantry-contract-build`
//! turns the declarations into a [`Contract`]: tables that the client, the server
//! and the documentation share. This crate holds the types of those tables and
//! what follows from them: who may call ([`access`]), under which deadline and
//! for whom a call runs ([`call`]), and how a refusal is said ([`Failure`]).
//!
//! It names no other crate of ours.

pub mod access;
pub mod call;
pub mod policy;

pub use access::{Actor, Authorized, Caller, Denied, Scope};
pub use call::CallContext;
pub use policy::{
    Access, Contract, Idempotency, MethodKind, MethodPolicy, RetryPolicy, Role, ServicePolicy,
};
