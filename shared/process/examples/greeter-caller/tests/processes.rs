//! The greeter and the service that calls it, each as a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::{fs, net::SocketAddr, path::Path, process::Stdio, sync::Arc, time::Duration};

use gantry_client::Channel;
use gantry_discovery::Registry;
use gantry_identity::{ServiceSigner, SigningKey};
use greeter_caller::{
    CONTRACT,
    welcome::v1::{WelcomeGuestsRequest, welcome_service_client::WelcomeServiceClient},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};
use tonic::Code;

/// Guard against a start that hangs.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running service; killed when dropped.
struct Running {
    _process: Child,
    address: SocketAddr,
    /// Address of the admin pages, if it has any.
    admin: Option<SocketAddr>,
}

impl Running {
    /// Starts a program and waits until it serves.
    async fn start(command: &mut Command) -> Self {
        let mut process =
            command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let serving = async {
            let mut admin = None;
            loop {
                let line = log.next_line().await.unwrap().expect("the log ended");
                let Some((_, address)) = line.split_once("address=") else { continue };
                let address = address.split_whitespace().next().unwrap().parse().unwrap();
                if line.contains("serving") {
                    return (address, admin);
                }
                if line.contains("admin pages listening") {
                    admin = Some(address);
                }
            }
        };
        let (address, admin) = timeout(START_TIMEOUT, serving).await.expect("it does not hang");
        // Keeps reading, so that the process can write its log.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { _process: process, address, admin }
    }
}

async fn greeter() -> Running {
    let program = Path::new(env!("CARGO_BIN_EXE_greeter-caller")).with_file_name("greeter");
    assert!(program.exists(), "{} is missing: cargo build --workspace", program.display());
    Running::start(Command::new(program).arg("127.0.0.1:0")).await
}

/// Starts the caller with keys in this folder. It finds the greeter at this address.
async fn caller(folder: &Path, greeter: SocketAddr) -> Running {
    for name in ["welcome", "door"] {
        SigningKey::load_or_create(&folder.join(format!("{name}.pem"))).unwrap();
    }
    let settings = format!(
        "listen = '127.0.0.1:0'
         admin.listen = '127.0.0.1:0'
         discovery.static.greeter = ['{greeter}']
         [welcome]
         ending = ' and welcome'
         [welcome.identity]
         key_file = 'welcome.pem'
         trusted = [{{ issuer = 'door', issues = 'service', key_file = 'door.pub.pem' }}]"
    );
    let file = folder.join("welcome.toml");
    fs::write(&file, settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_greeter-caller"));
    Running::start(command.current_dir(folder).env_clear().arg("--config").arg(file)).await
}

/// Returns a client of the service `door`, or an anonymous one.
fn client(
    welcome: SocketAddr,
    signer: Option<Arc<ServiceSigner>>,
) -> WelcomeServiceClient<Channel> {
    let registry = Registry::fixed([("welcome", [welcome.to_string()])]).unwrap();
    let mut channel = Channel::builder("welcome").contract(&CONTRACT).registry(registry);
    if let Some(signer) = signer {
        channel = channel.signer(signer);
    }
    WelcomeServiceClient::new(channel.build().unwrap())
}

#[tokio::test]
async fn a_response_comes_through_both_services() {
    let folder = tempfile::tempdir().unwrap();
    let greeter = greeter().await;
    let caller = caller(folder.path(), greeter.address).await;
    let request = || WelcomeGuestsRequest { guests: vec!["ann".into(), "bob".into()] };

    let refused = client(caller.address, None).welcome_guests(request()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");

    let key = SigningKey::load(&folder.path().join("door.pem")).unwrap();
    let mut door = client(caller.address, Some(Arc::new(ServiceSigner::new("door", key))));
    let answer = door.welcome_guests(request()).await.unwrap().into_inner();
    assert_eq!(answer.greetings, ["hello, ann and welcome", "hello, bob and welcome"]);

    // The contract's rules are checked before the greeter is called.
    let nobody = WelcomeGuestsRequest { guests: vec![String::new()] };
    assert_eq!(door.welcome_guests(nobody).await.unwrap_err().code(), Code::InvalidArgument);

    let metrics = page(caller.admin.unwrap(), "/metrics").await;
    assert!(metrics.contains("welcome_guests_total 2"), "{metrics}");
}

async fn page(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
