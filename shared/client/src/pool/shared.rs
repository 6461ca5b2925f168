//! State that all calls to one service share: its endpoints and its health.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

use arc_swap::ArcSwap;
use gantry_discovery::{Endpoint, Status, Watch};
use gantry_resilience::{
    balance::{Balancer, Candidate, Load},
    ejection,
};
use tokio::{sync::Notify, time::Instant};

use super::{endpoint_connections::EndpointConnections, transport::Tls};
use crate::{health::Health, settings::ClientSettings};

/// State that all calls to one service share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) service: Arc<str>,
    pub(crate) settings: ClientSettings,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) health: Health,
    /// Listed endpoints.
    pub(super) current: ArcSwap<Balancer<Member>>,
    /// Delisted endpoints that are still connected.
    pub(super) last_resort: ArcSwap<Balancer<Member>>,
    pub(super) watch: Watch,
    /// Notified when a waiting call may find a stream, or must wait for something else.
    pub(super) available: Notify,
    /// Number of waiting calls.
    pub(super) waiting: AtomicUsize,
    /// Notified when an endpoint has lost its last connection.
    pub(super) unconnected: Notify,
    /// Time of the last warning about calls without an endpoint.
    pub(super) warned: Mutex<Option<Instant>>,
}

/// Endpoint with its last registration.
#[derive(Clone, Debug)]
pub(crate) struct Member(pub(super) Arc<Listed>);

#[derive(Debug)]
pub(super) struct Listed {
    pub(super) connections: Arc<EndpointConnections>,
    pub(super) endpoint: Endpoint,
    pub(super) ejection: Arc<ejection::Endpoint<SocketAddr>>,
}

impl Candidate for Member {
    fn load(&self) -> &Load {
        &self.0.connections.load
    }

    fn weight(&self) -> u32 {
        self.0.endpoint.weight
    }
}

impl Member {
    pub(crate) fn connections(&self) -> &EndpointConnections {
        &self.0.connections
    }

    /// Returns its registration.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.0.ejection.is_ejected(now)
    }
}

impl Shared {
    pub(super) fn new(
        service: Arc<str>,
        watch: Watch,
        settings: ClientSettings,
        health: Health,
        tls: Option<Tls>,
    ) -> Self {
        Self {
            service,
            settings,
            tls: tls.map(Arc::new),
            health,
            current: ArcSwap::from_pointee(Balancer::new([], Instant::now())),
            last_resort: ArcSwap::from_pointee(Balancer::new([], Instant::now())),
            watch,
            available: Notify::new(),
            waiting: AtomicUsize::new(0),
            unconnected: Notify::new(),
            warned: Mutex::new(None),
        }
    }

    /// Returns the current endpoints, last resorts after the others.
    pub(crate) fn members(&self) -> Vec<Member> {
        [self.current.load().members(), self.last_resort.load().members()].concat()
    }

    /// Returns the number of endpoints that the registry lists, in the subset or not.
    pub(crate) fn listed(&self) -> usize {
        self.watch.clone().current().len()
    }

    /// Returns the state of the registry.
    pub(crate) fn registry_status(&self) -> Status {
        self.watch.status()
    }
}
