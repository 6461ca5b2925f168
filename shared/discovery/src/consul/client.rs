//! Requests to Consul's HTTP API: one way to send them, one kind of failure.

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use tokio::time::timeout;

use super::{
    token::{TokenError, TokenFile},
    transport::Transport,
};

/// What is read of an answer: some 20,000 instances of one service.
const ANSWER_LIMIT: usize = 32 << 20;

/// What is repeated of a refusal.
const REFUSAL_LIMIT: usize = 200;

/// Where an agent is.
#[derive(Debug)]
pub(super) struct Agent {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// `HOST:PORT`.
    pub(super) authority: String,
}

impl Agent {
    /// Whether what is sent to it can be read on the way.
    pub(super) fn is_open_to_others(&self) -> bool {
        self.scheme == "http" && !crate::is_loopback(&self.authority)
    }
}

/// A way to one agent.
pub(super) struct Client {
    transport: Transport,
    agent: Agent,
    token: Option<TokenFile>,
    timeout: Duration,
}

/// An answer of whatever status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why a request gave nothing. Never holds the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("consul at {agent} is out of reach: {why}")]
    Unreachable { agent: String, why: String },
    #[error("consul at {agent} gave no answer within {after:?}")]
    Timeout { agent: String, after: Duration },
    /// Consul answered with an error.
    #[error("consul says {}: {said}", status.as_u16())]
    Refused { status: StatusCode, said: String },
    #[error("consul was not understood: {0}")]
    Malformed(String),
    #[error("consul has no leader")]
    NoLeader,
    /// ACLs hide the instances, which looks like there being none.
    #[error("consul's ACLs deny {what} {to}")]
    Denied { what: String, to: String },
    #[error("the token cannot be read: {0}")]
    Token(#[from] TokenError),
}

impl ClientError {
    /// Whether asking again can help only after somebody changed something.
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

    /// Sends a request whose answer may take `waiting` longer than usual, and reads
    /// all of the answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        waiting: Duration,
    ) -> Result<Answer, ClientError> {
        let after = self.timeout + waiting;
        let answered = timeout(after, self.send_patiently(method, path, body)).await;
        answered.map_err(|_| ClientError::Timeout { agent: self.agent.authority.clone(), after })?
    }

    async fn send_patiently(
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
            // Whatever stands before the agent may repeat what it was sent.
            body = Bytes::from_static(b"(an answer that repeats the token)");
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// What the ACLs do not allow to whoever this is.
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
    /// The answer where it is 200.
    pub(super) fn ok(self) -> Result<Self, ClientError> {
        if self.status == StatusCode::OK { Ok(self) } else { Err(self.refusal()) }
    }

    /// What Consul says is wrong.
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

/// The innermost error says what happened; those around it, which layer noticed.
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
