//! How many connections there may be, of all and of one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    client::Proxies,
    measure::Refused,
    source::{Source, source_of},
};

/// The places for connections.
#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    /// And those to whom it does not apply.
    max_per_address: Option<(usize, Arc<Proxies>)>,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by: HashMap<Source, usize>,
}

impl Places {
    pub(crate) fn new(max: u32) -> Self {
        Self { max: max as usize, max_per_address: None, held: Arc::default() }
    }

    /// So many of one address. Proxies that are trusted may have all: they stand for many.
    pub(crate) fn per_address(self, max: u32, proxies: Arc<Proxies>) -> Self {
        Self { max_per_address: Some((max as usize, proxies)), ..self }
    }

    /// A place for a connection from this address.
    ///
    /// # Errors
    /// What is full.
    pub(super) fn take(&self, peer: IpAddr) -> Result<Place, Refused> {
        let source = source_of(peer);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.all >= self.max {
            return Err(Refused::Full);
        }
        let of_address = held.by.get(&source).copied().unwrap_or_default();
        if let Some((max, proxies)) = &self.max_per_address
            && of_address >= *max
            && !proxies.trusts(peer.to_canonical())
        {
            return Err(Refused::FullForAddress);
        }
        held.all += 1;
        held.by.insert(source, of_address + 1);
        Ok(Place { held: Arc::clone(&self.held), source })
    }
}

/// The place of one connection; free again once this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    held: Arc<Mutex<Held>>,
    source: Source,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= 1;
        if let Some(of_address) = held.by.get_mut(&self.source) {
            *of_address -= 1;
            if *of_address == 0 {
                held.by.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::LimitSettings;

    fn places(max: u32, max_per_address: u32) -> Places {
        let limits = LimitSettings {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..LimitSettings::default()
        };
        Places::new(max).per_address(max_per_address, Arc::new(Proxies::new(&limits)))
    }

    fn take(places: &Places, address: &str) -> Result<Place, Refused> {
        places.take(address.parse().unwrap())
    }

    #[test]
    fn one_address_leaves_places_for_others() {
        let places = places(5, 2);
        let held: Vec<_> = (0..2).map(|_| take(&places, "192.0.2.1").unwrap()).collect();
        assert_eq!(take(&places, "192.0.2.1").unwrap_err(), Refused::FullForAddress);
        assert_eq!(take(&places, "::ffff:192.0.2.1").unwrap_err(), Refused::FullForAddress);
        let other = take(&places, "192.0.2.2").unwrap();
        drop(held);
        let again: Vec<_> = (0..2).map(|_| take(&places, "192.0.2.1").unwrap()).collect();
        drop((other, again));
        assert!(places.held.lock().unwrap().by.is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn all_together_get_no_more_than_there_are() {
        let places = places(2, 2);
        let _held = (take(&places, "192.0.2.1").unwrap(), take(&places, "10.0.0.1").unwrap());
        assert_eq!(take(&places, "10.0.0.1").unwrap_err(), Refused::Full);
        assert_eq!(take(&places, "192.0.2.2").unwrap_err(), Refused::Full);
    }

    #[test]
    fn a_trusted_proxy_may_have_all_of_them() {
        let places = places(5, 2);
        let _held: Vec<_> = (0..5).map(|_| take(&places, "10.0.0.1").unwrap()).collect();
    }

    #[test]
    fn the_addresses_of_one_network_of_ipv6_are_one() {
        let places = places(5, 1);
        let _held = take(&places, "2001:db8::1").unwrap();
        assert_eq!(take(&places, "2001:db8::2").unwrap_err(), Refused::FullForAddress);
        take(&places, "2001:db8:0:1::1").unwrap();
    }
}
