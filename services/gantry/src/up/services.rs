//! The services of the suite: opened once, served as often as there are replicas, drained in
//! the order in which they need each other.

use std::{
    error::Error,
    future::{Future, pending},
};

use gantry_discovery::Registry;
use gantry_process::{OpenService, ServiceSettings};
use gantry_server::{Admin, ServeError, Server};
use gantry_telemetry::Meter;
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{UpError, settings::Settings};
use crate::ports::{ADMIN, ORDER, Service};

/// Every service, opened.
pub(super) struct Services {
    pub(super) user: OpenService<gantry_user::Service>,
    order: OpenService<gantry_order::Service>,
    inventory: OpenService<gantry_inventory::Service>,
}

impl Services {
    /// Opens the databases; one that another process has is refused here.
    pub(super) async fn open(
        settings: Settings,
        registry: Registry,
        meter: &Meter,
    ) -> Result<Self, UpError> {
        // At once: each waits for its disk.
        let (user, inventory, order) = tokio::try_join!(
            open(settings.user, &registry, meter),
            open(settings.inventory, &registry, meter),
            open(settings.order, &registry, meter),
        )?;
        Ok(Self { user, order, inventory })
    }

    /// One more replica of a service.
    pub(super) fn server(&self, service: Service) -> Result<Server, UpError> {
        let server = match service.name {
            "user" => self.user.server(),
            "order" => self.order.server(),
            _ => self.inventory.server(),
        };
        server.map_err(cannot_open(service.name))
    }

    /// Serves each replica on its listener, and the admin pages of all of them.
    pub(super) fn serve(
        &self,
        replicas: Vec<(Service, Server, TcpListener)>,
        admin: Admin,
        pages_listener: TcpListener,
    ) -> Running {
        let admin = self.inventory.register_admin(self.user.register_admin(admin));
        let mut admin = self.order.register_admin(admin);
        let (mut orders, mut others) = (Group::default(), Group::default());
        for (service, server, listener) in replicas {
            admin = admin.add(server.status());
            let group = if service.name == ORDER.name { &mut orders } else { &mut others };
            group.add(service, |stop| server.serve(listener, stop));
        }
        let mut pages = Group::default();
        pages.add(ADMIN, |stop| async {
            admin.serve(pages_listener, stop).await;
            Ok(())
        });
        Running { orders, others, pages }
    }

    /// Stops the workers and closes the databases, orders first.
    pub(super) async fn close(self) {
        self.order.close().await;
        self.inventory.close().await;
        self.user.close().await;
    }
}

/// Everything that is being served.
pub(super) struct Running {
    orders: Group,
    others: Group,
    pages: Group,
}

impl Running {
    /// Waits for something to stop that should not.
    pub(super) async fn first_to_stop(&mut self) -> UpError {
        tokio::select! {
            error = self.orders.first_to_stop() => error,
            error = self.others.first_to_stop() => error,
            error = self.pages.first_to_stop() => error,
        }
    }

    /// Drains: orders first, because their calls need the others; the admin pages last,
    /// because they show it.
    pub(super) async fn drain(self) -> Result<(), UpError> {
        self.orders.drain().await?;
        self.others.drain().await?;
        self.pages.drain().await
    }
}

/// Servers that are stopped together.
#[derive(Default)]
struct Group {
    stop: CancellationToken,
    members: JoinSet<(Service, Result<(), ServeError>)>,
}

impl Group {
    fn add<F>(&mut self, service: Service, serve: impl FnOnce(WaitForCancellationFutureOwned) -> F)
    where
        F: Future<Output = Result<(), ServeError>> + Send + 'static,
    {
        let serving = serve(self.stop.clone().cancelled_owned());
        self.members.spawn(async move { (service, serving.await) });
    }

    async fn first_to_stop(&mut self) -> UpError {
        match self.members.join_next().await {
            Some(joined) => match outcome(joined) {
                Err(error) => error,
                Ok(service) => stopped(service, "nobody asked it to".into()),
            },
            // Nobody in the group: nothing can stop.
            None => pending().await,
        }
    }

    async fn drain(mut self) -> Result<(), UpError> {
        self.stop.cancel();
        let mut drained = Ok(());
        while let Some(joined) = self.members.join_next().await {
            drained = drained.and(outcome(joined).map(drop));
        }
        drained
    }
}

/// Which member ended, or why it ended badly.
fn outcome(
    joined: Result<(Service, Result<(), ServeError>), JoinError>,
) -> Result<Service, UpError> {
    match joined {
        Ok((service, Ok(()))) => Ok(service),
        Ok((service, Err(error))) => Err(stopped(service, error.into())),
        Err(panicked) => Err(UpError::Stopped { service: "a server", cause: panicked.into() }),
    }
}

fn stopped(service: Service, cause: Box<dyn Error + Send + Sync>) -> UpError {
    UpError::Stopped { service: service.name, cause }
}

async fn open<S: gantry_process::Service>(
    settings: ServiceSettings<S>,
    registry: &Registry,
    meter: &Meter,
) -> Result<OpenService<S>, UpError> {
    let open = OpenService::open(settings, registry.clone(), Some(meter.clone()));
    open.await.map_err(cannot_open(S::NAME))
}

fn cannot_open<E: Into<Box<dyn Error + Send + Sync>>>(
    service: &'static str,
) -> impl FnOnce(E) -> UpError {
    move |error| UpError::Open { service, cause: error.into() }
}
