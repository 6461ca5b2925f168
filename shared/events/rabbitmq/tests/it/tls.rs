//! A broker with TLS that requires certificates of its clients.

use std::fs;

use gantry_events::{Bus, BusError};
use gantry_events_rabbitmq::Settings;
use gantry_rabbitmq_broker::{Broker, Tls};
use gantry_test_authority::{Authority, put};

use crate::support::{Place, bus, misconfigured, orders, placed, publish, receive, soon};

#[tokio::test]
async fn both_sides_verify_each_other() {
    let authority = Authority::new();
    let server = authority.issue("server", &["localhost"]);
    let client = authority.issue("client", &["order"]);
    let ca_file = authority.ca_file();
    let broker = Broker::start_tls(Tls {
        cert_file: &server.cert_file,
        key_file: &server.key_file,
        client_ca_file: Some(&ca_file),
    });
    let place = Place::on(&broker).await;
    let trusting = |ca_file| {
        let url = place.broker.tls_url(&place.vhost);
        place.settings().url(url).ca_file(ca_file)
    };
    let with_client = |settings: Settings| {
        settings.cert_file(client.cert_file.clone()).key_file(client.key_file.clone())
    };

    let right = bus(&with_client(trusting(ca_file.clone())));
    let mut deliveries = soon(right.subscribe(&orders("user"))).await.unwrap();
    publish(&right, &placed(3)).await.unwrap();
    assert_eq!(receive(&mut *deliveries, 3).await, placed(3));

    let without = bus(&trusting(ca_file.clone()));
    // The broker closes at once, and a reset may overtake its alert. Another attempt tells then.
    let why = loop {
        match soon(without.publisher()).await {
            Err(BusError::Unavailable(_)) => {}
            ended => break misconfigured(ended),
        }
    };
    assert!(why.contains("events.rabbitmq.cert_file"), "{why}");

    let other = Authority::new();
    let wrong = bus(&with_client(trusting(other.ca_file())));
    let why = misconfigured(soon(wrong.publisher()).await);
    assert!(why.contains("is not trusted") && why.contains("events.rabbitmq.ca_file"), "{why}");

    // The files are read again for each connection, and an unusable one changes nothing.
    put(&other.ca_file(), &fs::read_to_string(&ca_file).unwrap());
    soon(wrong.publisher()).await.unwrap();
    put(&other.ca_file(), "no certificate");
    soon(wrong.publisher()).await.unwrap();

    let name = place.broker.tls_url(&place.vhost).replace("localhost", "127.0.0.1");
    let why = misconfigured(soon(bus(&with_client(trusting(ca_file)).url(name)).publisher()).await);
    assert!(why.contains("the host in events.rabbitmq.url"), "{why}");
}
