//! gRPC clients of the called services.
//!
//! A refusal with a reason of the contract becomes an error of the port. Every other failure is
//! [`Unanswered`]. Messages are never interpreted.

mod inventory;
mod user;

use gantry_client::{Acting, ActingFor};
use gantry_contract::Caller;
use tonic::{Code, Request, Status};

pub use self::{inventory::InventoryClient, user::UserClient};
use crate::application::Unanswered;

/// Makes a request on behalf of `caller`: as the calling user, or as this service with the user as the
/// cause.
fn request<T>(message: T, caller: &Caller) -> Request<T> {
    let acting = match caller {
        Caller::User(actor) | Caller::Delegate { actor, .. } => Acting::For(actor.clone()),
        Caller::Service { cause, .. } => Acting::Itself { cause: cause.clone() },
        Caller::Anonymous => Acting::Itself { cause: None },
    };
    let mut request = Request::new(message);
    request.extensions_mut().insert(ActingFor(acting));
    request
}

/// Converts a status without a reason of the contract.
fn unanswered(status: &Status) -> Unanswered {
    let message = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted => Unanswered::Unavailable(message),
        Code::DeadlineExceeded | Code::Cancelled => Unanswered::TimedOut(message),
        _ => Unanswered::Broken(message),
    }
}

/// Creates the error of a response that breaks the contract.
fn broken(problem: &str) -> Unanswered {
    Unanswered::Broken(problem.to_owned())
}
