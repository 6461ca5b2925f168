//! Tests of the table of connections.

use tokio::time::advance;

use super::*;

const LIMITS: Limits = Limits { max: 8, reserved: 2, per_source: 4, per_site: 5 };

fn source(host: u8) -> Source {
    Source::V4(u32::from(host))
}

/// Source of the IPv6 site `site`.
fn of_site(site: u64, network: u64) -> Source {
    Source::V6(0x2001_0db8_0000_0000 | site << 16 | network)
}

#[derive(Default)]
struct Door(Table);

impl Door {
    fn admit(&mut self, source: Source) -> Result<Arc<Standing>, Refused> {
        self.0.admit(source, false, &LIMITS, Instant::now()).map(|(standing, _)| standing)
    }

    fn admit_all(&mut self, source: Source, count: usize) -> Vec<Arc<Standing>> {
        (0..count).map(|_| self.admit(source).unwrap()).collect()
    }

    fn completed(&mut self, connections: &[Arc<Standing>]) {
        connections.iter().for_each(|standing| self.0.completed(standing));
    }

    fn proved(&mut self, connections: &[Arc<Standing>]) {
        connections.iter().for_each(|standing| self.0.proved(standing, Instant::now()));
    }

    fn release(&mut self, connections: Vec<Arc<Standing>>) {
        for standing in connections {
            self.0.release(&standing, Instant::now());
        }
    }
}

/// Returns the positions of the connections that are closing.
fn closed(connections: &[Arc<Standing>]) -> Vec<usize> {
    let closed = connections.iter().enumerate();
    let closed = closed.filter(|(_, standing)| standing.closing().is_cancelled());
    closed.map(|(position, _)| position).collect()
}

#[tokio::test(start_paused = true)]
async fn a_full_server_closes_the_oldest_unproven_connection() {
    let mut door = Door::default();
    let flood = [door.admit_all(source(1), 3), door.admit_all(source(2), 3)].concat();
    // Each newcomer replaces the oldest connection of the largest source.
    let newcomers = [3, 4, 5].map(|host| door.admit(source(host)).unwrap());
    assert_eq!(closed(&flood), [0, 1, 3]);
    assert!(closed(&newcomers).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_continuing_flood_does_not_close_a_newcomer() {
    let mut door = Door::default();
    let mut flood = [door.admit_all(source(1), 3), door.admit_all(source(2), 3)].concat();
    let newcomer = door.admit(source(3)).unwrap();
    for round in 0..1000_usize {
        flood.push(door.admit(source(1 + (round % 2) as u8)).unwrap());
        let (gone, left) = flood.into_iter().partition(|c| c.closing().is_cancelled());
        door.release(gone);
        flood = left;
    }
    assert!(!newcomer.closing().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_call_closes_first() {
    let mut door = Door::default();
    let callers = door.admit_all(source(1), 4);
    door.completed(&callers);
    let silent = door.admit_all(source(2), 2);
    door.admit(source(3)).unwrap();
    assert_eq!((closed(&callers), closed(&silent)), (vec![], vec![0]));
}

#[tokio::test(start_paused = true)]
async fn idle_connections_of_the_largest_source_make_room() {
    let mut door = Door::default();
    let large = door.admit_all(source(1), 4);
    let small = door.admit_all(source(2), 2);
    door.completed(&large);
    door.completed(&small);
    large[0].begin_call();
    for position in [3, 1, 2] {
        advance(Duration::from_secs(1)).await;
        large[position].begin_call();
        large[position].end_call();
    }
    // The longest idle connection closes first. Connections with a call stay, and the source keeps
    // as many as the newcomer's.
    for _ in 0..2 {
        let newcomer = door.admit(source(3)).unwrap();
        door.completed(&[newcomer]);
    }
    assert_eq!(closed(&large), [1, 3]);
    assert_eq!(door.admit(source(3)).unwrap_err(), Refused::FullForStrangers);
    assert!(closed(&small).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_open_watch_does_not_protect_a_connection() {
    let mut door = Door::default();
    let hoard = [door.admit_all(source(1), 3), door.admit_all(source(2), 3)].concat();
    door.completed(&hoard);
    for watching in &hoard {
        watching.begin_call();
        watching.begin_infrastructure();
    }
    hoard[0].begin_call();
    door.admit(source(3)).unwrap();
    assert_eq!(closed(&hoard).len(), 1);
    assert!(!hoard[0].closing().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn connections_opened_together_do_not_close_each_other() {
    let mut door = Door::default();
    let large = door.admit_all(source(1), 4);
    let small = door.admit_all(source(2), 2);
    door.completed(&large);
    door.completed(&small);
    let together = door.admit_all(source(3), 2);
    assert_eq!((closed(&large).len(), closed(&together).len()), (2, 0));
    // Once no other source has more connections, the oldest one of the newcomer's source closes.
    door.admit(source(3)).unwrap();
    assert_eq!(closed(&together), [0]);
}

#[tokio::test(start_paused = true)]
async fn connections_are_reserved_for_authenticated_sources() {
    let mut door = Door::default();
    let order = door.admit_all(source(9), 1);
    door.proved(&order);
    door.release(order);
    // Six busy connections without an authenticated call.
    let strangers = [door.admit_all(source(1), 4), door.admit_all(source(2), 2)].concat();
    door.completed(&strangers);
    strangers.iter().for_each(|stranger| stranger.begin_call());
    assert_eq!(door.admit(source(3)).unwrap_err(), Refused::FullForStrangers);
    let again = door.admit_all(source(9), 2);
    door.completed(&again);
    again.iter().for_each(|known| known.begin_call());
    assert_eq!(door.admit(source(9)).unwrap_err(), Refused::Full);
    assert!(closed(&strangers).is_empty());
    door.release(again);
    advance(KNOWN_FOR).await;
    assert_eq!(door.admit(source(9)).unwrap_err(), Refused::FullForStrangers);
}

#[tokio::test(start_paused = true)]
async fn one_account_cannot_hold_all_connections_idle() {
    let mut door = Door::default();
    let mut hoard = Vec::new();
    for host in [1, 2] {
        let connections = door.admit_all(source(host), 4);
        door.proved(&connections);
        hoard.extend(connections);
    }
    let newcomer = door.admit(source(3)).unwrap();
    assert_eq!(closed(&hoard).len(), 1);
    assert!(!newcomer.closing().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_source_at_its_limit_loses_only_its_own_connections() {
    let mut door = Door::default();
    let other = door.admit(source(2)).unwrap();
    let own = door.admit_all(source(1), 4);
    door.admit(source(1)).unwrap();
    assert_eq!(closed(&own), [0]);
    let mut door = Door::default();
    let own = door.admit_all(source(1), 4);
    door.completed(&own);
    assert_eq!(door.admit(source(1)).unwrap_err(), Refused::FullForAddress);
    assert!(!other.closing().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_site_has_a_limit_besides_that_of_its_networks() {
    let mut door = Door::default();
    let site: Vec<_> = (0..5).map(|n| door.admit(of_site(1, n)).unwrap()).collect();
    let elsewhere = door.admit(of_site(2, 0)).unwrap();
    door.admit(of_site(1, 9)).unwrap();
    assert_eq!(closed(&site), [0]);
    door.completed(&site[1..]);
    // This newcomer replaces the only unproven connection of the site. The next one is refused.
    let last = door.admit(of_site(1, 10)).unwrap();
    door.completed(&[last]);
    assert_eq!(door.admit(of_site(1, 11)).unwrap_err(), Refused::FullForSite);
    assert!(!elsewhere.closing().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_trusted_proxy_has_only_the_total_limit() {
    let mut table = Table::default();
    let mut admit = |source| table.admit(source, true, &LIMITS, Instant::now());
    let proxied: Vec<_> = (0..8).map(|_| admit(source(1)).unwrap().0).collect();
    assert_eq!(admit(source(1)).unwrap_err(), Refused::Full);
    let stranger = table.admit(source(2), false, &LIMITS, Instant::now());
    assert_eq!(stranger.unwrap_err(), Refused::Full);
    assert!(closed(&proxied).is_empty());
}

#[tokio::test(start_paused = true)]
async fn connections_that_do_not_close_are_bounded() {
    let mut door = Door::default();
    let mut admitted = 0;
    let refused = loop {
        match door.admit(source(admitted as u8 % 3)) {
            Ok(_) => admitted += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused, admitted), (Refused::Full, 6 + MAX_CLOSING));
}

#[tokio::test(start_paused = true)]
async fn the_table_is_empty_after_all_connections_close() {
    let mut door = Door::default();
    let mut all = door.admit_all(source(1), 4);
    all.extend((0..6).map(|n| door.admit(of_site(1, n % 4)).unwrap()));
    door.completed(&all);
    door.proved(&all[5..]);
    door.completed(&all);
    door.release(all);
    let Table { open, closing, strangers, sources, sites, unproven, .. } = door.0;
    assert_eq!((open, closing, strangers), (0, 0, 0));
    assert!(sources.is_empty() && sites.is_empty() && unproven.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_number_of_proven_sources_is_bounded() {
    let mut door = Door::default();
    for n in 0..MAX_KNOWN as u32 + 100 {
        let connection = vec![door.admit(Source::V4(n)).unwrap()];
        door.proved(&connection);
        door.release(connection);
    }
    assert_eq!(door.0.known.len(), MAX_KNOWN);
}
