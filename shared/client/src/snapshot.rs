//! The state of a channel at one moment, for people to look at.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gantry_discovery::Status;
use gantry_resilience::balance::Candidate;
use tokio::time::Instant;

use crate::pool::Shared;

/// What a channel knows of its service.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The service's name.
    pub service: String,
    /// How far the registry can be trusted.
    pub registry: Status,
    /// The endpoints, in the order of their addresses.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// What a channel knows of one endpoint.
#[derive(Clone, Debug)]
pub struct EndpointSnapshot {
    /// Where it is.
    pub address: SocketAddr,
    /// Its version, as registered.
    pub version: String,
    /// Its zone, as registered.
    pub zone: Option<String>,
    /// Its share relative to the others.
    pub weight: u32,
    /// Live connections to it.
    pub connections: usize,
    /// Calls that have not ended.
    pub in_flight: u32,
    /// The estimated time to response headers; `None` before the first answer.
    pub estimate: Option<Duration>,
    /// Why it was not connected when that was last tried in vain.
    pub last_error: Option<String>,
}

impl Snapshot {
    pub(crate) fn of(pool: &Arc<Shared>) -> Self {
        let now = Instant::now();
        let endpoints = pool.members().into_iter().map(|member| {
            let (target, endpoint) = (member.target(), member.endpoint());
            EndpointSnapshot {
                address: target.address,
                version: endpoint.version.clone(),
                zone: endpoint.zone.clone(),
                weight: endpoint.weight,
                connections: target.connected(),
                in_flight: member.load().in_flight(),
                estimate: member.load().estimate(now),
                last_error: target.last_error(),
            }
        });
        Self {
            service: pool.service.to_string(),
            registry: pool.registry_status(),
            endpoints: endpoints.collect(),
        }
    }
}
