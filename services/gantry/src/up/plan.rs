//! Which replica listens where: decided and bound before anything else is done.

use std::net::{SocketAddr, TcpListener as StdListener};

use tokio::net::TcpListener;

use crate::{
    cli::UpArgs,
    suite::{Row, TooLarge, admin_address},
};

/// Where everything of the suite listens.
#[derive(Debug)]
pub(super) struct Plan {
    services: Vec<Replicas>,
    admin: SocketAddr,
}

/// Where the replicas of a service listen.
#[derive(Debug)]
pub(super) struct Replicas {
    /// The service.
    pub(super) service: Row,
    /// Its first replica.
    pub(super) first: SocketAddr,
    /// Its other replicas.
    pub(super) further: Vec<SocketAddr>,
}

/// The listeners of a plan, until they are served.
#[derive(Debug)]
pub(super) struct Listeners {
    /// By service, in the order of their replicas.
    pub(super) replicas: Vec<(Row, TcpListener)>,
    /// The admin pages'.
    pub(super) admin: TcpListener,
}

/// Why the suite cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A port beyond the last one.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Addresses that could not be bound, each with its cause.
    #[error("cannot listen:\n{}", .0.join("\n"))]
    Refused(Vec<String>),
}

impl Plan {
    /// Binds every address, or says of each that is refused why.
    ///
    /// # Errors
    /// [`BindError`]; nothing stays bound then.
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
        let asked = args.replicas();
        let mut planned = Vec::new();
        for &service in services {
            let count = asked.get(service.name).copied().unwrap_or(1);
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

    /// Each service with its replicas.
    pub(super) fn services(&self) -> &[Replicas] {
        &self.services
    }

    /// The address of the admin pages.
    pub(super) fn admin(&self) -> SocketAddr {
        self.admin
    }
}

impl Replicas {
    /// Where they listen, the first one first.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [self.first].into_iter().chain(self.further.iter().copied())
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
