//! Rate classes of the contract on running servers. Calls above a class are rejected with a retry delay;
//! other calls of the same caller succeed.

use std::collections::BTreeMap;

use gantry::suite::NAMES;
use gantry_contract::{Access, Actor, MethodPolicy, RateClass};
use gantry_identity::{Acting, ServiceSigner, SigningKey};
use gantry_proto::CONTRACT;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    process::{Suite, limit_of},
    raw::{Method, Raw, methods},
};

/// Burst of all classes. The refill is so slow that tests never see it.
const BURST: u32 = 3;

/// Starts a suite whose rate classes all have this burst.
fn suite() -> Suite {
    let classes = CONTRACT.rate_classes.iter().map(|class| format!("CLASSES__{}", class.name));
    let limits = classes.flat_map(|class| {
        NAMES.into_iter().flat_map(move |service| limit_of(service, &class, 1e-5, BURST))
    });
    Suite::start_set(&[], &limits.collect::<Vec<_>>())
}

fn policy(method: &Method) -> &'static MethodPolicy {
    CONTRACT.method(&method.path).unwrap()
}

fn is_refused(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| (&*info.domain, &*info.reason) == ("gantry", "RATE_LIMITED"))
}

/// Panics unless the status has code, reason, retry delay and message of a rejection by this class.
fn assert_refused_by(status: &Status, class: &RateClass, what: &str) {
    assert!(is_refused(status), "{what}: {status:?}");
    assert_eq!(status.code(), Code::ResourceExhausted, "{what}: {status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["limit"], class.name, "{what}: {status:?}");
    let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(!wait.is_zero(), "{what}: {status:?}");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap();
    let pushback: u128 = pushback.parse().unwrap();
    assert_eq!(pushback, wait.as_nanos().div_ceil(1_000_000), "{what}: {status:?}");
}

#[tokio::test]
async fn calls_above_a_rate_class_are_rejected_and_no_others() {
    let suite = suite();
    let raw = Raw::open(&suite).await;
    let keys = suite.data().join("keys");
    // A service calls for a user: the calls count for the user.
    let token = |target: &str, subject: &str| {
        let name = if target == "order" { "user" } else { "order" };
        let key = SigningKey::load(&keys.join(format!("{name}.pem"))).unwrap();
        let actor = Actor { subject: subject.into(), roles: vec!["admin".into()] };
        ServiceSigner::new(name, key).token(target, Acting::For(actor)).to_string()
    };
    let methods = methods();
    for target in ["user", "order", "inventory"] {
        let here = || methods.iter().filter(|method| method.service() == target);
        for class in CONTRACT.rate_classes {
            let within =
                |method: &&Method| policy(method).rate_class.is_some_and(|c| c.name == class.name);
            let subject = format!("{target}-{}", class.name);
            let (caller, another) = (token(target, &subject), token(target, "another"));
            let of_class: Vec<_> = here().filter(within).collect();
            for method in of_class.iter().cycle().take(BURST as usize * of_class.len().min(1)) {
                let status = raw.call(method, &[], Some(&caller)).await;
                assert!(!is_refused(&status), "{} {status:?}", method.path);
            }
            for method in &of_class {
                let status = raw.call(method, &[], Some(&caller)).await;
                assert_refused_by(&status, class, &method.path);
            }
            // Public methods also count for the address, which all callers here share.
            let restricted = |method: &&Method| policy(method).access != Access::Public;
            let mut others = BTreeMap::<&str, u32>::new();
            for method in here().filter(|method| !within(method)).filter(restricted) {
                if let Some(other) = policy(method).rate_class {
                    let calls = others.entry(other.name).or_default();
                    *calls += 1;
                    if *calls > BURST {
                        continue;
                    }
                }
                let status = raw.call(method, &[], Some(&caller)).await;
                assert!(!is_refused(&status), "{} {status:?}", method.path);
            }
            if let Some(method) = of_class.iter().find(|method| restricted(method)) {
                let status = raw.call(method, &[], Some(&another)).await;
                assert!(!is_refused(&status), "{} {status:?}", method.path);
            }
        }
    }
}

#[tokio::test]
async fn a_token_allows_no_more_password_guesses() {
    let suite = suite();
    let raw = Raw::open(&suite).await;
    let key = SigningKey::load(&suite.data().join("keys/order.pem")).unwrap();
    let methods = methods();
    let login = methods.iter().find(|method| method.path.ends_with("/Login")).unwrap();
    for n in 0..2 * BURST {
        let actor = Actor { subject: format!("guesser-{n}"), roles: vec!["user".into()] };
        let token = ServiceSigner::new("order", key.clone()).token("user", Acting::For(actor));
        let status = raw.call(login, &[], Some(&token)).await;
        assert_eq!(is_refused(&status), n >= BURST, "{n}: {status:?}");
    }
}

#[tokio::test]
async fn password_guesses_count_for_the_address_alone() {
    let suite = suite();
    let raw = Raw::open(&suite).await;
    let methods = methods();
    let named = |name: &str| methods.iter().find(|method| method.path.ends_with(name)).unwrap();
    let (login, keys) = (named("/Login"), named("/GetJwks"));
    let class = policy(login).rate_class.unwrap();
    for _ in 0..BURST {
        assert!(!is_refused(&raw.call(login, &[], None).await));
    }
    assert_refused_by(&raw.call(login, &[], None).await, class, "Login");
    assert_eq!(raw.call(keys, &[], None).await.code(), Code::Ok);
}
