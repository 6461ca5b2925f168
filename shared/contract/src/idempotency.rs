//! What makes a repeated mutation recognisable.

use uuid::Uuid;

/// The identity of one mutation and the mark of what it asked for.
///
/// Records are kept per subject, method and request id. The same key with the
/// same fingerprint is the same mutation once more; with another fingerprint it
/// is a mistake of the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Who answers for the call: see [`Caller::subject`](crate::Caller::subject).
    pub subject: String,
    /// The method's path: `/shop.user.v1.UserService/CreateUser`.
    pub method: &'static str,
    /// The caller's `request_id`.
    pub request_id: Uuid,
    /// An HMAC of the request: equal where the request is equal, and no help in
    /// guessing what it held.
    pub fingerprint: [u8; 32],
}
