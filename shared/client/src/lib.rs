//! Resilient gRPC client: one [`Channel`] per called service, for generated clients.
//!
//! A channel finds the endpoints of its service in a registry, keeps them connected, balances over
//! them, and applies the policies of the contract. It speaks HTTP/2 directly, without a buffer or
//! task between the caller and the connection.
//!
//! # The path of a call
//! Span and [`Metrics`], deadline, circuit breaker of the service, retries or hedging, balancer
//! (which leaves out ejected endpoints), connection.
//!
//! # Rules
//! - **Deadlines.** Every call has a deadline: the earliest of the contract's timeout, the caller's
//!   timeout and the remaining time of the inbound call. Streams have a maximum age instead, and
//!   the contract's timeout bounds their idle time in either direction. Expiry is always
//!   `DEADLINE_EXCEEDED`, never `CANCELLED`.
//! - **Unexecuted calls.** A call that was certainly not executed is repeated for every method, so
//!   a draining server loses no call.
//! - **Retries.** A call that failed with `UNAVAILABLE`, was lost, or was shed with a pushback is
//!   repeated if the contract allows a second execution: on another endpoint if possible, within
//!   policy, budget, deadline and pushback, and never after response headers. Otherwise a lost call
//!   that may have been executed ends with `UNAVAILABLE` and the reason `OUTCOME_UNKNOWN`.
//! - **Hedging.** If the contract hedges a method, further attempts go to other endpoints while
//!   none has a response. They share the retry budget, and a pushback ends them. The first
//!   successful response wins; a retryable failure does not. The other attempts are cancelled,
//!   which does not count for the health of their endpoints.
//! - **Circuit breaker.** It counts logical calls by final status. While open, calls fail at once
//!   with `UNAVAILABLE`, the reason `CIRCUIT_OPEN` and a retry delay. A probe is a single attempt
//!   and does not wait for a reconnect pause. Failures of one endpoint in non-repeatable calls stop
//!   counting once they are known as such: after its ejection, if the calls go elsewhere, and all
//!   but the first call that is lost with its connections while other endpoints are healthy.
//! - **Rejections passed on.** If a breaker on the peer's side is open, the call is not retried,
//!   and the rejection counts neither against the peer nor against the service. Other endpoints are
//!   preferred for the announced time.
//! - **Ejection.** An endpoint that fails more than the others is ejected for a while, and so is
//!   one that alone refuses calls (UNIMPLEMENTED, UNAUTHENTICATED and the like). Every attempt
//!   counts, streams included. If no other endpoint is connected, an ejected one is used.
//! - **Balancing.** A response that is not a success never makes an endpoint look fast.
//! - **Unknown methods.** A method that an endpoint does not know (METHOD_UNKNOWN) was not
//!   executed: the call is repeated for every method, on four further endpoints at most.
//! - **Last resort.** A delisted endpoint that is still connected gets calls only while no listed
//!   one is connected. It is not dialled again.
//! - **Subsets.** The channel can be limited to the endpoints of a version or with some tags
//!   ([`BalanceSettings`]).
//! - **Contracts.** A contract without a gRPC service of the called service fails the build. The
//!   first call of a method outside the contract logs a warning.
//! - **Requests.** A single-message request is kept for further attempts; a stream is passed
//!   through. So is a method outside the contract.
//! - **Identity.** With a signer, calls carry a token of the service, in the name of the user of
//!   the inbound call, unless [`ActingFor`] names another.
//! - **Errors** name the service, the endpoint, the result of each attempt, the state of the
//!   breaker and the remaining time. A status of the service keeps its message; the metadata
//!   `gantry-endpoint`, `gantry-attempts` and `gantry-failed-attempts` name its origin.
//! - **TLS.** With `client.tls` all connections use TLS: each endpoint must prove the service's
//!   name, and gets our own certificate if it requests one. Changed files apply to new connections.
//! - **Robustness.** No response of a peer makes a caller panic.
//!
//! Build one [`Channel`] per called service and clone it. The clones share the breaker, the retry
//! budget, the ejections and the connections; two channels to one service would open their breakers
//! separately, and retry twice as much.
//!
//! [`ClientSettings`] changes the numbers, and the contract's policies by service and by method:
//!
//! ```toml
//! [client.breaker]
//! open = "5s"
//!
//! [client.methods."shop.user.v1.UserService/GetUser"]
//! timeout = "500ms"
//! max_attempts = 4
//! ```
//!
//! ```no_run
//! # use gantry_contract::Contract;
//! # use gantry_discovery::Registry;
//! # fn wire(contract: &'static Contract) -> Result<(), Box<dyn std::error::Error>> {
//! let channel = gantry_client::Channel::builder("user")
//!     .contract(contract)
//!     .registry(Registry::memory())
//!     .build()?;
//! // let users = UserServiceClient::new(channel);
//! # Ok(())
//! # }
//! ```

mod attempt;
mod body;
mod builder;
mod call;
mod call_state;
mod call_timer;
mod channel;
mod covers;
mod error;
mod exchange;
mod health;
mod hedging;
mod measure;
mod messages;
mod metrics;
mod observer;
mod payload;
mod policy;
mod pool;
mod prepare;
mod response_head;
mod retrying;
mod settings;
mod snapshot;
mod upload;
mod verdict;

pub use body::ResponseBody;
pub use builder::{BuildError, BuildProblem, Builder};
pub use channel::{Channel, ResponseFuture};
pub use error::Error;
pub use gantry_identity::Acting;
pub use gantry_resilience::{circuit_breaker, deadline::Deadline, ejection};
pub use gantry_tls::{ClientTls, InvalidTls};
pub use metrics::{AttemptEnded, CallEnded, Metrics};
pub use prepare::ActingFor;
pub use settings::{
    BalancePolicy, BalanceSettings, BreakerSettings, ClientSettings, EjectionSettings,
    FailurePercentageSettings, HedgingSettings, InvalidSetting, MethodSettings, Otherwise,
    RetrySettings, SubsetSettings, SuccessRateSettings,
};
pub use snapshot::{EndpointSnapshot, Snapshot};
