//! Keys that identify a repeated mutation.

use uuid::Uuid;

/// Identity of a mutation, and a fingerprint of its request.
///
/// Records are stored per subject, method and request id. The same key with the same fingerprint
/// is a repetition. The same key with another fingerprint is an error of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Subject of the caller: see [`Caller::subject`](crate::Caller::subject).
    pub subject: String,
    /// Path of the method: `/shop.user.v1.UserService/CreateUser`.
    pub method: &'static str,
    /// The caller's `request_id`.
    pub request_id: Uuid,
    /// HMAC of the request. Equal for equal requests; does not reveal their content.
    pub fingerprint: [u8; 32],
}
