//! Address under which other machines reach this one.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{UdpSocket, lookup_host},
    time::sleep,
};
use tracing::{info, warn};

/// Pause between two look-ups of the registry's server.
const PAUSE: Duration = Duration::from_secs(1);

/// Sets the advertised address of a server that listens on all addresses and has none: this machine's
/// address on the route to the registry's server. Waits until the name of that server can be resolved.
///
/// An address on loopback is not advertised, because it means another machine to every caller elsewhere.
/// Then the registration fails and names the setting.
pub(crate) async fn advertise(
    server: &mut gantry_server::Settings,
    listen: IpAddr,
    discovery: &gantry_discovery::Settings,
) {
    if server.advertise.is_some() || !listen.is_unspecified() {
        return;
    }
    let Some((host, port)) = discovery.server() else { return };
    let own = until_found(&host, async || route(&host, port).await).await;
    if !own.is_loopback() {
        info!(address = %own, registry = host, "address of this machine found");
        server.advertise = Some(SocketAddr::new(own, 0));
    }
}

/// Repeats `find` until it succeeds. Logs the first failure.
async fn until_found(host: &str, mut find: impl AsyncFnMut() -> io::Result<IpAddr>) -> IpAddr {
    let mut is_first = true;
    loop {
        match find().await {
            Ok(own) => return own,
            Err(error) if is_first => {
                warn!(registry = host, %error, "no route to the registry yet, waiting");
                is_first = false;
            }
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

/// Returns the address from which this machine would send to `host`. Sends nothing.
async fn route(host: &str, port: u16) -> io::Result<IpAddr> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for to in lookup_host((host, port)).await? {
        match local_address(to).await {
            Ok(own) => return Ok(own),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn local_address(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Connecting a UDP socket only chooses the route.
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consul(url: &str) -> gantry_discovery::Settings {
        let consul = gantry_discovery::consul::Settings::default().url(url);
        gantry_discovery::Settings::default().kind(gantry_discovery::Kind::Consul).consul(consul)
    }

    async fn advertised(
        set: Option<SocketAddr>,
        listen: &str,
        discovery: &gantry_discovery::Settings,
    ) -> Option<SocketAddr> {
        let mut server = gantry_server::Settings::default();
        server.advertise = set;
        advertise(&mut server, listen.parse().unwrap(), discovery).await;
        server.advertise
    }

    #[tokio::test]
    async fn the_route_ends_at_the_address_that_sends() {
        assert_eq!(route("127.0.0.1", 8500).await.unwrap(), Ipv4Addr::LOCALHOST);
        assert!(route("localhost", 8500).await.unwrap().is_loopback());
    }

    #[tokio::test]
    async fn an_address_that_is_set_or_listened_on_is_kept() {
        // Its name is never resolved.
        let nowhere = consul("http://consul.invalid:8500");
        let set = Some("10.0.0.7:0".parse().unwrap());
        assert_eq!(advertised(set, "0.0.0.0", &nowhere).await, set);
        assert_eq!(advertised(None, "10.0.0.7", &nowhere).await, None);
    }

    #[tokio::test]
    async fn an_address_on_loopback_is_not_advertised() {
        let here = consul("http://127.0.0.1:8500");
        assert_eq!(advertised(None, "0.0.0.0", &here).await, None);
        assert_eq!(advertised(None, "::", &here).await, None);
    }

    #[tokio::test]
    async fn without_a_registrys_server_there_is_no_route() {
        let memory = gantry_discovery::Settings::default();
        assert_eq!(advertised(None, "0.0.0.0", &memory).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_cannot_be_resolved_is_waited_for() {
        let mut failures = 3;
        let own = until_found("consul", async || {
            if failures == 0 {
                return Ok(Ipv4Addr::new(10, 0, 0, 7).into());
            }
            failures -= 1;
            Err(io::Error::other("no such name"))
        });
        assert_eq!(own.await, Ipv4Addr::new(10, 0, 0, 7));
    }
}
