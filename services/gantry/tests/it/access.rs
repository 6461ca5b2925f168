//! Access rules of the contract, checked on running servers for every method and every kind of caller.
//! proto/tests/access.rs checks the rules themselves.

use gantry_contract::{Actor, Caller, Denied, access::Grants};
use gantry_identity::{Acting, ServiceSigner, SigningKey};
use gantry_proto::CONTRACT;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    process::Suite,
    raw::{Method, Raw, methods},
    shop::Shop,
};

/// Returns an error with code and reason if the server rejected the call before validation.
fn admitted(status: &Status) -> Result<(), (Code, String)> {
    let info = status.get_details_error_info();
    match info.filter(|info| info.domain == "gantry") {
        Some(info) if ["TOKEN_MISSING", "PERMISSION_MISSING"].contains(&info.reason.as_str()) => {
            Err((status.code(), info.reason))
        }
        Some(info) if info.reason != "VALIDATION_FAILED" => panic!("neither: {status:?}"),
        _ => Ok(()),
    }
}

fn expected(method: &Method, caller: &Caller, grants: &Grants) -> Result<(), (Code, String)> {
    let policy = CONTRACT.method(&method.path).unwrap();
    match CONTRACT.authorize(policy, caller, grants) {
        Ok(_) => Ok(()),
        Err(Denied::Unauthenticated) => Err((Code::Unauthenticated, "TOKEN_MISSING".to_owned())),
        Err(Denied::PermissionMissing(_) | Denied::NotGranted(_)) => {
            Err((Code::PermissionDenied, "PERMISSION_MISSING".to_owned()))
        }
    }
}

fn actor(role: &str) -> Actor {
    Actor { subject: "0195f3a0-0000-7000-8000-000000000001".into(), roles: vec![role.into()] }
}

/// Returns the grants in the default settings of a service.
fn grants(service: &str) -> Grants {
    let order = |permissions: &[&str]| {
        Grants::from([("order".into(), permissions.iter().map(|p| (*p).into()).collect())])
    };
    match service {
        "user" => order(&["users:read"]),
        "inventory" => order(&["products:read", "reservations:write"]),
        _ => Grants::new(),
    }
}

#[tokio::test]
async fn every_method_admits_whom_the_contract_says() {
    let suite = Suite::start(&[]);
    let shop = Shop::open(&suite).await;
    let customer = shop.customer().await;
    let raw = Raw::open(&suite).await;
    let keys = suite.data().join("keys");
    let signer = |service: &str| {
        let key = SigningKey::load(&keys.join(format!("{service}.pem"))).unwrap();
        ServiceSigner::new(service, key)
    };
    for method in methods() {
        let target = method.service().to_owned();
        let mut callers = vec![
            (Caller::Anonymous, None),
            (Caller::User(actor("user")), Some(customer.token.clone())),
            (Caller::User(actor("admin")), Some(shop.admin.clone())),
        ];
        for service in ["user", "order", "inventory"].into_iter().filter(|s| *s != target) {
            let name = service.to_owned();
            let itself = Caller::Service { service: name.clone(), cause: None };
            let token = signer(service).token(&target, Acting::Itself { cause: None });
            callers.push((itself, Some(token.to_string())));
            for role in ["user", "admin"] {
                let delegate = Caller::Delegate { service: name.clone(), actor: actor(role) };
                let token = signer(service).token(&target, Acting::For(actor(role)));
                callers.push((delegate, Some(token.to_string())));
            }
        }
        for (caller, token) in callers {
            let status = raw.call(&method, &[], token.as_deref()).await;
            let expected = expected(&method, &caller, &grants(&target));
            assert_eq!(admitted(&status), expected, "{} {caller:?}: {status:?}", method.path);
        }
    }
}
