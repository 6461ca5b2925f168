//! Requests to Consul's HTTP API, and their errors.

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use tokio::time::timeout;

use super::{
    token::{TokenError, TokenFile},
    transport::Transport,
};

/// Maximum length of an answer in bytes: about 20,000 instances of one service.
const ANSWER_LIMIT: usize = 32 << 20;

/// Maximum length of a reported error response, in characters.
const REFUSAL_LIMIT: usize = 200;

/// Address of an agent.
#[derive(Debug)]
pub(super) struct Agent {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// `HOST:PORT`.
    pub(super) authority: String,
}

impl Agent {
    /// Returns true if the traffic to the agent is readable on the network: no TLS, not loopback.
    pub(super) fn is_open_to_others(&self) -> bool {
        self.scheme == "http" && !crate::is_loopback(&self.authority)
    }
}

/// Client of one agent.
pub(super) struct Client {
    transport: Transport,
    agent: Agent,
    token: Option<TokenFile>,
    timeout: Duration,
}

/// Response of any status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Error of a request. Never contains the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("consul at {agent} is unreachable: {why}")]
    Unreachable { agent: String, why: String },
    #[error("consul at {agent} did not answer within {after:?}")]
    Timeout { agent: String, after: Duration },
    /// Consul answered with an error status.
    #[error("consul answered {}: {said}", status.as_u16())]
    Refused { status: StatusCode, said: String },
    #[error("consul API: {0}")]
    Malformed(String),
    #[error("consul has no leader")]
    NoLeader,
    /// ACLs hide the instances. Consul then answers with an empty list instead of an error.
    #[error("consul's ACLs deny {what} {to}")]
    Denied { what: String, to: String },
    #[error("the token cannot be read: {0}")]
    Token(#[from] TokenError),
}

impl ClientError {
    /// Returns true if a retry is useless until an operator changes something.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { status, .. }
            if *status == StatusCode::BAD_REQUEST || *status == StatusCode::FORBIDDEN)
    }
}

impl Client {
    pub(super) fn new(
        agent: Agent,
        transport: Transport,
        token: Option<TokenFile>,
        timeout: Duration,
    ) -> Self {
        Self { transport, agent, token, timeout }
    }

    /// Sends a request and reads the whole answer. Allows `waiting` in addition to the timeout of a
    /// request.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        waiting: Duration,
    ) -> Result<Answer, ClientError> {
        let after = self.timeout + waiting;
        let answered = timeout(after, self.send_untimed(method, path, body)).await;
        answered.map_err(|_| ClientError::Timeout { agent: self.agent.authority.clone(), after })?
    }

    async fn send_untimed(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer, ClientError> {
        let uri = format!("{}://{}{path}", self.agent.scheme, self.agent.authority);
        let mut request = Request::builder().method(method).uri(uri);
        let token = match &self.token {
            Some(token) => Some(token.read().await?),
            None => None,
        };
        if let Some(token) = &token {
            request = request.header("x-consul-token", token);
        }
        let request = request
            .body(Full::from(body))
            .map_err(|error| ClientError::Malformed(error.to_string()))?;
        let unreachable = |error: &dyn Error| ClientError::Unreachable {
            agent: self.agent.authority.clone(),
            why: root_cause(error),
        };
        let answer = self.transport.request(request).await.map_err(|error| unreachable(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT).collect().await;
        let mut body = body.map_err(|error| unreachable(&*error))?.to_bytes();
        if head.status != StatusCode::OK
            && token.is_some_and(|token| contains(&body, token.as_bytes()))
        {
            // A proxy in front of the agent may echo the request.
            body = Bytes::from_static(b"(omitted: the answer contains the token)");
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Returns the error for a permission that the ACLs deny to this client.
    pub(super) fn denied(&self, what: String) -> ClientError {
        let to = match &self.token {
            Some(token) => format!("to the token in {token}"),
            None => "without a token: set token_file".to_owned(),
        };
        ClientError::Denied { what, to }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

impl Answer {
    /// Returns the answer if its status is 200, otherwise an error.
    pub(super) fn ok(self) -> Result<Self, ClientError> {
        if self.status == StatusCode::OK { Ok(self) } else { Err(self.refusal()) }
    }

    /// Returns the error of an answer with an error status.
    pub(super) fn refusal(&self) -> ClientError {
        let said: String = String::from_utf8_lossy(&self.body)
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(REFUSAL_LIMIT)
            .collect();
        ClientError::Refused { status: self.status, said }
    }
}

/// Returns the innermost error, which has the cause. The outer ones only name layers.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("agent", &self.agent.authority).finish_non_exhaustive()
    }
}
