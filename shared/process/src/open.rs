//! A service that is open.

use gantry_client::Channel;
use gantry_discovery::Registry;
use gantry_server::{Admin, BuildError, Endpoints, Server};
use gantry_telemetry::Meter;

use crate::{Base, OpenError, Service, ServiceSettings};

/// A service that is open, with its base.
#[derive(Debug)]
pub struct OpenService<S> {
    base: Base,
    service: S,
}

impl<S: Service> OpenService<S> {
    /// Opens the base, then the service. Both are measured with the meter, if there is one.
    ///
    /// # Errors
    /// [`OpenError`]; nothing stays open then.
    pub async fn open(
        settings: ServiceSettings<S>,
        registry: Registry,
        meter: Option<Meter>,
    ) -> Result<Self, OpenError> {
        let base = Base::open(&settings, registry, meter).await?;
        match S::open(&base, settings.own).await {
            Ok(service) => Ok(Self { base, service }),
            Err(error) => {
                base.close().await;
                Err(error)
            }
        }
    }

    /// Returns what the team wrote.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// Builds one more server. All of them share what is open; their readiness shows the services
    /// that are called.
    ///
    /// # Errors
    /// [`BuildError`] if the settings do not make one.
    pub fn server(&self) -> Result<Server, BuildError> {
        let server = self.service.serve(self.base.server()).build()?;
        let needs = |server: Server, channel: Channel| {
            let service = channel.service().to_owned();
            server.needs(&service, move || endpoints(&channel))
        };
        Ok(self.base.channels().into_iter().fold(server, needs))
    }

    /// Adds the services that are called to the page `/endpoints`.
    pub fn register_admin(&self, admin: Admin) -> Admin {
        let channels = self.base.channels();
        admin.endpoints(S::NAME, move || channels.iter().map(Channel::snapshot).collect::<Vec<_>>())
    }

    /// Closes the service, then its base. Its servers have drained before.
    pub async fn close(self) {
        self.service.close().await;
        self.base.close().await;
    }
}

fn endpoints(channel: &Channel) -> Endpoints {
    let snapshot = channel.snapshot();
    Endpoints { known: snapshot.listed, connected: snapshot.connected(), error: snapshot.trouble }
}
