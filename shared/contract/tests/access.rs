//! Authorization of callers by a contract.

use std::{collections::BTreeMap, time::Duration};

use gantry_contract::{
    Access, Actor, Caller, Contract, Denied, Idempotency, MethodKind, MethodPolicy, Repeats,
    RetryPolicy, Role, Scope, ServicePolicy, access::Grants,
};

const fn method(path: &'static str, access: Access) -> MethodPolicy {
    MethodPolicy {
        path,
        kind: MethodKind::Unary,
        timeout: Duration::from_secs(1),
        access,
        idempotency: Idempotency::NoSideEffects,
        repeats: Repeats::Retry(RetryPolicy::DEFAULT),
        rate_class: None,
        max_request_bytes: None,
    }
}

static READ: MethodPolicy = method("/t.Notes/Read", Access::Permission("notes:read"));
static PING: MethodPolicy = method("/t.Notes/Ping", Access::Public);

static CONTRACT: Contract = Contract {
    services: &[ServicePolicy {
        name: "t.Notes",
        methods: &[
            method("/t.Notes/Read", Access::Permission("notes:read")),
            method("/t.Notes/Ping", Access::Public),
        ],
    }],
    permissions: &["notes:read", "notes:write"],
    roles: &[
        Role { name: "editor", permissions: &["notes:read", "notes:write"], own: &[] },
        Role { name: "author", permissions: &[], own: &["notes:read"] },
        Role { name: "clerk", permissions: &["notes:write"], own: &[] },
    ],
    rate_classes: &[],
    descriptor_set: &[],
};

fn actor(roles: &[&str]) -> Actor {
    Actor { subject: "u1".to_owned(), roles: roles.iter().map(|role| (*role).to_owned()).collect() }
}

fn user(roles: &[&str]) -> Caller {
    Caller::User(actor(roles))
}

fn delegate(roles: &[&str]) -> Caller {
    Caller::Delegate { service: "order".to_owned(), actor: actor(roles) }
}

fn service(cause: Option<Actor>) -> Caller {
    Caller::Service { service: "order".to_owned(), cause }
}

fn grants(permissions: &[&str]) -> Grants {
    let permissions = permissions.iter().map(|permission| (*permission).to_owned()).collect();
    BTreeMap::from([("order".to_owned(), permissions)])
}

fn own() -> Result<Scope, Denied> {
    Ok(Scope::Own("u1".to_owned()))
}

const MISSING: Result<Scope, Denied> = Err(Denied::PermissionMissing("notes:read"));
const NOT_GRANTED: Result<Scope, Denied> = Err(Denied::NotGranted("notes:read"));

#[test]
fn a_public_method_accepts_every_caller() {
    let nobody = Grants::new();
    for caller in [Caller::Anonymous, user(&[]), delegate(&[]), service(None)] {
        assert_eq!(CONTRACT.authorize(&PING, &caller, &nobody), Ok(Scope::All), "{caller:?}");
    }
}

#[test]
fn a_permission_needs_credentials() {
    let all = grants(&["notes:read"]);
    assert_eq!(CONTRACT.authorize(&READ, &Caller::Anonymous, &all), Err(Denied::Unauthenticated));
}

#[test]
fn a_user_has_the_widest_scope_of_their_roles() {
    let nobody = Grants::new();
    let scope = |roles: &[&str]| CONTRACT.authorize(&READ, &user(roles), &nobody);
    assert_eq!(scope(&["editor"]), Ok(Scope::All));
    assert_eq!(scope(&["author"]), own());
    assert_eq!(scope(&["author", "editor"]), Ok(Scope::All));
    assert_eq!(scope(&["clerk"]), MISSING);
    assert_eq!(scope(&[]), MISSING);
    assert_eq!(scope(&["no such role"]), MISSING);
}

#[test]
fn a_delegate_needs_the_grant_and_the_users_permission() {
    let scope = |roles: &[&str], granted: &[&str]| {
        CONTRACT.authorize(&READ, &delegate(roles), &grants(granted))
    };
    assert_eq!(scope(&["author"], &["notes:read"]), own());
    assert_eq!(scope(&["editor"], &["notes:read"]), Ok(Scope::All));
    assert_eq!(scope(&["editor"], &["notes:write"]), NOT_GRANTED);
    assert_eq!(scope(&["clerk"], &["notes:read"]), MISSING);
}

#[test]
fn a_service_for_itself_needs_its_grant_only() {
    let scope =
        |cause, granted: &[&str]| CONTRACT.authorize(&READ, &service(cause), &grants(granted));
    assert_eq!(scope(None, &["notes:read"]), Ok(Scope::All));
    assert_eq!(scope(Some(actor(&["author"])), &["notes:read"]), Ok(Scope::All));
    assert_eq!(scope(Some(actor(&["editor"])), &[]), NOT_GRANTED);
}

#[test]
fn a_grant_is_to_one_service() {
    let stranger = Caller::Service { service: "billing".to_owned(), cause: None };
    assert_eq!(CONTRACT.authorize(&READ, &stranger, &grants(&["notes:read"])), NOT_GRANTED);
}

#[test]
fn a_scope_covers_its_subject_only() {
    assert!(Scope::All.covers("u2"));
    assert!(Scope::Own("u1".to_owned()).covers("u1"));
    assert!(!Scope::Own("u1".to_owned()).covers("u2"));
}

#[test]
fn the_subject_distinguishes_users_and_services() {
    assert_eq!(Caller::Anonymous.subject(), "anonymous");
    assert_eq!(user(&[]).subject(), "u1");
    assert_eq!(delegate(&[]).subject(), "u1");
    assert_eq!(service(Some(actor(&[]))).subject(), "service:order");
}

#[test]
fn a_method_is_found_by_its_path() {
    assert_eq!(CONTRACT.method("/t.Notes/Read").unwrap().access, Access::Permission("notes:read"));
    assert!(CONTRACT.method("/t.Notes/Write").is_none());
}
