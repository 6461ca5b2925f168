//! Typed requests to Consul.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    client::{Answer, Client, ClientError},
    wire::{Entry, Registering, ServiceId, milliseconds},
};

/// Parameters of a blocking query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// Consul answers once its state is newer than this index. 0: it answers at once.
    pub(super) index: u64,
    /// Maximum time to block. Consul then answers without a change.
    pub(super) wait: Duration,
}

/// Passing instances of a service.
#[derive(Debug)]
pub(super) struct Passing {
    /// Index of the answer; 0 if it has none.
    pub(super) index: u64,
    pub(super) entries: Vec<Entry>,
    /// True if the answering server knows a leader, so that its data can be current.
    pub(super) led: bool,
    /// Time since the last contact of the answering server with its leader: the maximum age of the
    /// data.
    pub(super) age: Duration,
}

impl Client {
    pub(super) async fn register(&self, registering: &Registering) -> Result<(), ClientError> {
        let body = serde_json::to_vec(registering)
            .map_err(|error| ClientError::Malformed(error.to_string()))?;
        self.now(Method::PUT, "/v1/agent/service/register", body).await?.ok()?;
        Ok(())
    }

    /// Deregisters an instance. An unknown id is not an error.
    pub(super) async fn deregister(&self, id: &str) -> Result<(), ClientError> {
        let path = format!("/v1/agent/service/deregister/{}", encoded(id));
        let answer = self.now(Method::PUT, &path, Vec::new()).await?;
        if answer.status != StatusCode::NOT_FOUND {
            answer.ok()?;
        }
        Ok(())
    }

    /// Returns true if the agent knows the id, in any health.
    pub(super) async fn knows(&self, id: &ServiceId) -> Result<bool, ClientError> {
        let path = format!("/v1/agent/health/service/id/{}", encoded(&id.to_string()));
        let answer = self.now(Method::GET, &path, Vec::new()).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            // The status code states the health: passing, warning or critical.
            StatusCode::OK | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                // A proxy in front of the agent may also answer 503, but not in JSON.
                json::<IgnoredAny>(&answer).map_err(|_| answer.refusal())?;
                Ok(true)
            }
            _ => Err(answer.refusal()),
        }
    }

    /// Passes the instance's TTL check. Returns false if the agent does not know the check.
    pub(super) async fn beat(&self, id: &ServiceId) -> Result<bool, ClientError> {
        let path = format!("/v1/agent/check/pass/{}", encoded(&id.heartbeat()));
        let answer = self.now(Method::PUT, &path, Vec::new()).await?;
        // Older agents answer 500 instead of 404.
        let unknown = || {
            let said = String::from_utf8_lossy(&answer.body);
            said.contains("does not have associated TTL") || said.contains("Unknown check")
        };
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            StatusCode::INTERNAL_SERVER_ERROR if unknown() => Ok(false),
            _ => Err(answer.refusal()),
        }
    }

    /// Returns the ids of all registrations of a service at the agent.
    pub(super) async fn registered(&self, service: &str) -> Result<Vec<String>, ClientError> {
        let filter = encoded(&format!("Service == \"{service}\"")).to_string();
        let path = format!("/v1/agent/services?filter={filter}");
        let answer = self.now(Method::GET, &path, Vec::new()).await?.ok()?;
        Ok(json::<BTreeMap<String, IgnoredAny>>(&answer)?.into_keys().collect())
    }

    /// Performs a blocking query for the passing instances. Any server may answer, even one that
    /// lags behind its leader: availability matters more than the latest change.
    pub(super) async fn passing(
        &self,
        service: &str,
        datacenter: Option<&str>,
        query: Query,
    ) -> Result<Passing, ClientError> {
        let mut path = format!("/v1/health/service/{}?passing&stale", encoded(service));
        if let Some(datacenter) = datacenter {
            path.push_str(&format!("&dc={}", encoded(datacenter)));
        }
        let mut waiting = Duration::ZERO;
        if query.index > 0 {
            let (index, wait) = (query.index, milliseconds(query.wait));
            path.push_str(&format!("&index={index}&wait={wait}"));
            // Consul adds a jitter of up to a sixteenth.
            waiting = query.wait + query.wait / 16;
        }
        // The index of an error is not that of the service and is ignored.
        let answer = self.send(Method::GET, &path, Vec::new(), waiting).await?.ok()?;
        let number = |name| header(&answer.headers, name).and_then(|text| text.parse().ok());
        Ok(Passing {
            index: number("x-consul-index").unwrap_or(0),
            led: header(&answer.headers, "x-consul-knownleader") != Some("false"),
            age: Duration::from_millis(number("x-consul-lastcontact").unwrap_or(0)),
            entries: json(&answer)?,
        })
    }

    /// Checks that the token may read the service, so that an empty list means an empty service. If
    /// a client may not read the service or any node, Consul answers with an empty list instead of
    /// an error.
    pub(super) async fn may_read(&self, service: &str) -> Result<(), ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Decision {
            allow: bool,
        }
        let query = serde_json::json!([
            {"Resource": "service", "Access": "read", "Segment": service},
            {"Resource": "node", "Access": "read", "Segment": ""},
        ]);
        let body = query.to_string().into_bytes();
        let answer = self.now(Method::POST, "/v1/internal/acl/authorize", body).await?;
        if answer.status.is_server_error() {
            return Err(answer.refusal());
        }
        if answer.status != StatusCode::OK {
            // ACLs are off, or this version of Consul has no such API. Trust the list.
            return Ok(());
        }
        let decisions = json::<Vec<Decision>>(&answer)?;
        let allows = |number: usize| decisions.get(number).is_some_and(|one| one.allow);
        if !allows(0) {
            return Err(self.denied(format!("service:read on {service}")));
        }
        // Without the right to read every node, a client may still read some. It then sees at least
        // one.
        if !allows(1) && self.sees_no_node().await? {
            return Err(self.denied("node:read on every node".to_owned()));
        }
        Ok(())
    }

    async fn sees_no_node(&self) -> Result<bool, ClientError> {
        let answer = self.now(Method::GET, "/v1/catalog/nodes?stale", Vec::new()).await?.ok()?;
        Ok(json::<Vec<IgnoredAny>>(&answer)?.is_empty())
    }

    async fn now(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, ClientError> {
        self.send(method, path, body, Duration::ZERO).await
    }
}

fn encoded(text: &str) -> percent_encoding::PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Parses JSON. An error states only the position, because the answer may contain secrets.
fn json<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, ClientError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let what = if error.is_data() { "not the expected JSON" } else { "not JSON" };
        let (line, column) = (error.line(), error.column());
        ClientError::Malformed(format!("the answer is {what}: line {line}, column {column}"))
    })
}
