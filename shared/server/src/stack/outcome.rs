//! Outcome of a call, and the log fields of a failed one.

use std::{borrow::Cow, error::Error};

use gantry_contract::{Failure, code_name};
use gantry_identity::Claimed;
use http::StatusCode;
use tonic::{Code, Status};

use super::bearer::bearer;
use crate::{call::Call, status::is_server_error};

/// Outcome of a call.
pub(super) enum Outcome {
    Grpc(Code),
    /// Not a gRPC call; the HTTP status of its response.
    Http(StatusCode),
}

impl Outcome {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Grpc(code) => code_name(*code),
            Self::Http(status) => status.as_str(),
        }
    }

    pub(super) fn grpc(&self) -> Option<Code> {
        match self {
            Self::Grpc(code) => Some(*code),
            Self::Http(_) => None,
        }
    }

    pub(super) fn is_failure(&self) -> bool {
        !matches!(self, Self::Grpc(Code::Ok))
    }

    pub(super) fn is_server_error(&self) -> bool {
        match self {
            Self::Grpc(code) => is_server_error(*code),
            Self::Http(status) => status.is_server_error(),
        }
    }

    /// Returns true if callers can cause the outcome at will, so that its log lines are limited.
    /// Server errors are always logged.
    pub(super) fn is_limited(&self) -> bool {
        match self {
            Self::Grpc(code) => {
                !matches!(code, Code::Ok | Code::Internal | Code::Unknown | Code::DataLoss)
            }
            Self::Http(status) => !status.is_server_error(),
        }
    }
}

/// Log fields of a failed call; empty for others.
#[derive(Default)]
pub(super) struct Failed {
    /// `ErrorInfo.reason`.
    pub(super) reason: Option<String>,
    /// Message that the caller gets, with its causes, which the caller does not get.
    pub(super) cause: Option<String>,
    /// Unverified claims of the token.
    pub(super) token: Claimed,
}

impl Failed {
    pub(super) fn new(call: &Call, status: Option<&Status>) -> Self {
        let token = call.credentials.get().and_then(|credentials| credentials.to_str().ok());
        Self {
            reason: status.and_then(Failure::reason_of).map(Cow::into_owned),
            cause: status.map(cause),
            token: token.and_then(bearer).map(Claimed::of).unwrap_or_default(),
        }
    }

    /// Returns the kind (`log.kind`) by which log lines are limited.
    pub(super) fn kind(&self, code: &str) -> String {
        match &self.reason {
            Some(reason) => format!("{code} {reason}"),
            None => code.to_owned(),
        }
    }
}

fn cause(status: &Status) -> String {
    let mut cause = status.message().to_owned();
    let mut source = status.source();
    while let Some(error) = source {
        let text = error.to_string();
        // The text of a failure is already in the message.
        if !error.is::<Failure>() && !cause.contains(&text) {
            cause.push_str(": ");
            cause.push_str(&text);
        }
        source = error.source();
    }
    cause
}
