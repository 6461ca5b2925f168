//! Client of the user service.

use async_trait::async_trait;
use gantry_client::{Acting, ActingFor, Channel};
use gantry_contract::{CallContext, Caller, Reason as _};
use gantry_proto::shop::{
    errors::v1::Reason,
    user::v1::{GetUserRequest, UserStatus, user_service_client::UserServiceClient},
};
use tonic::Request;
use uuid::Uuid;

use crate::{
    application::{Cause, Users, UsersError},
    domain::Recipient,
};

/// Users of the user service. Clones share its channel.
#[derive(Clone, Debug)]
pub struct UserClient {
    client: UserServiceClient<Channel>,
    service: &'static str,
}

impl UserClient {
    /// Creates a client on this channel, for calls by `service`.
    pub fn new(channel: Channel, service: &'static str) -> Self {
        Self { client: UserServiceClient::new(channel), service }
    }
}

#[async_trait]
impl Users for UserClient {
    async fn recipient(&self, user: Uuid, cause: &Cause) -> Result<Recipient, UsersError> {
        let mut request = Request::new(GetUserRequest { id: user.to_string() });
        // With the service's own authority: never with that of the call that caused the event.
        request.extensions_mut().insert(ActingFor(Acting::Itself { cause: None }));
        let mut client = self.client.clone();
        let call = client.get_user(request);
        let answer = match &cause.request_id {
            Some(request_id) => {
                let context = CallContext {
                    deadline: None,
                    request_id: request_id.as_str().into(),
                    caller: Caller::Service { service: self.service.to_owned(), cause: None },
                };
                context.scope(call).await
            }
            None => call.await,
        };
        let user = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) if Reason::UserNotFound.is_given_by(&status) => {
                return Err(UsersError::Gone);
            }
            Err(status) => {
                let cause = format!("{:?}: {}", status.code(), status.message());
                return Err(UsersError::Unanswered(cause));
            }
        };
        if user.status() == UserStatus::Deleted {
            return Err(UsersError::Gone);
        }
        Ok(Recipient::new(user.name, user.email)?)
    }
}
