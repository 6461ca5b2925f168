//! The client: one [`Channel`] per called service, for generated clients.
//!
//! It finds the service's endpoints in a registry, keeps them connected, balances
//! over them, and applies the policies of the contract. HTTP/2 directly, without a
//! buffer or a task of its own between the caller and the connection.
//!
//! A call passes, from the outside: its span and [`Metrics`], its deadline, the circuit
//! breaker of the service, the retries, the balancer, which leaves out ejected endpoints,
//! and a connection.
//!
//! Rules:
//! - no call without a deadline: the earliest of the contract's timeout, what the
//!   caller asks for, and what is left of the call that is being served. Streams have
//!   a maximum age instead, and the contract's timeout limits their silences, in either
//!   direction. A timeout is always `DEADLINE_EXCEEDED`, never `CANCELLED`;
//! - a call that was certainly not executed is made again, whatever the method, so that
//!   a draining server loses none;
//! - a call that failed with `UNAVAILABLE`, was lost, or was shed with a pushback is made
//!   again, elsewhere if possible, where the contract says that it may be executed twice:
//!   as often as its policy, the budget, the deadline and the peer's pushback allow, until
//!   response headers arrive. What may have been executed and was lost is `UNAVAILABLE`
//!   with the reason `OUTCOME_UNKNOWN`;
//! - where the contract hedges a method, further attempts are made elsewhere while none has
//!   answered, paid from the same budget and ended by the same pushback. The first good
//!   answer counts, a failure that could be retried does not; the other attempts are
//!   cancelled, which the health of their endpoints does not learn of;
//! - the breaker counts logical calls, by their final status. It rejects with
//!   `UNAVAILABLE`, the reason `CIRCUIT_OPEN` and when to come back; a probe is a single
//!   attempt and connects without waiting out a pause. What one endpoint does to calls that
//!   must not be repeated counts no more once that is known: its failures from its ejection
//!   on (new calls go elsewhere, and where there is nowhere else they count), and all calls
//!   but the first that it takes with it when its connections break while others are well;
//! - a peer that passes on that a breaker on its side is open is not asked again, and neither
//!   ejected nor held against the service: it is not what fails. Other endpoints are
//!   preferred for as long as it says;
//! - an endpoint that fails more than the others is ejected for a while, by what becomes of
//!   each attempt, streams included, and so is one that alone refuses calls (UNIMPLEMENTED,
//!   UNAUTHENTICATED and the like). Where no other is connected it is better than none;
//! - an answer that is no success never makes an endpoint look fast;
//! - a method that an endpoint does not know (METHOD_UNKNOWN) was not executed: the call is made
//!   again elsewhere, whatever the method, on four further endpoints at most;
//! - an endpoint that the registry lists no more is a last resort while it stays connected:
//!   it gets calls only while no listed one is connected. Nothing is dialled for it;
//! - of the endpoints that the registry lists, those of a version or with some tags may be
//!   the only ones that are connected and called ([`BalanceSettings`]);
//! - a contract without a gRPC service of the called service is refused when the channel is built,
//!   and the first call of a method that it does not know is warned of;
//! - requests of one message are kept to be sent again, streams of them are passed through.
//!   A method that the contract does not know is passed through as a stream;
//! - where a signer is given, calls carry a token of the service, in the name of the
//!   user whose call is being served ([`ActingFor`] says otherwise);
//! - an error says which service and endpoint, what became of each attempt, the state of the
//!   breaker and what time was left. A status of the service's own keeps its words; where it
//!   came from stands in the metadata `gantry-endpoint`, `gantry-attempts` and
//!   `gantry-failed-attempts`;
//! - with `client.tls` endpoints are spoken to through TLS alone: each has to prove that it
//!   bears the service's name, and is shown our own certificate where it asks. The files are
//!   followed, and new connections use what they hold;
//! - nothing a peer answers makes a caller panic.
//!
//! A [`Channel`] is the one holder of a service's state in a process: its breaker, its retry
//! budget, its ejections and its connections. So a process builds one for each service that it
//! calls and clones it: two of them would open their breakers apart, and retry twice as much.
//!
//! [`ClientSettings`] changes all of these numbers, and the policies of the contract by
//! service and by method:
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
