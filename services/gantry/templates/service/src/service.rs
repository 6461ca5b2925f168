//! Composition of the service.

use gantry_contract::Contract;
use gantry_process::{Base, Callee, OpenError};
use gantry_server::ServerBuilder;

use crate::{
    get_summary::GetSummary, settings::Settings,
    template::v1::template_service_server::TemplateServiceServer,
};

/// The template service.
#[derive(Debug)]
pub struct Service {
    get_summary: TemplateServiceServer<GetSummary>,
}

impl gantry_process::Service for Service {
    const NAME: &'static str = "template";
    const ABOUT: &'static str = "Counts the shop's resources";
    const CONTRACT: Option<&'static Contract> = Some(&crate::CONTRACT);
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const CALLS: &'static [Callee] = &[
        Callee::new("user", &gantry_proto::CONTRACT),  // [user]
        Callee::new("order", &gantry_proto::CONTRACT), // [order]
        Callee::new("inventory", &gantry_proto::CONTRACT), // [inventory]
    ];
    type Settings = Settings;

    async fn open(base: &Base, settings: Settings) -> Result<Self, OpenError> {
        let get_summary = GetSummary {
            title: settings.title,
            user: base.channel("user")?,           // [user]
            order: base.channel("order")?,         // [order]
            inventory: base.channel("inventory")?, // [inventory]
        };
        Ok(Self { get_summary: TemplateServiceServer::new(get_summary) })
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        server.service(self.get_summary.clone())
    }
}
