//! Calls with raw bytes, without a generated client.

use gantry_contract_fuzz::Fuzz;
use gantry_proto::CONTRACT;
use http_body_util::{BodyExt, Full};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{Status, transport::Channel};
use tower::ServiceExt;

use crate::process::Suite;

/// Method of the shop: its path and its request message.
pub struct Method {
    pub path: String,
    pub request: String,
}

impl Method {
    /// Returns the service of the suite that has it: `user` for `/shop.user.v1...`.
    pub fn service(&self) -> &str {
        match self.path.split('.').nth(1).unwrap() {
            // The order service serves the operator's API too.
            "operator" => "order",
            service => service,
        }
    }
}

/// Returns all methods of the contract's descriptor set.
pub fn methods() -> Vec<Method> {
    let set = FileDescriptorSet::decode(CONTRACT.descriptor_set).unwrap();
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let request = method.input_type().trim_start_matches('.').to_owned();
                methods.push(Method { path, request });
            }
        }
    }
    methods
}

/// Returns a generator of the shop's messages.
pub fn fuzz() -> Fuzz {
    Fuzz::new(CONTRACT.descriptor_set).unwrap()
}

/// Connections to a suite's services, without the contract.
pub struct Raw(Vec<(String, Channel)>);

impl Raw {
    pub async fn open(suite: &Suite) -> Self {
        let mut channels = Vec::new();
        for service in ["user", "order", "inventory"] {
            let address = format!("http://{}", suite.addresses(service)[0]);
            let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
            channels.push((service.to_owned(), channel));
        }
        Self(channels)
    }

    /// Calls a method with an encoded message, and returns the status.
    pub async fn call(&self, method: &Method, message: &[u8], token: Option<&str>) -> Status {
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(message);
        self.send(method, body, token).await
    }

    /// Calls a method with any body, and returns the status.
    pub async fn send(&self, method: &Method, body: Vec<u8>, token: Option<&str>) -> Status {
        let (_, channel) = self.0.iter().find(|(name, _)| name == method.service()).unwrap();
        let mut request = http::Request::post(&method.path)
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(tonic::body::Body::new(Full::from(body))).unwrap();
        let response = channel.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), http::StatusCode::OK);
        if let Some(status) = Status::from_header_map(response.headers()) {
            return status;
        }
        let body = response.into_body().collect().await.unwrap();
        Status::from_header_map(body.trailers().expect("trailers")).expect("a status")
    }
}
