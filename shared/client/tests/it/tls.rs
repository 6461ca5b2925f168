//! Endpoints behind TLS: verification of both sides, and errors that name the wrong one.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use gantry_client::{BuildProblem, ClientSettings, ClientTls};
use gantry_contract::GantryReason;
use gantry_test_authority::{Authority, Issued};
use gantry_tls::ServerTls;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_rustls::TlsAcceptor;
use tonic::Code;

use crate::{
    caller::{FIND, GET, Setup, assert_failed, builder, call, warm, within},
    server::{Server, reply},
};

/// TLS proxy in front of a plaintext server.
struct Terminator {
    address: SocketAddr,
    /// Certificates that clients have presented, oldest first.
    shown: Arc<Mutex<Vec<CertificateDer<'static>>>>,
    _connections: JoinSet<()>,
}

impl Terminator {
    async fn start(issued: &Issued, client_ca: Option<&Authority>, behind: &Server) -> Self {
        let mut tls = ServerTls::new(&issued.cert_file, &issued.key_file);
        tls.client_ca_file = client_ca.map(Authority::ca_file);
        let acceptor = TlsAcceptor::from(tls.load().unwrap().current());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shown = Arc::<Mutex<Vec<_>>>::default();
        let (showing, behind) = (Arc::clone(&shown), behind.address);
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut accepted = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, shown) = (acceptor.clone(), Arc::clone(&showing));
                accepted.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let certificates = stream.get_ref().1.peer_certificates();
                    if let Some([certificate, ..]) = certificates {
                        shown.lock().unwrap().push(certificate.clone().into_owned());
                    }
                    let mut behind = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut behind).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, shown, _connections: connections }
    }
}

fn settings(tls: impl Into<Option<ClientTls>>) -> ClientSettings {
    let mut settings = ClientSettings::default().endpoint_wait(Duration::from_millis(500));
    settings.tls = tls.into();
    settings
}

/// Waits until the only endpoint has failed to connect, since the wait of a call is short here.
async fn refused(setup: &Setup) {
    within("failure to connect", || {
        let endpoints = setup.channel.snapshot().endpoints;
        endpoints.iter().any(|one| one.last_error.is_some()).then_some(()).ok_or(endpoints)
    })
    .await;
}

fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::trusting(authority.ca_file())
}

fn showing(authority: &Authority, issued: &Issued) -> ClientTls {
    trusting(authority)
        .cert_file(&issued.cert_file)
        .key_file(&issued.key_file)
        .reload_interval(Duration::from_millis(20))
}

#[tokio::test]
async fn tls_checks_the_name_of_the_service_or_the_configured_one() {
    let authority = Authority::new();
    let server =
        Server::answering(
            |hit| async move { reply(hit.request.uri().scheme_str().unwrap_or("none")) },
        )
        .await;
    let echo = Terminator::start(&authority.issue("echo", &["echo"]), None, &server).await;
    let other = Terminator::start(&authority.issue("x", &["echo.example"]), None, &server).await;
    let named = trusting(&authority).server_name("echo.example");
    for (tls, address) in [(trusting(&authority), echo.address), (named, other.address)] {
        let setup = Setup::with(settings(tls));
        let _registration = setup.register(address).await;
        warm(&setup.channel, 1).await;
        assert_eq!(call(&setup.channel, GET).await.unwrap(), "https");
    }
}

#[tokio::test]
async fn an_endpoint_without_a_valid_certificate_gets_no_call() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let server = Server::start().await;
    let expired = authority.issue_until("expired", &["echo"], time::Duration::hours(-1));
    for (issued, why) in [
        (expired, "certificate expired"),
        (authority.issue("other", &["user"]), "certificate not valid for name \"echo\""),
        (strangers.issue("echo", &["echo"]), "UnknownIssuer"),
    ] {
        let endpoint = Terminator::start(&issued, None, &server).await;
        let setup = Setup::with(settings(trusting(&authority)));
        let _registration = setup.register(endpoint.address).await;
        refused(&setup).await;
        let status = call(&setup.channel, GET).await.unwrap_err();
        let at = endpoint.address.to_string();
        assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &[&at, "TLS", why]);
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn plaintext_to_tls_and_tls_to_plaintext_are_named() {
    let authority = Authority::new();
    let server = Server::start().await;
    let echo = Terminator::start(&authority.issue("echo", &["echo"]), None, &server).await;
    for (tls, address, why) in [
        (None, echo.address, "it speaks TLS, and client.tls is not set"),
        (Some(trusting(&authority)), server.address, "it does not speak TLS"),
    ] {
        let setup = Setup::with(settings(tls));
        let _registration = setup.register(address).await;
        refused(&setup).await;
        let status = call(&setup.channel, GET).await.unwrap_err();
        assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &[why]);
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn an_untrusted_caller_gets_the_reason() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let server = Server::start().await;
    let issued = authority.issue("echo", &["echo"]);
    let echo = Terminator::start(&issued, Some(&authority), &server).await;
    let stranger = strangers.issue("order", &["order"]);
    for (tls, alert) in [
        (trusting(&authority), "received fatal alert: CertificateRequired"),
        (showing(&authority, &stranger), "received fatal alert: UnknownCA"),
    ] {
        let setup = Setup::with(settings(tls));
        let _registration = setup.register(echo.address).await;
        refused(&setup).await;
        let status = call(&setup.channel, GET).await.unwrap_err();
        assert_failed(&status, Code::Unavailable, GantryReason::NoEndpoint, &["TLS", alert]);
    }
    let own = showing(&authority, &authority.issue("order", &["order"]));
    let setup = Setup::with(settings(own));
    let _registration = setup.register(echo.address).await;
    warm(&setup.channel, 1).await;
    call(&setup.channel, GET).await.unwrap();
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn new_connections_present_a_renewed_certificate() {
    let authority = Authority::new();
    let server = Server::start().await;
    let issued = authority.issue("echo", &["echo"]);
    let caller = authority.issue("order", &["order"]);
    let setup = Setup::with(settings(showing(&authority, &caller)));
    let first = Terminator::start(&issued, Some(&authority), &server).await;
    let mut registrations = vec![setup.register(first.address).await];
    warm(&setup.channel, 1).await;

    let channel = setup.channel.clone();
    let load = tokio::spawn(async move {
        loop {
            call(&channel, FIND).await.unwrap();
        }
    });
    let mut terminators = vec![first];
    for _ in 0..4 {
        authority.issue("order", &["order"]);
        let new = CertificateDer::from_pem_file(&caller.cert_file).unwrap();
        // Each joining endpoint gets a new connection, so one of them soon sees the new
        // certificate.
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let joining = Terminator::start(&issued, Some(&authority), &server).await;
            registrations.push(setup.register(joining.address).await);
            terminators.push(joining);
            warm(&setup.channel, terminators.len()).await;
            if terminators.iter().any(|one| one.shown.lock().unwrap().contains(&new)) {
                break;
            }
            assert!(Instant::now() < until, "the new certificate is shown");
            sleep(Duration::from_millis(30)).await;
        }
    }
    assert!(!load.is_finished(), "no call failed");
    load.abort();
}

#[tokio::test]
async fn invalid_certificate_files_fail_the_build() {
    let authority = Authority::new();
    let setup = Setup::new();
    let build = |tls| builder(&setup.registry).settings(settings(tls)).build();
    let error = build(ClientTls::trusting("/absent")).unwrap_err();
    let [BuildProblem::Tls(invalid)] = error.problems() else { panic!("{error}") };
    assert_eq!(invalid.key, "ca_file");
    let unnamed = trusting(&authority).server_name("no name");
    let error = build(unnamed).unwrap_err().to_string();
    assert!(error.contains("tls.server_name"), "{error}");
}
