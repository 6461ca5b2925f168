//! Which service stands at which port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A service of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its name, as in the registry.
    pub name: &'static str,
    /// The port of its first replica, before any offset.
    pub port: u16,
}

/// The services, in the order in which the table shows them.
pub const SERVICES: &[Service] = &[USER, ORDER, INVENTORY];

/// Users and their tokens.
pub const USER: Service = Service { name: "user", port: 50051 };
/// Orders.
pub const ORDER: Service = Service { name: "order", port: 50052 };
/// Products and stock.
pub const INVENTORY: Service = Service { name: "inventory", port: 50053 };
/// The admin pages of all of them.
pub const ADMIN: Service = Service { name: "admin", port: 9100 };

/// What a further replica's port is above the one before it.
const REPLICA_STEP: u16 = 100;

/// A port beyond the last one.
#[derive(Debug, thiserror::Error)]
#[error("the port of {service} would be {port}: --port-offset is too large")]
pub struct TooLarge {
    service: &'static str,
    port: u32,
}

impl Service {
    /// The loopback address of a replica, the first being 0.
    ///
    /// # Errors
    /// [`TooLarge`] where there is no such port.
    pub fn address(self, replica: u16, offset: u16) -> Result<SocketAddr, TooLarge> {
        let port =
            u32::from(self.port) + u32::from(offset) + u32::from(replica) * u32::from(REPLICA_STEP);
        let port = u16::try_from(port).map_err(|_| TooLarge { service: self.name, port })?;
        Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_stand_a_hundred_apart() {
        assert_eq!(USER.address(2, 1000).unwrap().port(), 51251);
    }

    #[test]
    fn a_port_beyond_the_last_is_refused_and_named() {
        let error = INVENTORY.address(0, 20_000).unwrap_err();
        assert!(error.to_string().contains("inventory would be 70053"), "{error}");
    }
}
