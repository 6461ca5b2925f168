//! Keys of user tokens.

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

/// API with which the user service publishes the keys of user tokens.
pub const USERS_KEYS: KeysApi = KeysApi {
    publisher: Callee::new("user", &CONTRACT),
    grpc_service: auth_service_server::SERVICE_NAME,
    fetch: users_keys,
};

/// Returns a source that fetches the keys through `channel`.
fn users_keys(channel: Channel) -> KeySource {
    let users = AuthServiceClient::new(channel);
    KeySource::new(move || {
        let mut users = users.clone();
        async move {
            let response = users.get_jwks(GetJwksRequest {}).await;
            let keys = response.map_err(|status| status.message().to_owned())?.into_inner().keys;
            let key = |Published { kty, crv, x, kid, alg, r#use: _ }| Jwk { kty, crv, x, kid, alg };
            Ok(keys.into_iter().map(key).collect())
        }
    })
}
