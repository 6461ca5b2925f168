//! Keys with which the user service signs users' tokens.

use gantry_client::Channel;
use gantry_identity::{Jwk, KeySource};
use gantry_proto::shop::user::v1::{
    GetJwksRequest, Jwk as Published, auth_service_client::AuthServiceClient,
};

/// Returns the keys that the user service at the other end of `channel` publishes.
pub fn users_keys(channel: Channel) -> KeySource {
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
