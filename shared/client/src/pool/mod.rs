//! Endpoints of one service: their connections, their calls, and the choice among them.
//!
//! A task follows the registry and replaces the set of endpoints as a whole; calls read it without
//! a lock. Each endpoint has a task that keeps it connected. Calls never connect: they reserve a
//! stream on a live connection, or wait for one.
//!
//! - No stream exceeds the peer's limit.
//! - An endpoint has one connection, more under load, and one less after each minute that needed
//!   fewer.
//! - An endpoint without a connection is not picked.
//! - An endpoint that leaves the set keeps its calls and connections, and gets new calls only while
//!   no listed one is connected (see `endpoint_reconciler`).
//! - Everything but the calls under way ends when the [`Pool`] is dropped.

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

/// Endpoints of one service.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    _tasks: [Option<Task>; 2],
}

impl Pool {
    /// Creates a pool that follows the watch, within the current runtime.
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

    /// Returns the state that calls use.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
