//! TLS connections: admitted and rejected peers, and certificates that change under load.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use gantry_probe::probe::v1::{ActRequest, probe_service_client::ProbeServiceClient};
use gantry_server::{ServerTls, Settings};
use gantry_test_authority::{Authority, Issued, put};
use gantry_tls::ClientTls;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};

use crate::{
    log::Log,
    world::{TEST_TIMEOUT, World, eventually, lenient, reason, with_token},
};

/// Starts a server named `probe` that checks its files continuously.
async fn serve(issued: &Issued, client_ca: Option<&Authority>) -> World {
    let settings = settings(issued, client_ca);
    World::with(|builder| builder.settings(settings)).await
}

fn settings(issued: &Issued, client_ca: Option<&Authority>) -> Settings {
    let mut tls = ServerTls::new(&issued.cert_file, &issued.key_file)
        .reload_interval(Duration::from_millis(20));
    tls.client_ca_file = client_ca.map(Authority::ca_file);
    lenient().tls(tls)
}

/// Returns a channel of another implementation with this certificate.
fn channel(address: SocketAddr, authority: &Authority, identity: Option<&Issued>) -> Channel {
    let read = |path| std::fs::read(path).unwrap();
    let ca = Certificate::from_pem(read(authority.ca_file()));
    let mut tls = ClientTlsConfig::new().ca_certificate(ca).domain_name("probe");
    if let Some(Issued { cert_file, key_file }) = identity.cloned() {
        tls = tls.identity(Identity::from_pem(read(cert_file), read(key_file)));
    }
    let endpoint = Channel::from_shared(format!("https://{address}")).unwrap();
    endpoint.tls_config(tls).unwrap().connect_lazy()
}

async fn act(channel: Channel) -> Result<(), tonic::Status> {
    let mut client = ProbeServiceClient::new(channel);
    timeout(TEST_TIMEOUT, client.act(ActRequest::default())).await.expect("no call hangs").map(drop)
}

/// Completes the handshake and does nothing else.
async fn shake(address: SocketAddr, tls: &ClientTls) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(tls.load().unwrap().current());
    let stream = TcpStream::connect(address).await?;
    let shaken = connector.connect(tls.certificate_name("probe").unwrap(), stream);
    timeout(TEST_TIMEOUT, shaken).await.expect("no handshake hangs")
}

#[tokio::test]
async fn calls_go_through_tls_and_http2_is_agreed_on() {
    let authority = Authority::new();
    let world = serve(&authority.issue("server", &["probe"]), None).await;
    act(channel(world.address, &authority, None)).await.unwrap();
    let stream = shake(world.address, &ClientTls::trusting(authority.ca_file())).await.unwrap();
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn plaintext_to_a_tls_port_is_answered_with_an_alert_and_closed() {
    let authority = Authority::new();
    let world = serve(&authority.issue("server", &["probe"]), None).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await.unwrap().ok();
    // An alert (RFC 8446, section 6), which is meaningless to a peer without TLS.
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    act(channel(world.address, &authority, None)).await.unwrap();
}

#[tokio::test]
async fn tls_to_a_plaintext_port_fails_at_once() {
    let authority = Authority::new();
    let world = World::start().await;
    let refused = shake(world.address, &ClientTls::trusting(authority.ca_file())).await;
    assert!(refused.is_err());
    let status = act(channel(world.address, &authority, None)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    world.client().await.act(ActRequest::default()).await.unwrap();
}

#[tokio::test]
async fn a_peer_with_the_wrong_protocol_is_logged() {
    let authority = Authority::new();
    let log = Log::catch();
    let secured = serve(&authority.issue("server", &["probe"]), None).await;
    let plain = World::start().await;
    let hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
    for (world, first, line) in [
        (
            &secured,
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            "plaintext to a TLS port: call it with TLS",
        ),
        (
            &secured,
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "plaintext to a TLS port: call it with TLS",
        ),
        (&plain, hello, "TLS to a plaintext port: call it without TLS"),
        (&plain, b"POST / HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1 to a gRPC port: gRPC needs HTTP/2"),
    ] {
        let before = log.containing(line).len();
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(first).await.unwrap();
        let own = stream.local_addr().unwrap().to_string();
        let mut answer = Vec::new();
        timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await.expect("it is closed").ok();
        eventually(line, || log.containing(line).len() == before + 1).await;
        let line_of_peer = log.containing(line).pop().unwrap();
        assert_eq!((&line_of_peer["level"], &line_of_peer["peer"]), (&"WARN".to_owned(), &own));
    }
    // Silent connections and valid calls cause no warning.
    drop(TcpStream::connect(plain.address).await.unwrap());
    act(channel(secured.address, &authority, None)).await.unwrap();
    plain.client().await.act(ActRequest::default()).await.unwrap();
    assert_eq!(log.containing("port: ").len(), 4);
}

#[tokio::test]
async fn with_client_authentication_only_trusted_callers_connect() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let world = serve(&authority.issue("server", &["probe"]), Some(&authority)).await;
    let good = authority.issue("order", &["order"]);
    act(channel(world.address, &authority, Some(&good))).await.unwrap();
    let expired = authority.issue_until("old", &["order"], time::Duration::hours(-1));
    let stranger = strangers.issue("order", &["order"]);
    for (identity, alert) in [
        (None, "CertificateRequired"),
        (Some(stranger), "UnknownCA"),
        (Some(expired), "CertificateExpired"),
    ] {
        let trusting = ClientTls::trusting(authority.ca_file());
        let tls = match &identity {
            None => trusting,
            Some(issued) => trusting.cert_file(&issued.cert_file).key_file(&issued.key_file),
        };
        // In TLS 1.3 the client completes the handshake before the server has checked its
        // certificate. Its first request does not cost it the alert.
        let mut stream = shake(world.address, &tls).await.unwrap();
        stream.write_all(&[0; 32 * 1024]).await.unwrap();
        stream.flush().await.unwrap();
        let refused = timeout(TEST_TIMEOUT, stream.read(&mut [0])).await.unwrap().unwrap_err();
        assert_eq!(refused.to_string(), format!("received fatal alert: {alert}"));
        let identity = identity.as_ref();
        act(channel(world.address, &authority, identity)).await.unwrap_err();
    }
    assert_eq!(world.seen.started(), 1, "only one call reached the handler");
}

#[tokio::test]
async fn a_services_token_is_valid_only_with_its_certificate() {
    let authority = Authority::new();
    let issued = authority.issue("server", &["probe"]);
    let mutual = serve(&issued, Some(&authority)).await;
    let one_sided = serve(&issued, None).await;
    for (world, names, service_is_taken) in [
        (&mutual, Some(&["order"][..]), true),
        (&mutual, Some(&["gantry.internal", "Order"]), true),
        (&mutual, Some(&["inventory"]), false),
        (&mutual, Some(&["order.example.org", "*.order", "border"]), false),
        (&mutual, Some(&["127.0.0.1"]), false),
        (&one_sided, None, true),
    ] {
        let identity = names.map(|names| authority.issue("caller", names));
        let channel = channel(world.address, &authority, identity.as_ref());
        let mut client = ProbeServiceClient::new(channel);
        for (token, is_taken) in [
            (world.keys.service(None), service_is_taken),
            (world.keys.service(Some("admin")), service_is_taken),
            // A user has no certificate and calls through a service or a gateway.
            (world.keys.user("admin", 0), true),
        ] {
            let answer = client.guarded(with_token(ActRequest::default(), &token)).await;
            match answer {
                Ok(_) => assert!(is_taken, "{names:?}"),
                Err(status) => {
                    assert_eq!(reason(&status), "TOKEN_INVALID", "{names:?}: {status:?}");
                    assert!(!is_taken && status.message().contains("certificate"), "{status:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_incomplete_handshake_is_closed() {
    let authority = Authority::new();
    let issued = authority.issue("server", &["probe"]);
    let mut settings = settings(&issued, None);
    settings.connections.handshake_timeout = Duration::from_millis(300);
    let world = World::with(|builder| builder.settings(settings)).await;
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    let mut halfway = TcpStream::connect(world.address).await.unwrap();
    // Head of a ClientHello of 512 bytes, without its content.
    halfway.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    for stream in [&mut silent, &mut halfway] {
        let ended = timeout(TEST_TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
        let _ = ended.expect("it is closed");
    }
    // TLS without HTTP/2 has the same timeout.
    let trusting = ClientTls::trusting(authority.ca_file());
    let mut shaken = shake(world.address, &trusting).await.unwrap();
    let ended = timeout(TEST_TIMEOUT, shaken.read_to_end(&mut Vec::new())).await;
    let _ = ended.expect("it is closed");
    act(channel(world.address, &authority, None)).await.unwrap();
}

#[tokio::test]
async fn an_unfinished_handshake_does_not_delay_a_drain() {
    let authority = Authority::new();
    let mut world = serve(&authority.issue("server", &["probe"]), None).await;
    let mut stuck = TcpStream::connect(world.address).await.unwrap();
    // Head of a handshake record, without its content.
    stuck.write_all(&[22, 3, 1, 0, 200]).await.unwrap();
    act(channel(world.address, &authority, None)).await.unwrap();
    world.shut_down();
    world.ended().await.unwrap();
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_under_load_and_no_call_fails() {
    const ROTATIONS: usize = 5;
    let authority = Arc::new(Authority::new());
    let issued = authority.issue("server", &["probe"]);
    let world = serve(&issued, Some(&authority)).await;
    let address = world.address;
    let caller = authority.issue("order", &["order"]);
    let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = Vec::new();
    for worker in 0..6 {
        let (authority, caller) = (Arc::clone(&authority), caller.clone());
        let connect = move || channel(address, &authority, Some(&caller));
        let (done, calls) = (Arc::clone(&done), Arc::clone(&calls));
        load.push(tokio::spawn(async move {
            let mut channel = connect();
            while !done.load(Ordering::SeqCst) {
                act(channel.clone()).await.unwrap();
                calls.fetch_add(1, Ordering::SeqCst);
                if worker % 2 == 0 {
                    // Half of the calls use a new connection each.
                    channel = connect();
                }
            }
        }));
    }
    let caller = ClientTls::trusting(authority.ca_file())
        .cert_file(caller.cert_file)
        .key_file(caller.key_file);
    for rotation in 0..ROTATIONS {
        if rotation == 2 {
            // An invalid certificate changes nothing.
            put(&issued.cert_file, "nonsense");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let before = calls.load(Ordering::SeqCst);
        authority.issue("server", &["probe"]);
        let new = CertificateDer::from_pem_file(&issued.cert_file).unwrap();
        let started = tokio::time::Instant::now();
        loop {
            let stream = shake(address, &caller).await.unwrap();
            if stream.get_ref().1.peer_certificates().unwrap()[0] == new {
                break;
            }
            assert!(started.elapsed() < TEST_TIMEOUT, "the server presents the new certificate");
        }
        eventually("calls go on", || calls.load(Ordering::SeqCst) > before + 20).await;
    }
    done.store(true, Ordering::SeqCst);
    for worker in load {
        worker.await.expect("no call failed");
    }
}
