//! Service config of `gantry contract service-config`, used by a stock client in another language: Python's
//! grpcio with the real services.

use std::{
    collections::HashMap,
    ffi::OsString,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use gantry_contract::{MethodPolicy, Repeats};
use gantry_proto::{
    CONTRACT,
    shop::user::v1::{GetUserRequest, User},
};
use prost::Message;
use tokio::task::spawn_blocking;
use tonic::Code;

use crate::{
    front::{Front, Lost},
    process::{Suite, gantry},
    raw::{Method, methods},
    shop::{Shop, bearer, new_user},
};

/// Number of calls in one run of the client. Its retry budget is for a process, and 50 failures exhaust it.
const AT_A_TIME: usize = 10;

/// Call of the foreign client.
struct Call {
    address: std::net::SocketAddr,
    path: String,
    message: Vec<u8>,
    token: Option<String>,
}

/// Result of a call: name of the code, duration, and message.
type Answer = (String, Duration, Vec<u8>);

/// Foreign client with the exported policies.
struct Foreign {
    python: OsString,
    config: tempfile::NamedTempFile,
}

impl Foreign {
    fn new() -> Self {
        let python = std::env::var_os("FOREIGN_PYTHON").expect(
            "FOREIGN_PYTHON names a Python with services/gantry/tests/foreign/requirements.txt \
             installed; `./test setup` makes one at target/venv/bin/python",
        );
        let exported = gantry().args(["contract", "service-config"]).output().unwrap();
        assert!(exported.status.success());
        let mut config = tempfile::NamedTempFile::new().unwrap();
        config.write_all(&exported.stdout).unwrap();
        Self { python, config }
    }

    /// Returns a client with longer timeouts, for all attempts on a busy machine.
    fn patient() -> Self {
        let foreign = Self::new();
        let exported = std::fs::read(foreign.config.path()).unwrap();
        let mut config: serde_json::Value = serde_json::from_slice(&exported).unwrap();
        for method in config["methodConfig"].as_array_mut().unwrap() {
            method["timeout"] = "60s".into();
        }
        std::fs::write(foreign.config.path(), config.to_string()).unwrap();
        foreign
    }

    async fn call(&self, calls: &[Call]) -> Vec<Answer> {
        let mut answers = Vec::new();
        for some in calls.chunks(AT_A_TIME) {
            let lines = some.iter().map(|Call { address, path, message, token }| {
                let token = token.as_deref().unwrap_or("-");
                format!("{address} {path} {token} {}\n", hex(message))
            });
            let lines: String = lines.collect();
            let mut command = Command::new(&self.python);
            command
                .arg("-B")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/calls.py"))
                .arg(self.config.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            let output = spawn_blocking(move || {
                let mut client = command.spawn().unwrap();
                client.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
                client.wait_with_output().unwrap()
            });
            let output = output.await.unwrap();
            assert!(output.status.success());
            let output = String::from_utf8(output.stdout).unwrap();
            answers.extend(output.lines().map(|line| {
                let (code, rest) = line.split_once(' ').unwrap();
                let (seconds, message) = rest.split_once(' ').unwrap();
                let lasted = Duration::from_secs_f64(seconds.parse().unwrap());
                (code.to_owned(), lasted, unhex(message))
            }));
        }
        assert_eq!(answers.len(), calls.len());
        answers
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

/// Proxies of a suite's services.
struct Fronts(HashMap<&'static str, Front>);

impl Fronts {
    async fn of(suite: &Suite) -> Self {
        let mut fronts = HashMap::new();
        for service in ["user", "order", "inventory"] {
            fronts.insert(service, Front::start(suite.addresses(service)[0]).await);
        }
        Self(fronts)
    }

    fn before(&self, method: &Method) -> &Front {
        &self.0[method.service()]
    }

    fn call(&self, method: &Method, message: Vec<u8>, token: Option<&str>) -> Call {
        let address = self.before(method).address;
        Call { address, path: method.path.clone(), message, token: token.map(str::to_owned) }
    }
}

/// Returns the maximum number of attempts in the contract.
fn attempts(method: &Method) -> usize {
    let MethodPolicy { repeats, .. } = CONTRACT.method(&method.path).unwrap();
    match repeats {
        Repeats::Never => 1,
        Repeats::Retry(policy) => policy.max_attempts as usize,
        Repeats::Hedging(policy) => policy.max_attempts as usize,
    }
}

#[tokio::test]
async fn every_method_is_tried_as_often_as_the_contract_says() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let (foreign, fronts, methods) = (Foreign::patient(), Fronts::of(&suite).await, methods());
    // An empty message: the real service rejects or answers it.
    let calls: Vec<_> =
        methods.iter().map(|method| fronts.call(method, Vec::new(), Some(&shop.admin))).collect();

    for method in &methods {
        fronts.before(method).lose(&method.path, 1, Lost::Call);
    }
    for (method, (code, ..)) in methods.iter().zip(foreign.call(&calls).await) {
        let seen = fronts.before(method).attempts(&method.path);
        let repeated = attempts(method) > 1;
        assert_eq!(seen, if repeated { 2 } else { 1 }, "{}", method.path);
        assert_eq!(code != "UNAVAILABLE", repeated, "{}: {code}", method.path);
    }

    for method in &methods {
        fronts.before(method).lose(&method.path, usize::MAX, Lost::Call);
    }
    for (method, (code, ..)) in methods.iter().zip(foreign.call(&calls).await) {
        let seen = fronts.before(method).attempts(&method.path);
        assert_eq!((seen, &*code), (attempts(method), "UNAVAILABLE"), "{}", method.path);
    }
}

#[tokio::test]
async fn a_mutation_whose_answers_are_lost_is_repeated_and_done_once() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let (foreign, fronts, methods) = (Foreign::patient(), Fronts::of(&suite).await, methods());
    let named = |name: &str| methods.iter().find(|method| method.path.ends_with(name)).unwrap();
    let (create, get) = (named("/CreateUser"), named("/GetUser"));

    fronts.before(create).lose(&create.path, 2, Lost::Answer);
    let request = new_user("lost@example.com").encode_to_vec();
    let call = fronts.call(create, request, Some(&shop.admin));
    let (code, _, user) = foreign.call(&[call]).await.remove(0);
    assert_eq!((&*code, fronts.before(create).attempts(&create.path)), ("OK", 3));
    let user = User::decode(&*user).unwrap();

    fronts.before(get).lose(&get.path, 1, Lost::Answer);
    let request = GetUserRequest { id: user.id.clone() }.encode_to_vec();
    let call = fronts.call(get, request, Some(&shop.admin));
    let (code, _, read) = foreign.call(&[call]).await.remove(0);
    assert_eq!((&*code, fronts.before(get).attempts(&get.path)), ("OK", 2));
    assert_eq!(User::decode(&*read).unwrap(), user);

    // With another request_id, the address already belongs to that one user.
    let mut users = shop.users.clone();
    let again = users.create_user(bearer(new_user("lost@example.com"), &shop.admin)).await;
    assert_eq!(again.unwrap_err().code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_call_without_an_answer_lasts_as_long_as_the_contract_says() {
    let suite = Suite::start(&[]);
    let (foreign, fronts, methods) = (Foreign::new(), Fronts::of(&suite).await, methods());
    let lasts = async |name: &str| {
        let method = methods.iter().find(|method| method.path.ends_with(name)).unwrap();
        fronts.before(method).lose(&method.path, usize::MAX, Lost::Silently);
        let call = fronts.call(method, Vec::new(), None);
        let (code, lasted, _) = foreign.call(&[call]).await.remove(0);
        assert_eq!(code, "DEADLINE_EXCEEDED", "{name}");
        assert_eq!(fronts.before(method).attempts(&method.path), 1, "{name}");
        let timeout = CONTRACT.method(&method.path).unwrap().timeout;
        // gRPC's C core counts a configured timeout from one to two seconds before the call
        // (grpc/grpc#40633).
        let least = timeout.saturating_sub(Duration::from_millis(2_100));
        assert!(lasted >= least, "{name}: {lasted:?} of {timeout:?}");
    };
    // Timeouts of 5 s and 10 s.
    tokio::join!(lasts("/ListUsers"), lasts("/CreateOrder"));
}
