//! Running servers of the suite, one for each replica. Services are drained before the services that they
//! need.

use std::{
    error::Error,
    future::{Future, poll_fn},
    task::Poll,
};

use gantry_server::{Admin, ServeError, Server};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{UpError, cannot_open};
use crate::suite::{Member, Row, drain_order};

/// Name of the admin pages in errors.
const ADMIN: &str = "admin";

/// Builds a server for each listener.
///
/// # Errors
/// [`UpError`] if the settings of a service do not make one.
pub(super) fn replicas(
    members: &[(Row, &dyn Member)],
    listeners: Vec<(Row, TcpListener)>,
) -> Result<Vec<(Row, Server, TcpListener)>, UpError> {
    let member = |row: Row| members.iter().find(|(of, _)| of.name == row.name);
    let replicas = listeners.into_iter().filter_map(|(row, listener)| {
        // Each listener is one of a member.
        let server = member(row)?.1.server().map_err(|error| cannot_open((row, error)));
        Some(server.map(|server| (row, server, listener)))
    });
    replicas.collect()
}

/// Running servers.
pub(super) struct Running {
    /// Groups in drain order; the last one has the admin pages.
    groups: Vec<Group>,
}

impl Running {
    /// Serves each replica on its listener, and the admin pages of all of them.
    pub(super) fn serve(
        members: &[(Row, &dyn Member)],
        replicas: Vec<(Row, Server, TcpListener)>,
        admin: Admin,
        pages_listener: TcpListener,
    ) -> Self {
        let rows: Vec<_> = members.iter().map(|(row, _)| *row).collect();
        let mut admin =
            members.iter().fold(admin, |admin, (_, member)| member.register_admin(admin));
        let order = drain_order(&rows);
        let mut groups: Vec<_> = order.iter().map(|_| Group::default()).collect();
        for (row, server, listener) in replicas {
            admin = admin.add(server.status());
            let place = order.iter().position(|group| group.iter().any(|of| of.name == row.name));
            // Each replica is one of a member.
            if let Some(group) = place.and_then(|place| groups.get_mut(place)) {
                group.add(row.name, |stop| server.serve(listener, stop));
            }
        }
        let mut pages = Group::default();
        pages.add(ADMIN, |stop| async {
            admin.serve(pages_listener, stop).await;
            Ok(())
        });
        groups.push(pages);
        Self { groups }
    }

    /// Waits until a server stops without a request to stop.
    pub(super) async fn first_to_stop(&mut self) -> UpError {
        let stopped = poll_fn(|context| {
            for group in &mut self.groups {
                // An empty group cannot stop.
                if let Poll::Ready(Some(joined)) = group.members.poll_join_next(context) {
                    return Poll::Ready(joined);
                }
            }
            Poll::Pending
        });
        match outcome(stopped.await) {
            Err(error) => error,
            Ok(service) => UpError::Stopped { service, cause: "without a request to stop".into() },
        }
    }

    /// Drains services before those that they need, and the admin pages last: they show the drain.
    pub(super) async fn drain(self) -> Result<(), UpError> {
        for group in self.groups {
            group.drain().await?;
        }
        Ok(())
    }
}

/// Servers that are stopped together.
#[derive(Default)]
struct Group {
    stop: CancellationToken,
    members: JoinSet<(&'static str, Result<(), ServeError>)>,
}

impl Group {
    fn add<F>(
        &mut self,
        service: &'static str,
        serve: impl FnOnce(WaitForCancellationFutureOwned) -> F,
    ) where
        F: Future<Output = Result<(), ServeError>> + Send + 'static,
    {
        let serving = serve(self.stop.clone().cancelled_owned());
        self.members.spawn(async move { (service, serving.await) });
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

/// Returns the name of the member that ended, or its error.
fn outcome(
    joined: Result<(&'static str, Result<(), ServeError>), JoinError>,
) -> Result<&'static str, UpError> {
    let stopped =
        |service, cause: Box<dyn Error + Send + Sync>| UpError::Stopped { service, cause };
    match joined {
        Ok((service, Ok(()))) => Ok(service),
        Ok((service, Err(error))) => Err(stopped(service, error.into())),
        Err(panicked) => Err(stopped("a server", panicked.into())),
    }
}
