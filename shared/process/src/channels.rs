//! Channels to called services.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use gantry_client::{Channel, ClientSettings};
use gantry_contract::Contract;
use gantry_discovery::Registry;
use gantry_identity::{KeySource, ServiceSigner};
use gantry_telemetry::Meter;

use crate::{Callee, KeysApi, OpenError};

/// Channels of one service, each opened on first use.
///
/// One channel per called service: it holds that service's connections, breaker and ejections.
#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) service: &'static str,
    pub(crate) calls: &'static [Callee],
    pub(crate) settings: BTreeMap<String, ClientSettings>,
    pub(crate) registry: Registry,
    pub(crate) signer: Option<Arc<ServiceSigner>>,
    pub(crate) meter: Option<Meter>,
    pub(crate) open: Mutex<Vec<Channel>>,
}

impl Channels {
    /// Returns the channel to a service of [`Service::CALLS`](crate::Service::CALLS).
    pub(crate) fn to(&self, name: &str) -> Result<Channel, OpenError> {
        let Some(callee) = self.calls.iter().find(|callee| callee.name == name) else {
            return Err(OpenError::NotACallee { service: self.service, callee: name.to_owned() });
        };
        self.open(name, callee.contract, None)
    }

    /// Returns the source of the keys of `publisher`. It uses the channel of other calls to that service.
    /// If there is none, it opens a channel of its own and does not sign the calls.
    pub(crate) fn keys(&self, api: &KeysApi, publisher: &str) -> Result<KeySource, OpenError> {
        let channel = match self.to(publisher) {
            Err(OpenError::NotACallee { .. }) => {
                self.open(publisher, api.publisher.contract, Some(api.grpc_service))?
            }
            channel => channel?,
        };
        Ok((api.fetch)(channel))
    }

    /// Returns the open channels in the order of opening.
    pub(crate) fn all(&self) -> Vec<Channel> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn open(
        &self,
        name: &str,
        contract: &'static Contract,
        grpc_service: Option<&str>,
    ) -> Result<Channel, OpenError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.iter().find(|channel| channel.service() == name) {
            return Ok(channel.clone());
        }
        let mut builder = Channel::builder(name)
            .contract(contract)
            .registry(self.registry.clone())
            .settings(self.settings.get(name).cloned().unwrap_or_default())
            .caller(self.service);
        if let Some(meter) = &self.meter {
            builder = builder.meter(meter.clone());
        }
        if let Some(grpc_service) = grpc_service {
            builder = builder.grpc_service(grpc_service);
        } else if let Some(signer) = &self.signer {
            builder = builder.signer(Arc::clone(signer));
        }
        let channel = builder.build().map_err(|source| OpenError::Channel {
            service: self.service,
            callee: name.to_owned(),
            source,
        })?;
        open.push(channel.clone());
        Ok(channel)
    }
}
