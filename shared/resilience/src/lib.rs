//! Mechanisms that make calls between services resilient.
//!
//! The state machines are pure: they take `now` and random numbers as arguments, and know no
//! transport, registry or clock. Times are [`tokio::time::Instant`]s, so that tests can pause them.
//! Each module begins with an example.
//!
//! - [`deadline`]: absolute deadlines and their `grpc-timeout` header.
//! - [`balance`]: choice of the endpoint for the next call.
//! - [`bulkhead`]: bound on the calls that one dependency can hold.
//! - [`circuit_breaker`]: fast failure while a dependency is down.
//! - [`ejection`]: temporary removal of failing endpoints.
//! - [`limits`]: a server's limits on concurrency and on the rate of each caller.
//! - [`retry`]: retries and hedging of failed calls.
//!
//! The gRPC client and the server drive the state machines themselves. The tower layers are for plain
//! HTTP, and there for one caller: the payment service will reach the card processor's HTTP API through
//! [`deadline::HttpDeadlineLayer`], [`circuit_breaker::CircuitBreakerLayer`], [`retry::RetryLayer`]
//! (by idempotency key) and [`bulkhead::BulkheadLayer`], in this order from the outside.

pub mod balance;
pub mod bulkhead;
pub mod circuit_breaker;
pub mod deadline;
pub mod ejection;
pub mod limits;
pub mod retry;
