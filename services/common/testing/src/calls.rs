//! Parts of requests and of refusals.

use std::{fmt, future::Future};

use gantry_proto::google::r#type::Money;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

/// Returns a request with a token.
pub fn bearer<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// Returns an id that was never used, as callers make them for their requests.
#[expect(clippy::disallowed_methods, reason = "callers make their own ids")]
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// Returns an amount in euros.
pub fn euros(units: i64, nanos: i32) -> Money {
    Money { currency_code: "EUR".to_owned(), units, nanos }
}

/// Returns the status of a refusal, and its reason.
#[track_caller]
pub fn refusal<T: fmt::Debug>(answer: Result<T, Status>) -> (Status, String) {
    let status = answer.expect_err("a refusal");
    let reason = status.get_details_error_info().expect("a reason").reason;
    (status, reason)
}

/// Asserts that a call is refused with this code and this reason, and returns its status.
pub async fn refused<T: fmt::Debug>(
    call: impl Future<Output = Result<T, Status>>,
    code: Code,
    reason: &str,
) -> Status {
    let (status, found) = refusal(call.await);
    assert_eq!((status.code(), found.as_str()), (code, reason), "{status:?}");
    status
}

/// Returns the fields that a refusal names, sorted.
pub fn wrong_fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request().expect("BadRequest");
    let mut fields: Vec<_> = details.field_violations.into_iter().map(|v| v.field).collect();
    fields.sort();
    fields
}
