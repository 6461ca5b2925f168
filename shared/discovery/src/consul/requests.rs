//! What Consul is asked, as typed calls.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    client::{Answer, Client, ClientError},
    wire::{Entry, Registering, ServiceId, milliseconds},
};

/// What a watch asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Answer once there is something newer than this; 0 is at once.
    pub(super) index: u64,
    /// Answer after this even where there is not.
    pub(super) wait: Duration,
}

/// The passing instances of a service.
#[derive(Debug)]
pub(super) struct Passing {
    /// 0 where Consul gave none.
    pub(super) index: u64,
    pub(super) entries: Vec<Entry>,
    /// Whether the server that answered follows a leader, so that it can know.
    pub(super) led: bool,
    /// How long ago it last heard from its leader, so how old this may be.
    pub(super) age: Duration,
}

impl Client {
    pub(super) async fn register(&self, registering: &Registering) -> Result<(), ClientError> {
        let body = serde_json::to_vec(registering)
            .map_err(|error| ClientError::Malformed(error.to_string()))?;
        self.now(Method::PUT, "/v1/agent/service/register", body).await?.ok()?;
        Ok(())
    }

    /// Deregisters; an id that is not known is fine.
    pub(super) async fn deregister(&self, id: &str) -> Result<(), ClientError> {
        let path = format!("/v1/agent/service/deregister/{}", encoded(id));
        let answer = self.now(Method::PUT, &path, Vec::new()).await?;
        if answer.status != StatusCode::NOT_FOUND {
            answer.ok()?;
        }
        Ok(())
    }

    /// Whether the agent knows the id, in whatever health.
    pub(super) async fn knows(&self, id: &ServiceId) -> Result<bool, ClientError> {
        let path = format!("/v1/agent/health/service/id/{}", encoded(&id.to_string()));
        let answer = self.now(Method::GET, &path, Vec::new()).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            // The status of the answer is that of the checks: passing, warning, critical.
            StatusCode::OK | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                // Whatever stands before the agent may answer 503 as well, not in JSON.
                json::<IgnoredAny>(&answer).map_err(|_| answer.refusal())?;
                Ok(true)
            }
            _ => Err(answer.refusal()),
        }
    }

    /// Passes the instance's TTL check; gives whether the agent knows the check.
    pub(super) async fn beat(&self, id: &ServiceId) -> Result<bool, ClientError> {
        let path = format!("/v1/agent/check/pass/{}", encoded(&id.heartbeat()));
        let answer = self.now(Method::PUT, &path, Vec::new()).await?;
        // Older agents answer with 500 what newer ones answer with 404.
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

    /// The ids of all registrations of a service at the agent.
    pub(super) async fn registered(&self, service: &str) -> Result<Vec<String>, ClientError> {
        let filter = encoded(&format!("Service == \"{service}\"")).to_string();
        let path = format!("/v1/agent/services?filter={filter}");
        let answer = self.now(Method::GET, &path, Vec::new()).await?.ok()?;
        Ok(json::<BTreeMap<String, IgnoredAny>>(&answer)?.into_keys().collect())
    }

    /// The passing instances, as soon as the question allows. Any server may answer,
    /// even one that lags behind: finding is worth more than the last write.
    pub(super) async fn passing(
        &self,
        service: &str,
        datacenter: Option<&str>,
        question: Question,
    ) -> Result<Passing, ClientError> {
        let mut path = format!("/v1/health/service/{}?passing&stale", encoded(service));
        if let Some(datacenter) = datacenter {
            path.push_str(&format!("&dc={}", encoded(datacenter)));
        }
        let mut waiting = Duration::ZERO;
        if question.index > 0 {
            let (index, wait) = (question.index, milliseconds(question.wait));
            path.push_str(&format!("&index={index}&wait={wait}"));
            // Consul adds up to a sixteenth, so that its clients do not wake together.
            waiting = question.wait + question.wait / 16;
        }
        // An error has an index too, which is not the service's: it is not read.
        let answer = self.send(Method::GET, &path, Vec::new(), waiting).await?.ok()?;
        let number = |name| header(&answer.headers, name).and_then(|text| text.parse().ok());
        Ok(Passing {
            index: number("x-consul-index").unwrap_or(0),
            led: header(&answer.headers, "x-consul-knownleader") != Some("false"),
            age: Duration::from_millis(number("x-consul-lastcontact").unwrap_or(0)),
            entries: json(&answer)?,
        })
    }

    /// Fails where an empty list of a service's instances proves nothing: to a reader
    /// who may not see the service, or no node, Consul answers with one, not with an
    /// error.
    pub(super) async fn may_read(&self, service: &str) -> Result<(), ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Decision {
            allow: bool,
        }
        let question = serde_json::json!([
            {"Resource": "service", "Access": "read", "Segment": service},
            {"Resource": "node", "Access": "read", "Segment": ""},
        ]);
        let body = question.to_string().into_bytes();
        let answer = self.now(Method::POST, "/v1/internal/acl/authorize", body).await?;
        if answer.status.is_server_error() {
            return Err(answer.refusal());
        }
        if answer.status != StatusCode::OK {
            // ACLs are off, or this Consul does not tell: the list is all there is.
            return Ok(());
        }
        let decisions = json::<Vec<Decision>>(&answer)?;
        let allows = |number: usize| decisions.get(number).is_some_and(|one| one.allow);
        if !allows(0) {
            return Err(self.denied(format!("service:read on {service}")));
        }
        // Who may read some nodes only may not read the one without a name.
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

/// What is wrong is told by its place only: an answer may hold anything.
fn json<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, ClientError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let what = if error.is_data() { "not the JSON expected" } else { "no JSON" };
        let (line, column) = (error.line(), error.column());
        ClientError::Malformed(format!("its answer is {what}: line {line}, column {column}"))
    })
}
