//! Open services.

use gantry_client::Channel;
use gantry_discovery::Registry;
use gantry_server::{Admin, BuildError, Endpoints, Server};
use gantry_telemetry::Meter;

use crate::{Base, OpenError, Service, ServiceSettings};

/// Open service with its base.
#[derive(Debug)]
pub struct OpenService<S> {
    base: Base,
    service: S,
}

impl<S: Service> OpenService<S> {
    /// Opens the base, then the service. The meter, if any, measures both.
    ///
    /// # Errors
    /// [`OpenError`]. Nothing remains open.
    pub async fn open(
        settings: ServiceSettings<S>,
        registry: Registry,
        meter: Option<Meter>,
    ) -> Result<Self, OpenError> {
        // Boxed: the compiler limits how deep the types of futures may be nested.
        let base = Box::pin(Base::open(&settings, registry, meter)).await?;
        match Box::pin(S::open(&base, settings.own)).await {
            Ok(service) => Ok(Self { base, service }),
            Err(error) => {
                base.close().await;
                Err(error)
            }
        }
    }

    /// Returns the service itself.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// Builds another server of the service: a replica. All replicas share the base and the service;
    /// their readiness includes the called services.
    ///
    /// # Errors
    /// [`BuildError`] if the settings are invalid.
    pub fn server(&self) -> Result<Server, BuildError> {
        let server = self.service.serve(self.base.server()).build()?;
        let needs = |server: Server, channel: Channel| {
            let service = channel.service().to_owned();
            server.needs(&service, move || endpoints(&channel))
        };
        Ok(self.base.channels().into_iter().fold(server, needs))
    }

    /// Adds the called services to the page `/endpoints`.
    pub fn register_admin(&self, admin: Admin) -> Admin {
        let channels = self.base.channels();
        admin.endpoints(S::NAME, move || channels.iter().map(Channel::snapshot).collect::<Vec<_>>())
    }

    /// Closes the service, then its base. Call it after its servers have drained.
    pub async fn close(self) {
        self.service.close().await;
        self.base.close().await;
    }
}

fn endpoints(channel: &Channel) -> Endpoints {
    let snapshot = channel.snapshot();
    Endpoints { known: snapshot.listed, connected: snapshot.connected(), error: snapshot.trouble }
}
