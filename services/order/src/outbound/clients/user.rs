//! Client of the user service.

use async_trait::async_trait;
use gantry_client::Channel;
use gantry_contract::{Caller, Reason as _};
use gantry_proto::shop::{
    errors::v1::Reason,
    user::v1::{GetUserRequest, Tier, User, UserStatus, user_service_client::UserServiceClient},
};

use super::{broken, request, unanswered};
use crate::{
    application::{Customer, Unanswered, Users, UsersError},
    domain::{self, UserId},
};

/// Users of the user service. Clones share its channel.
#[derive(Clone, Debug)]
pub struct UserClient(UserServiceClient<Channel>);

impl UserClient {
    /// Creates a client on this channel.
    pub fn new(channel: Channel) -> Self {
        Self(UserServiceClient::new(channel))
    }
}

#[async_trait]
impl Users for UserClient {
    async fn find(&self, id: UserId, caller: &Caller) -> Result<Customer, UsersError> {
        let message = GetUserRequest { id: id.to_string() };
        match self.0.clone().get_user(request(message, caller)).await {
            Ok(answer) => Ok(customer(&answer.into_inner())?),
            Err(status) if Reason::UserNotFound.is_given_by(&status) => Err(UsersError::NotFound),
            Err(status) => Err(unanswered(&status).into()),
        }
    }
}

fn customer(user: &User) -> Result<Customer, Unanswered> {
    let tier = match user.tier() {
        Tier::Regular => domain::Tier::Regular,
        Tier::Premium => domain::Tier::Premium,
        Tier::Vip => domain::Tier::Vip,
        Tier::Unspecified => return Err(broken("the tier of the user is unknown")),
    };
    Ok(Customer { tier, active: user.status() == UserStatus::Active })
}
