//! The keys with which the user service signs users' tokens.

use async_trait::async_trait;
use gantry_client::Channel;
use gantry_identity::{Jwk, KeySource, PublicKey};
use gantry_proto::shop::user::v1::{GetJwksRequest, auth_service_client::AuthServiceClient};

/// The keys, as the user service publishes them.
#[derive(Clone, Debug)]
pub struct UserKeys(AuthServiceClient<Channel>);

impl UserKeys {
    /// The keys of the user service at the other end of this channel.
    pub fn new(channel: Channel) -> Self {
        Self(AuthServiceClient::new(channel))
    }
}

#[async_trait]
impl KeySource for UserKeys {
    async fn keys(&self) -> Result<Vec<PublicKey>, String> {
        let answer = self.0.clone().get_jwks(GetJwksRequest {}).await;
        let published = answer.map_err(|status| status.message().to_owned())?.into_inner().keys;
        let keys = published.into_iter().map(|key| {
            let gantry_proto::shop::user::v1::Jwk { kty, crv, x, kid, alg, r#use: _ } = key;
            Jwk { kty, crv, x, kid, alg }
        });
        Ok(keys.filter_map(|key| key.public_key()).collect())
    }
}
