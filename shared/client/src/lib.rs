//! What a caller uses: one [`Channel`] per service, which generated clients call
//! through.
//!
//! It finds the service's endpoints in a registry, keeps them connected, balances
//! over them, and applies the policies of the contract. HTTP/2 directly, without a
//! buffer or a task of its own between the caller and the connection.
//!
//! Rules:
//! - no call without a deadline: the earliest of the contract's timeout, what the
//!   caller asks for, and what is left of the call that is being served. Streams have
//!   a maximum age instead, and the contract's timeout limits their silences, in either direction. A
//!   timeout is always `DEADLINE_EXCEEDED`, never `CANCELLED`;
//! - a call that was certainly not executed is made again, whatever the method, so that
//!   a draining server loses none; what may have been executed and failed is
//!   `UNAVAILABLE` with the reason `OUTCOME_UNKNOWN`;
//! - unary requests are kept to be sent again, streams are passed through. A method
//!   that the contract does not know is passed through as a stream;
//! - where a signer is given, calls carry a token of the service, in the name of the
//!   user whose call is being served ([`ActingFor`] says otherwise);
//! - an error says which service and endpoint, how many attempts and what time was left;
//! - nothing a peer answers makes a caller panic.
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
mod call;
mod channel;
mod error;
mod head;
mod health;
mod metrics;
mod patience;
mod payload;
mod policy;
mod pool;
mod prepare;
mod record;
mod request_body;
mod settings;
mod snapshot;
mod trace;

pub use body::ResponseBody;
pub use channel::{BuildError, Builder, Channel, ResponseFuture};
pub use error::Error;
pub use gantry_identity::Acting;
pub use gantry_resilience::{circuit_breaker, deadline::Deadline, ejection};
pub use metrics::{AttemptEnded, CallEnded, Metrics};
pub use prepare::ActingFor;
pub use settings::{
    BreakerSettings, ClientSettings, EjectionSettings, FailurePercentageSettings, InvalidSetting,
    MethodSettings, RetrySettings, SuccessRateSettings,
};
pub use snapshot::{EndpointSnapshot, Snapshot};
