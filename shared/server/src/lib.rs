//! gRPC server with the cross-cutting concerns of every service built in.
//!
//! A [`Server`] takes the services that tonic generated and wraps them in the same layers: request
//! ids and traces, one log line per call, panic handling, deadlines, and authentication,
//! authorization and validation from the contract. It also provides health, reflection,
//! registration and the drain. The requirements of a method are read from its
//! [`Contract`](gantry_contract::Contract); a service repeats none of them.
//!
//! If its [`Settings`] have `tls`, the server speaks TLS, reloads its certificates when their files
//! change, and can request client certificates (mTLS).
//!
//! The server accepts connections itself instead of using tonic's server, which cannot bound a
//! drain and answers CANCELLED when a deadline expires.
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
//! `examples/greeter` is a complete service.
//!
//! # Errors that a caller can see
//!
//! | refused because | code | reason |
//! |---|---|---|
//! | unknown method | UNIMPLEMENTED | METHOD_UNKNOWN |
//! | unsupported message encoding | UNIMPLEMENTED | ENCODING_UNKNOWN |
//! | malformed `grpc-timeout` | INVALID_ARGUMENT | MALFORMED_METADATA |
//! | deadline expired | DEADLINE_EXCEEDED | DEADLINE_EXCEEDED |
//! | token missing | UNAUTHENTICATED | TOKEN_MISSING |
//! | token invalid or expired | UNAUTHENTICATED | TOKEN_INVALID, TOKEN_EXPIRED |
//! | permission missing | PERMISSION_DENIED | PERMISSION_MISSING |
//! | rate limit of the address exceeded: calls without valid credentials, or of public methods | RESOURCE_EXHAUSTED | RATE_LIMITED |
//! | rate limit of the caller exceeded | RESOURCE_EXHAUSTED | RATE_LIMITED |
//! | too many incomplete requests of the caller, of its address or in total | RESOURCE_EXHAUSTED | TOO_MANY_UPLOADS |
//! | message not complete in time | DEADLINE_EXCEEDED | UPLOAD_TOO_SLOW |
//! | concurrency limit exceeded, of the server or of the caller's share | RESOURCE_EXHAUSTED | OVERLOADED |
//! | too many headers, or too many bytes of headers | RESOURCE_EXHAUSTED | METADATA_TOO_LARGE |
//! | message too long | RESOURCE_EXHAUSTED | MESSAGE_TOO_LARGE |
//! | message truncated, malformed, missing, or followed by a second one in a unary request | INVALID_ARGUMENT | MALFORMED_MESSAGE |
//! | message violates a validation rule | INVALID_ARGUMENT | VALIDATION_FAILED |
//! | server drains, or connection reached its maximum age | UNAVAILABLE | DRAINING |
//! | handler panicked | INTERNAL | INTERNAL |
//!
//! RATE_LIMITED, TOO_MANY_UPLOADS and OVERLOADED have a retry delay in `grpc-retry-pushback-ms` and
//! in a `RetryInfo`. Their metadata name the `limit`: `address`, `credentials`, `caller`,
//! `uploads`, `upload_bytes` or a rate class. OVERLOADED names no limit if the limit is the
//! server's own.
//!
//! Health and reflection have no rate limit. Their open calls are limited (OVERLOADED; the limit is
//! `connection`, `address` or `infrastructure`). Their messages are limited to 4 KiB and must be
//! complete in time.
//!
//! Every response has the request id in `x-request-id`. A request that is not gRPC gets an HTTP
//! status: 405 or 415.

mod admin;
mod build_error;
mod builder;
mod call;
mod client;
mod connection;
mod descriptors;
mod health;
mod health_check;
mod hosts;
mod lifecycle;
mod log_filter;
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
pub use health_check::{Unhealthy, check_health};
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
