//! What a service is served by.
//!
//! A [`Server`] takes the services that tonic generated and puts before them
//! everything that is the same for all: request ids and traces, one log line per
//! call, panics, deadlines, authentication, authorization and validation from the
//! contract, health, reflection, registration and the drain. What a method needs
//! is read from its [`Contract`](gantry_contract::Contract); nothing of it is
//! written in a service.
//!
//! With `tls` in its [`Settings`] it speaks TLS, with certificates that are followed on
//! disk, and asks its callers for theirs where that is wanted (mTLS).
//!
//! The connections are accepted here and not by tonic's own server, which cannot
//! bound a drain and answers CANCELLED when a deadline passes.
//!
//! ```no_run
//! # #[expect(non_snake_case)]
//! # async fn example(CONTRACT: &'static gantry_contract::Contract) -> Result<(), Box<dyn std::error::Error>> {
//! use gantry_server::{Server, shutdown_signal};
//! use tokio::net::TcpListener;
//!
//! let server = Server::builder("greeter", &CONTRACT)
//!     // .service(GreeterServer::new(greeter))
//!     .build()?;
//! let listener = TcpListener::bind("127.0.0.1:50051").await?;
//! server.serve(listener, shutdown_signal()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/greeter` is a whole service.
//!
//! # What a caller can rely on
//!
//! | refused because | code | reason |
//! |---|---|---|
//! | no such method | UNIMPLEMENTED | METHOD_UNKNOWN |
//! | compressed messages | UNIMPLEMENTED | ENCODING_UNKNOWN |
//! | `grpc-timeout` cannot be read | INVALID_ARGUMENT | MALFORMED_METADATA |
//! | its time is over | DEADLINE_EXCEEDED | DEADLINE_EXCEEDED |
//! | no token where one is needed | UNAUTHENTICATED | TOKEN_MISSING |
//! | a token that does not hold | UNAUTHENTICATED | TOKEN_INVALID, TOKEN_EXPIRED |
//! | not allowed | PERMISSION_DENIED | PERMISSION_MISSING |
//! | the address calls too often without credentials that hold, or public methods | RESOURCE_EXHAUSTED | RATE_LIMITED |
//! | the caller calls too often | RESOURCE_EXHAUSTED | RATE_LIMITED |
//! | too many incomplete requests, of the caller, its address or all | RESOURCE_EXHAUSTED | TOO_MANY_UPLOADS |
//! | the message is not complete in time | DEADLINE_EXCEEDED | UPLOAD_TOO_SLOW |
//! | more calls at once than can be worked at, or than the caller's share of them | RESOURCE_EXHAUSTED | OVERLOADED |
//! | too many headers, or too many bytes of them | RESOURCE_EXHAUSTED | METADATA_TOO_LARGE |
//! | the message is too long | RESOURCE_EXHAUSTED | MESSAGE_TOO_LARGE |
//! | the message breaks off, is none, or is followed by a second where one is meant | INVALID_ARGUMENT | MALFORMED_MESSAGE |
//! | the message breaks a rule | INVALID_ARGUMENT | VALIDATION_FAILED |
//! | the server drains, or its connection is too old | UNAVAILABLE | DRAINING |
//! | the handler panicked | INTERNAL | INTERNAL |
//!
//! RATE_LIMITED, TOO_MANY_UPLOADS and OVERLOADED say when to come again, in
//! `grpc-retry-pushback-ms` and in a `RetryInfo`, and name the `limit`: `address`,
//! `credentials`, `caller`, `uploads`, `upload_bytes` or a rate class; OVERLOADED names none if
//! it is the server's.
//! Health and reflection are never limited in time, but in open calls (OVERLOADED; the limit is
//! `connection`, `address` or `infrastructure`), and take messages of 4 KiB at most, which have to
//! be complete in time.
//!
//! Every answer has the request id in `x-request-id`. What is no gRPC at all gets
//! an HTTP status: 405 or 415.

mod admin;
mod build_error;
mod builder;
mod call;
mod client;
mod connection;
mod descriptors;
mod health;
mod hosts;
mod lifecycle;
mod measure;
mod methods;
mod pages;
mod process;
mod readiness;
mod reflection;
mod registered;
mod request;
mod server;
mod settings;
mod signal;
mod single_flight;
mod source;
mod stack;
mod status;
mod tls;
mod transport;

pub use admin::Admin;
pub use build_error::{BuildError, BuildProblem};
pub use builder::ServerBuilder;
pub use descriptors::{OpenFiles, TooFewFiles};
pub use gantry_tls::{InvalidTls, ServerTls};
pub use hosts::{HostName, InvalidHostName};
pub use lifecycle::{Drain, State};
pub use process::{ListenError, listen};
pub use readiness::{CheckReport, Endpoints, Report, Status};
pub use registered::{RegistryReport, WatchReport};
pub use request::{Fingerprints, authorized};
pub use server::{ServeError, Server};
pub use settings::{
    AdminSettings, ConcurrencySettings, ConnectionSettings, ForwardedBy, IdempotencySettings,
    InfrastructureSettings, InvalidSetting, LimitSettings, RateSettings, ReflectionAccess,
    Settings, UploadSettings,
};
pub use signal::shutdown_signal;
pub use stack::{Handler, release_place};
