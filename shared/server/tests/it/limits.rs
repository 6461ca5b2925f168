//! Rate limits and the concurrency limit, each with refused and accepted calls.

use std::{net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all};
use gantry_probe::probe::v1::{
    ActRequest, ActResponse, CountRequest, probe_service_client::ProbeServiceClient,
};
use gantry_server::{BuildProblem, ForwardedBy, RateSettings, Server, Settings};
use http_body_util::Full;
use tokio::task::JoinSet;
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

use crate::{
    raw::{framed, request, send},
    world::{World, eventually, lenient, reason, with_token},
};

const ACT: &str = "/probe.v1.ProbeService/Act";

/// Returns a rate that admits `burst` calls and refills nothing during a test.
const fn only(burst: u32) -> RateSettings {
    RateSettings::new(0.001, burst)
}

fn nap(nap_ms: u32) -> ActRequest {
    ActRequest { nap_ms, ..ActRequest::default() }
}

async fn world(change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = lenient();
    change(&mut settings);
    World::with(|builder| builder.settings(settings)).await
}

/// Asserts that this limit refused the call, with a retry delay.
fn assert_limited(refused: &Status, limit: &str) {
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert_eq!(reason(refused), "RATE_LIMITED");
    assert_eq!(refused.get_details_error_info().unwrap().metadata["limit"], limit);
    let (header, details) = retry_later(refused);
    // A token takes 1,000 s to refill.
    assert!((900_000..=1_000_000).contains(&header), "{header}");
    assert_eq!(details.as_millis().div_ceil(1000), u128::from(header).div_ceil(1000));
}

/// Returns the retry delay of a refusal: from the header in milliseconds, and from the details.
fn retry_later(refused: &Status) -> (u64, Duration) {
    let header = refused.metadata().get("grpc-retry-pushback-ms").expect("a pushback");
    let details = refused.get_details_retry_info().expect("a RetryInfo");
    (header.to_str().unwrap().parse().unwrap(), details.retry_delay.unwrap())
}

async fn healthy(channel: Channel) {
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn calls_without_credentials_are_limited_per_address() {
    let world = world(|settings| settings.limits.per_address = only(5)).await;
    let mut client = world.client().await;
    for _ in 0..5 {
        client.act(nap(0)).await.unwrap();
    }
    for _ in 0..3 {
        assert_limited(&client.act(nap(0)).await.unwrap_err(), "address");
        assert_limited(&client.guarded(nap(0)).await.unwrap_err(), "address");
    }
    // Another connection counts for the same address.
    assert_limited(&world.client().await.act(nap(0)).await.unwrap_err(), "address");
    assert_eq!(world.seen.started(), 5);
    // An authenticated caller has its own limit, and probes have none.
    let token = world.keys.user("admin", 0);
    for _ in 0..20 {
        client.guarded(with_token(nap(0), &token)).await.unwrap();
        healthy(world.channel().await).await;
    }
    // A token does not permit more calls of public methods.
    assert_limited(&client.act(with_token(nap(0), &token)).await.unwrap_err(), "address");
}

#[tokio::test]
async fn a_token_does_not_lift_the_address_limit() {
    let world = world(|settings| settings.limits.per_address = only(3)).await;
    let mut client = world.client().await;
    let token = world.keys.user("admin", 0);
    client.guarded(with_token(nap(0), &token)).await.unwrap();
    for _ in 0..3 {
        client.act(with_token(nap(0), &token)).await.unwrap();
    }
    for token in [&token, &world.keys.user("owner", 1), &world.keys.service(None)] {
        assert_limited(&client.act(with_token(nap(0), token)).await.unwrap_err(), "address");
    }
    assert_limited(&client.act(nap(0)).await.unwrap_err(), "address");
}

#[tokio::test]
async fn the_default_address_limit_is_twenty_at_once() {
    let world = world(|settings| settings.limits = Settings::default().limits).await;
    let client = world.client().await;
    let calls = (0..200).map(|_| {
        let mut client = client.clone();
        async move { client.act(nap(0)).await.is_ok() }
    });
    let answered = join_all(calls).await.into_iter().filter(|answered| *answered).count();
    // The limit also refills ten per second while the calls run.
    assert!((20..200).contains(&answered), "{answered}");
}

/// Returns a source of invalid credentials, each different.
fn made_up() -> impl FnMut() -> String {
    let mut made = 0;
    move || {
        made += 1;
        format!("Bearer made-up-{made}")
    }
}

#[tokio::test]
async fn invalid_credentials_are_limited_per_address() {
    let world = world(|settings| settings.limits.per_address_unproven = only(5)).await;
    let mut client = world.client().await;
    let known = world.keys.user("admin", 0);
    client.guarded(with_token(nap(0), &known)).await.unwrap();
    let mut bad = made_up();
    // The first costs no token: the source has no failure yet.
    for _ in 0..1 + 5 {
        let refused = client.guarded(with_token(nap(0), &bad())).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    for _ in 0..3 {
        let refused = client.guarded(with_token(nap(0), &bad())).await.unwrap_err();
        assert_limited(&refused, "credentials");
    }
    // Verified credentials pass, and so do calls without any.
    client.guarded(with_token(nap(0), &known)).await.unwrap();
    client.act(nap(0)).await.unwrap();
    assert_eq!(world.seen.started(), 3);
}

#[tokio::test]
async fn invalid_credentials_do_not_limit_new_valid_ones() {
    let world = world(|settings| {
        settings.limits.per_address_unproven = only(20);
        settings.limits.per_address = only(20);
    })
    .await;
    let mut flood = world.client().await;
    let mut bad = made_up();
    let mut limited = 0;
    for _ in 0..200 {
        let refused = flood.guarded(with_token(nap(0), &bad())).await.unwrap_err();
        limited += u32::from(refused.code() == Code::ResourceExhausted);
    }
    assert_eq!(limited, 200 - 1 - 20);
    // New tokens from the same address, each on its own connection or all on one.
    let mut one = world.client().await;
    for seconds_ago in 0..10 {
        let token = world.keys.user("admin", seconds_ago);
        one.guarded(with_token(nap(0), &token)).await.unwrap();
        let token = world.keys.user("owner", seconds_ago);
        world.client().await.guarded(with_token(nap(0), &token)).await.unwrap();
    }
    // Calls without credentials have their own limit.
    one.act(nap(0)).await.unwrap();
}

fn forwarded(header: &'static str, value: &str) -> http::Request<Full<Bytes>> {
    let mut request = request(ACT, framed(&nap(0)));
    request.headers_mut().insert(header, value.parse().unwrap());
    request
}

#[tokio::test]
async fn a_trusted_proxy_reports_the_clients_address() {
    for (by, header, prefix) in [
        (ForwardedBy::XForwardedFor, "x-forwarded-for", ""),
        (ForwardedBy::Forwarded, "forwarded", "for="),
    ] {
        let world = world(|settings| {
            settings.limits.per_address = only(2);
            settings.limits.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            settings.limits.forwarded_by = by;
        })
        .await;
        for client in ["192.0.2.1", "192.0.2.2"] {
            for made_up in ["198.51.100.1", "198.51.100.2"] {
                let value = format!("{prefix}{made_up}, {prefix}{client}");
                assert_eq!(send(&world, forwarded(header, &value)).await.grpc().code(), Code::Ok);
            }
            let value = format!("{prefix}198.51.100.3, {prefix}{client}");
            assert_limited(&send(&world, forwarded(header, &value)).await.grpc(), "address");
        }
    }
}

#[tokio::test]
async fn a_forwarded_header_of_an_untrusted_peer_is_ignored() {
    let world = world(|settings| settings.limits.per_address = only(2)).await;
    for n in 0..4 {
        let client = Ipv4Addr::new(192, 0, 2, n).to_string();
        let status = send(&world, forwarded("x-forwarded-for", &client)).await.grpc();
        assert_eq!(status.code() == Code::Ok, n < 2, "{n}");
    }
}

#[tokio::test]
async fn a_user_has_one_limit_for_direct_and_delegated_calls() {
    let world = world(|settings| settings.limits.per_user = only(3)).await;
    let mut client = world.client().await;
    // One user with two tokens, one of them of a service.
    for token in [
        world.keys.user("admin", 0),
        world.keys.service(Some("admin")),
        world.keys.user("admin", 1),
    ] {
        client.guarded(with_token(nap(0), &token)).await.unwrap();
    }
    for token in [world.keys.user("admin", 0), world.keys.service(Some("admin"))] {
        assert_limited(&client.guarded(with_token(nap(0), &token)).await.unwrap_err(), "caller");
        assert_limited(&client.act(with_token(nap(0), &token)).await.unwrap_err(), "caller");
    }
    // Other users are not affected, and a service has no limit by default.
    for _ in 0..10 {
        client.act(nap(0)).await.unwrap();
        client.guarded(with_token(nap(0), &world.keys.service(None))).await.unwrap();
    }
}

#[tokio::test]
async fn a_service_can_be_given_a_limit() {
    let world = world(|settings| settings.limits.per_service = Some(only(2))).await;
    let mut client = world.client().await;
    let token = world.keys.service(None);
    for _ in 0..2 {
        client.guarded(with_token(nap(0), &token)).await.unwrap();
    }
    assert_limited(&client.guarded(with_token(nap(0), &token)).await.unwrap_err(), "caller");
}

#[tokio::test]
async fn unauthorized_calls_count_towards_the_limit() {
    let world = world(|settings| settings.limits.per_user = only(2)).await;
    let mut client = world.client().await;
    let token = world.keys.user("nobody", 0);
    for _ in 0..2 {
        let denied = client.guarded(with_token(nap(0), &token)).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
    }
    assert_limited(&client.guarded(with_token(nap(0), &token)).await.unwrap_err(), "caller");
}

#[tokio::test]
async fn a_public_class_counts_for_address_and_caller() {
    let requests: [fn(&World) -> Request<ActRequest>; 3] = [
        |_| Request::new(nap(0)),
        |world| with_token(nap(0), &world.keys.user("admin", 0)),
        |world| with_token(nap(0), &world.keys.service(None)),
    ];
    for first in requests {
        let world = World::start().await;
        let mut client = world.client().await;
        for _ in 0..3 {
            client.scarce(first(&world)).await.unwrap();
        }
        for request in requests {
            let refused = client.scarce(request(&world)).await.unwrap_err();
            assert_limited(&refused, "scarce");
            // Methods without the class are not affected.
            client.act(request(&world)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn settings_change_only_the_classes_of_the_contract() {
    let classes = [("scarce".to_owned(), only(1))];
    let world = world(|settings| settings.limits.classes = classes.into()).await;
    let mut client = world.client().await;
    client.scarce(nap(0)).await.unwrap();
    assert_limited(&client.scarce(nap(0)).await.unwrap_err(), "scarce");

    let mut settings = Settings::default();
    settings.limits.classes = [("abundant".to_owned(), only(1))].into();
    let built = Server::builder("probe", &gantry_probe::CONTRACT).settings(settings).build();
    let error = built.unwrap_err();
    let [BuildProblem::Setting(problem)] = error.problems() else { panic!("{error}") };
    assert_eq!(problem.key, "limits.classes.abundant");
}

/// Starts calls that run until they are dropped.
async fn busy(
    world: &World,
    client: &ProbeServiceClient<Channel>,
    calls: usize,
) -> JoinSet<Result<Response<ActResponse>, Status>> {
    let before = world.seen.started();
    let mut running = JoinSet::new();
    for _ in 0..calls {
        let mut client = client.clone();
        running.spawn(async move { client.act(nap(50_000)).await });
    }
    eventually("all run", || world.seen.started() == before + calls).await;
    running
}

fn at_most(calls: u32) -> impl FnOnce(&mut Settings) {
    move |settings| {
        let concurrency = &mut settings.concurrency;
        (concurrency.min, concurrency.initial, concurrency.max) = (calls, calls, calls);
    }
}

#[tokio::test]
async fn a_call_beyond_the_limit_is_shed_with_a_retry_delay() {
    let world = world(at_most(5)).await;
    let mut client = world.client().await;
    let running = busy(&world, &client, 5).await;
    for method in ["act", "guarded"] {
        let token = world.keys.user("admin", 0);
        let refused = match method {
            "act" => client.act(nap(0)).await.unwrap_err(),
            _ => client.guarded(with_token(nap(0), &token)).await.unwrap_err(),
        };
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(reason(&refused), "OVERLOADED");
        let (header, details) = retry_later(&refused);
        assert!((50..=150).contains(&header), "{header}");
        assert!(details.as_millis().abs_diff(header.into()) <= 1);
    }
    assert_eq!(world.seen.started(), 5);
    // Probes are never shed.
    healthy(world.channel().await).await;
    // A cancelled call releases its permit.
    drop(running);
    eventually("all are dropped", || world.seen.dropped() == 5).await;
    client.act(nap(0)).await.unwrap();
}

#[tokio::test]
async fn a_stream_counts_until_its_response_begins() {
    let world = world(at_most(2)).await;
    let mut client = world.client().await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let forever = CountRequest { pause_ms: 10, ..CountRequest::default() };
        let mut numbers = client.count(forever).await.unwrap().into_inner();
        assert_eq!(numbers.next().await.unwrap().unwrap().number, 1);
        streams.push(numbers);
    }
    client.act(nap(0)).await.unwrap();
}

#[tokio::test]
async fn a_refused_call_always_releases_its_permit() {
    let world = world(at_most(2)).await;
    let mut client = world.client().await;
    for _ in 0..10 {
        client.guarded(nap(0)).await.unwrap_err();
        client.act(ActRequest { word: "four".into(), ..nap(0) }).await.unwrap_err();
        client.act(ActRequest { panic: true, ..nap(0) }).await.unwrap_err();
        client.brief(nap(60_000)).await.unwrap_err();
    }
    client.act(nap(0)).await.unwrap();
}
