//! Direct requests to Consul's HTTP API.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::MASTER;

/// API of one agent, used with the [`MASTER`] token.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Api {
    /// Creates a client of the agent at this URL.
    pub fn at(url: String) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), url }
    }

    /// Returns the status and the body of an answer. None if the agent does not answer.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Option<(u16, Value)> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("x-consul-token", MASTER)
            .body(Full::new(body))
            .unwrap();
        let answer = self.client.request(request).await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Sends a request that must succeed. Returns the body.
    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, body) = self.request(method, path, body).await.unwrap();
        assert_eq!(status, 200, "{method} {path}: {body}");
        body
    }
}
