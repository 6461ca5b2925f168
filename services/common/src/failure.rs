//! Failures of use cases.

use std::error::Error;

use gantry_contract::Failure;

/// Logs the error with the id of the request, and returns a failure that does not show it.
pub fn internal(error: &(dyn Error + 'static)) -> Failure {
    tracing::error!(error, "internal error");
    Failure::internal()
}
