//! Keys with which the user service signs users' tokens.

use gantry_client::Channel;
use gantry_identity::{Jwk, KeySource};
use gantry_process::{Callee, KeysApi};
use gantry_proto::{
    CONTRACT,
    shop::user::v1::{
        GetJwksRequest, Jwk as Published, auth_service_client::AuthServiceClient,
        auth_service_server,
    },
};

/// The API of the user service that publishes the keys.
pub const USERS_KEYS: KeysApi = KeysApi {
    publisher: Callee::new("user", &CONTRACT),
    grpc_service: auth_service_server::SERVICE_NAME,
    fetch: users_keys,
};

/// Returns the keys that the user service at the other end of `channel` publishes.
fn users_keys(channel: Channel) -> KeySource {
    let users = AuthServiceClient::new(channel);
    KeySource::new(move || {
        let mut users = users.clone();
        async move {
            let answer = users.get_jwks(GetJwksRequest {}).await;
            let keys = answer.map_err(|status| status.message().to_owned())?.into_inner().keys;
            let key = |Published { kty, crv, x, kid, alg, r#use: _ }| Jwk { kty, crv, x, kid, alg };
            Ok(keys.into_iter().map(key).collect())
        }
    })
}
