//! The endpoints of one service: connected, counted and chosen among.
//!
//! A task follows the registry and swaps the set of endpoints whole; calls read it
//! without a lock. Each endpoint has a task that keeps it connected. Calls never
//! connect: they take a stream on a live connection, or wait until there is one.
//!
//! - a stream is never taken above the peer's limit;
//! - an endpoint has one connection, more while calls crowd, and one less for each minute
//!   in which fewer would have done;
//! - an endpoint that cannot be connected is not picked;
//! - an endpoint that leaves the set keeps the calls and the connections it has, and
//!   gets new calls only while no listed one is connected (see `endpoint_reconciler`);
//! - everything ends when the [`Pool`] is dropped, but for the calls under way.

mod backoff;
mod connection;
mod dialer;
mod drain_before_close;
mod endpoint_connections;
mod endpoint_reconciler;
mod keep_alive;
mod labels;
mod lease;
mod pick;
mod shared;
mod task;
mod transport;

use std::sync::Arc;

use gantry_discovery::Watch;

pub(crate) use self::{
    connection::Sender,
    labels::Labels,
    lease::Lease,
    pick::{PickError, PickRequest},
    shared::Shared,
    transport::Tls,
};
use self::{endpoint_reconciler::EndpointReconciler, task::Task};
use crate::{health::Health, settings::ClientSettings};

/// The endpoints of one service.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    _tasks: [Option<Task>; 2],
}

impl Pool {
    /// Follows the watch from now on, within the current runtime.
    pub(crate) fn new(
        service: Arc<str>,
        watch: Watch,
        settings: ClientSettings,
        health: Health,
        tls: Option<Tls>,
    ) -> Self {
        let shared = Arc::new(Shared::new(service, watch.clone(), settings, health, tls));
        let reconciler = EndpointReconciler::new(Arc::clone(&shared));
        let files = shared.tls.clone();
        let tasks = [
            Some(Task::spawn(reconciler.run(watch))),
            files.map(|tls| Task::spawn(async move { tls.follow().await })),
        ];
        Self { shared, _tasks: tasks }
    }

    /// Returns what calls use.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
