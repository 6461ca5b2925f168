//! The service: what it needs, what it serves, what it answers.

use gantry_client::Channel;
use gantry_contract::Contract;
use gantry_process::{Base, Callee, OpenError, Service};
use gantry_server::ServerBuilder;
use gantry_telemetry::Counter;
use greeter::greeter::v1::{SayHelloRequest, greeter_service_client::GreeterServiceClient};
use tonic::{Request, Response, Status};

use crate::{
    CONTRACT, WelcomeSettings,
    welcome::v1::{
        WelcomeGuestsRequest, WelcomeGuestsResponse,
        welcome_service_server::{WelcomeService, WelcomeServiceServer},
    },
};

/// Welcomes guests with the greeter's words.
#[derive(Clone, Debug)]
pub struct Welcome {
    greeter: GreeterServiceClient<Channel>,
    ending: String,
    welcomed: Option<Counter<u64>>,
}

impl Service for Welcome {
    const NAME: &'static str = "welcome";
    const ABOUT: &'static str = "Welcomes guests";
    const CONTRACT: Option<&'static Contract> = Some(&CONTRACT);
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const CALLS: &'static [Callee] = &[Callee::new("greeter", &greeter::CONTRACT)];
    type Settings = WelcomeSettings;

    async fn open(base: &Base, settings: WelcomeSettings) -> Result<Self, OpenError> {
        let counter = |name| base.meter().map(|meter| meter.u64_counter(name).build());
        Ok(Self {
            greeter: GreeterServiceClient::new(base.channel("greeter")?),
            ending: settings.ending,
            welcomed: counter("welcome.guests"),
        })
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        server.service(WelcomeServiceServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl WelcomeService for Welcome {
    async fn welcome_guests(
        &self,
        request: Request<WelcomeGuestsRequest>,
    ) -> Result<Response<WelcomeGuestsResponse>, Status> {
        let mut greeter = self.greeter.clone();
        let mut greetings = Vec::new();
        for name in request.into_inner().guests {
            // The call inherits the deadline and the request id of this one.
            let greeted = greeter.say_hello(SayHelloRequest { name }).await?;
            greetings.push(greeted.into_inner().message + &self.ending);
        }
        if let Some(welcomed) = &self.welcomed {
            welcomed.add(greetings.len() as u64, &[]);
        }
        Ok(Response::new(WelcomeGuestsResponse { greetings }))
    }
}
