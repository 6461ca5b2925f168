//! Listen addresses of all replicas: planned and bound before any other step.

use std::net::{SocketAddr, TcpListener as StdListener};

use tokio::net::TcpListener;

use crate::{
    cli::UpArgs,
    suite::{Row, TooLarge, admin_address},
};

/// Listen addresses of the suite.
#[derive(Debug)]
pub(super) struct Plan {
    services: Vec<Replicas>,
    admin: SocketAddr,
}

/// Listen addresses of the replicas of a service.
#[derive(Debug)]
pub(super) struct Replicas {
    /// The service.
    pub(super) service: Row,
    /// Its first replica.
    pub(super) first: SocketAddr,
    /// Its other replicas.
    pub(super) further: Vec<SocketAddr>,
}

/// Bound listeners of a plan.
#[derive(Debug)]
pub(super) struct Listeners {
    /// Listeners by service, in the order of the replicas.
    pub(super) replicas: Vec<(Row, TcpListener)>,
    /// Listener of the admin pages.
    pub(super) admin: TcpListener,
}

/// Error of binding the addresses.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A port beyond the last one.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Addresses that cannot be bound, each with its cause.
    #[error("cannot listen:\n{}", .0.join("\n"))]
    Refused(Vec<String>),
}

impl Plan {
    /// Binds all addresses. The error names every address that cannot be bound.
    ///
    /// # Errors
    /// [`BindError`]; no address stays bound.
    pub(super) fn bind(services: &[Row], args: &UpArgs) -> Result<(Self, Listeners), BindError> {
        let plan = Self::new(services, args)?;
        let mut refused = Vec::new();
        let mut bind = |name: &str, address| match listen(address) {
            Ok(listener) => Some(listener),
            Err(error) => {
                refused.push(format!("  {name}: {address}: {error}"));
                None
            }
        };
        let mut replicas = Vec::new();
        for of in &plan.services {
            let listeners = of.addresses().filter_map(|address| bind(of.service.name, address));
            replicas.extend(listeners.map(|listener| (of.service, listener)));
        }
        match bind("admin", plan.admin) {
            Some(admin) if refused.is_empty() => Ok((plan, Listeners { replicas, admin })),
            _ => Err(BindError::Refused(refused)),
        }
    }

    pub(super) fn new(services: &[Row], args: &UpArgs) -> Result<Self, TooLarge> {
        let counts = args.replicas();
        let mut planned = Vec::new();
        for &service in services {
            let count = counts.get(service.name).copied().unwrap_or(1);
            planned.push(Replicas {
                service,
                first: service.address(0, args.port_offset)?,
                further: (1..count)
                    .map(|replica| service.address(replica, args.port_offset))
                    .collect::<Result<_, _>>()?,
            });
        }
        Ok(Self { services: planned, admin: admin_address(args.port_offset)? })
    }

    /// Returns each service with its replicas.
    pub(super) fn services(&self) -> &[Replicas] {
        &self.services
    }

    /// Returns the address of the admin pages.
    pub(super) fn admin(&self) -> SocketAddr {
        self.admin
    }
}

impl Replicas {
    /// Returns the addresses, the first replica first.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [self.first].into_iter().chain(self.further.iter().copied())
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
