//! Tasks that keep an endpoint connected and drive its connections.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::{Instant, sleep};

use super::{
    backoff::Backoff,
    connection::{Closed, Connection, Drive},
    endpoint_connections::EndpointConnections,
    keep_alive::Pace,
    shared::Shared,
};

/// Minimum lifetime of a connection without a response that counts as success of its endpoint.
const PROVEN: Duration = Duration::from_secs(1);

/// Time after which waiting calls cut a reconnect pause short.
const HURRIED: Duration = Duration::from_secs(1);

/// Keeps an endpoint connected while the registry lists it: with one connection, and more while
/// calls fill them. Runs until aborted.
pub(super) async fn keep_connected(endpoint: Arc<EndpointConnections>, pool: Weak<Shared>) {
    let Some((settings, tls)) =
        pool.upgrade().map(|pool| (pool.settings.clone(), pool.tls.clone()))
    else {
        return;
    };
    let mut backoff = Backoff::new(settings.reconnect_initial, settings.reconnect_max);
    let mut rng = Rng::new();
    let mut since: Option<Instant> = None;
    let mut failing = false;
    loop {
        while !endpoint.wants_connection() {
            endpoint.rest().await;
        }
        if let Some(since) = since.take() {
            let answered = endpoint.take_answered();
            if endpoint.connected() > 0 || answered || since.elapsed() >= PROVEN {
                backoff.reset();
            } else {
                pause(&endpoint, backoff.pause(&mut rng)).await;
            }
        }
        let complaints = endpoint.complaints.load(Ordering::Relaxed);
        let pace = Pace::new(&settings, endpoint.is_gantry, complaints);
        let opened = Connection::open(endpoint.address, pace, tls.as_deref(), &settings).await;
        let weak = &pool;
        let Some(pool) = weak.upgrade() else { return };
        match opened {
            Ok(_) if !endpoint.is_listed() => {}
            Ok((connection, drive)) => {
                tracing::debug!(service = %pool.service, endpoint = %endpoint.address, "connected");
                failing = false;
                since = Some(Instant::now());
                endpoint.set_error(None);
                let connection = endpoint.add(connection);
                endpoint.not_crowded();
                let (connection, endpoint) =
                    (Arc::downgrade(&connection), Arc::downgrade(&endpoint));
                tokio::spawn(drive_to_end(drive, connection, endpoint, Weak::clone(weak)));
                pool.available.notify_waiters();
            }
            Err(error) => {
                let why = error.to_string();
                if !failing && endpoint.connected() == 0 {
                    tracing::warn!(service = %pool.service, endpoint = %endpoint.address, why,
                        "endpoint cannot be connected, it gets no calls until it can");
                }
                failing = true;
                endpoint.not_crowded();
                endpoint.set_error(Some(why));
                drop(pool);
                pause(&endpoint, backoff.pause(&mut rng)).await;
            }
        }
    }
}

/// Pauses before another attempt. Waiting calls may cut it short, and a probe ends it.
async fn pause(endpoint: &EndpointConnections, pause: Duration) {
    let hurried = async {
        sleep(HURRIED).await;
        endpoint.hurry.notified().await;
    };
    tokio::select! {
        () = sleep(pause) => {}
        () = hurried, if pause > HURRIED => {}
        () = endpoint.dial.notified() => {}
    }
}

/// Owned by the connection's senders and calls, and ends with the last of them.
async fn drive_to_end(
    mut drive: Drive,
    connection: Weak<Connection>,
    endpoint: Weak<EndpointConnections>,
    pool: Weak<Shared>,
) {
    let more_room = || {
        if let Some(pool) = pool.upgrade() {
            pool.available.notify_waiters();
        }
    };
    let closed = drive.until_closed(&connection, more_room).await;
    // An ended connection fails its calls when dropped.
    let drains = matches!(closed, Closed::Drains(_)).then_some(drive);
    if let Some(endpoint) = endpoint.upgrade() {
        if closed.complains_of_pings() {
            endpoint.complaints.fetch_add(1, Ordering::Relaxed);
            tracing::info!(endpoint = %endpoint.address,
                "endpoint complains of too many pings, it gets half as many");
        }
        if let Some(why) = closed.why() {
            tracing::debug!(endpoint = %endpoint.address, why, "connection lost");
            endpoint.set_error(Some(why));
        }
        if let Some(connection) = connection.upgrade() {
            endpoint.forget(&connection);
        }
        if endpoint.connected() == 0
            && let Some(pool) = pool.upgrade()
        {
            pool.unconnected.notify_one();
        }
    }
    if let Some(drive) = drains {
        drive.until_ended().await;
    }
}
