//! Requests to the broker's management API.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{ADMIN, ADMIN_PASSWORD};

/// Management API of one broker, used as its administrator.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

/// Rights of a user in a virtual host: regular expressions over the names of queues and exchanges.
#[derive(Clone, Copy, Debug)]
pub struct Permissions<'a> {
    /// Names that it may create and delete.
    pub configure: &'a str,
    /// Names that it may write to.
    pub write: &'a str,
    /// Names that it may read from.
    pub read: &'a str,
}

impl Permissions<'_> {
    /// Everything.
    pub const ALL: Permissions<'static> = Permissions { configure: ".*", write: ".*", read: ".*" };
}

impl Api {
    pub(crate) fn at(port: u16) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, url: format!("http://127.0.0.1:{port}/api") }
    }

    /// Sends a request that must succeed. Returns the body.
    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, body) = self.request(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
        body
    }

    /// Sends a request. Returns the status and the body.
    pub async fn request(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let credentials = STANDARD.encode(format!("{ADMIN}:{ADMIN_PASSWORD}"));
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Basic {credentials}"))
            .header("content-type", "application/json")
            .body(Full::new(body))
            .unwrap();
        let answer = self.client.request(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Creates a user without any permissions.
    pub async fn add_user(&self, name: &str, password: &str) {
        let body = json!({ "password": password, "tags": "" });
        self.send("PUT", &format!("/users/{}", encoded(name)), Some(body)).await;
    }

    /// Sets the permissions of a user in a virtual host.
    pub async fn permit(&self, vhost: &str, user: &str, permissions: Permissions<'_>) {
        let Permissions { configure, write, read } = permissions;
        let body = json!({ "configure": configure, "write": write, "read": read });
        let path = format!("/permissions/{}/{}", encoded(vhost), encoded(user));
        self.send("PUT", &path, Some(body)).await;
    }

    /// Sets the routing keys that a user may publish to and bind from a topic exchange. Both are regular
    /// expressions.
    pub async fn permit_topics(
        &self,
        vhost: &str,
        user: &str,
        exchange: &str,
        write: &str,
        read: &str,
    ) {
        let body = json!({ "exchange": exchange, "write": write, "read": read });
        let path = format!("/topic-permissions/{}/{}", encoded(vhost), encoded(user));
        self.send("PUT", &path, Some(body)).await;
    }
}

/// Encodes a name for a path.
pub(crate) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
