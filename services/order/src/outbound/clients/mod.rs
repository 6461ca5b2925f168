//! The services that orders need, over gRPC.
//!
//! A refusal that the contract names becomes the port's own error, by its reason and
//! never by its text; everything else is no answer.

mod inventory;
mod user;

use gantry_client::{Acting, ActingFor};
use gantry_contract::Caller;
use tonic::{Code, Request, Status};

pub use self::{inventory::InventoryClient, user::UserClient};
use crate::application::Unanswered;

/// A request made in the name of the one whose doing it is.
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

/// What a status amounts to that is no refusal of the contract's.
fn unanswered(status: &Status) -> Unanswered {
    let message = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted => Unanswered::Unavailable(message),
        Code::DeadlineExceeded | Code::Cancelled => Unanswered::TimedOut(message),
        _ => Unanswered::Broken(message),
    }
}

/// An answer that makes no sense.
fn broken(what: &str) -> Unanswered {
    Unanswered::Broken(what.to_owned())
}
