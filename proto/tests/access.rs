//! Access of every role to every method, in one table.

use std::collections::BTreeMap;

use gantry_contract::{Access, Actor, Caller, Denied, MethodPolicy, Scope, access::Grants};
use gantry_proto::CONTRACT;

/// Resources on which a role may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    /// All resources.
    All,
    /// Only the caller's own resources.
    Own,
    /// None.
    No,
}

use May::{All, No, Own};

/// Columns of the table after the first one, which is a caller without credentials.
const ROLES: [&str; 2] = ["user", "admin"];

/// Expected access. A method or a role that is missing here fails a test.
const TABLE: [(&str, [May; 3]); 21] = [
    ("gantry.operator.v1.Sagas/ListSagas", [No, No, All]),
    ("gantry.operator.v1.Sagas/GetSaga", [No, No, All]),
    ("gantry.operator.v1.Sagas/ResumeSaga", [No, No, All]),
    ("gantry.operator.v1.Sagas/ForceSaga", [No, No, All]),
    ("gantry.operator.v1.Sagas/AbortSaga", [No, No, All]),
    ("shop.inventory.v1.InventoryService/CreateProduct", [No, No, All]),
    ("shop.inventory.v1.InventoryService/GetProduct", [No, All, All]),
    ("shop.inventory.v1.InventoryService/BatchGetProducts", [No, All, All]),
    ("shop.inventory.v1.InventoryService/ListProducts", [No, All, All]),
    ("shop.inventory.v1.InventoryService/ReserveStock", [No, No, No]),
    ("shop.inventory.v1.InventoryService/CommitReservation", [No, No, No]),
    ("shop.inventory.v1.InventoryService/ReleaseReservation", [No, No, No]),
    ("shop.order.v1.OrderService/CreateOrder", [No, Own, All]),
    ("shop.order.v1.OrderService/PlaceOrder", [No, Own, All]),
    ("shop.order.v1.OrderService/GetOrder", [No, Own, All]),
    ("shop.order.v1.OrderService/ListOrders", [No, Own, All]),
    ("shop.user.v1.AuthService/Login", [All, All, All]),
    ("shop.user.v1.AuthService/GetJwks", [All, All, All]),
    ("shop.user.v1.UserService/CreateUser", [No, Own, All]),
    ("shop.user.v1.UserService/GetUser", [No, Own, All]),
    ("shop.user.v1.UserService/ListUsers", [No, Own, All]),
];

fn actor(role: &str) -> Actor {
    Actor { subject: "u1".to_owned(), roles: vec![role.to_owned()] }
}

fn may(method: &MethodPolicy, caller: &Caller) -> May {
    match CONTRACT.authorize(method, caller, &Grants::new()) {
        Ok(Scope::All) => All,
        Ok(Scope::Own(_)) => Own,
        Err(_) => No,
    }
}

#[test]
fn every_method_has_its_row_and_every_role_its_column() {
    let mut methods: Vec<_> = CONTRACT.methods().map(|method| &method.path[1..]).collect();
    methods.sort_unstable();
    let mut rows: Vec<_> = TABLE.iter().map(|(method, _)| *method).collect();
    rows.sort_unstable();
    assert_eq!(methods, rows, "left: the contract, right: the table");
    let mut roles: Vec<_> = CONTRACT.roles.iter().map(|role| role.name).collect();
    roles.sort_by_key(|role| ROLES.iter().position(|column| column == role));
    assert_eq!(roles, ROLES, "left: the contract, right: the columns");
}

#[test]
fn every_role_has_the_access_of_its_column() {
    for (path, expected) in TABLE {
        let method = CONTRACT.method(&format!("/{path}")).unwrap_or_else(|| unreachable!("{path}"));
        let callers = ROLES.map(|role| Caller::User(actor(role)));
        let found = [Caller::Anonymous].iter().chain(&callers).map(|caller| may(method, caller));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{path}");
    }
}

#[test]
fn calls_without_credentials_are_unauthenticated() {
    for method in CONTRACT.methods() {
        let answer = CONTRACT.authorize(method, &Caller::Anonymous, &Grants::new());
        match method.access {
            Access::Public => assert_eq!(answer, Ok(Scope::All), "{}", method.path),
            Access::Permission(_) => {
                assert_eq!(answer, Err(Denied::Unauthenticated), "{}", method.path);
            }
        }
    }
}

#[test]
fn a_delegate_needs_its_grant_and_the_users_permission() {
    let grants =
        |permission: &str| BTreeMap::from([("order".to_owned(), vec![permission.to_owned()])]);
    let reserve = CONTRACT.method("/shop.inventory.v1.InventoryService/ReserveStock").unwrap();
    let read = CONTRACT.method("/shop.user.v1.UserService/GetUser").unwrap();
    let itself = Caller::Service { service: "order".to_owned(), cause: Some(actor("user")) };
    let delegate = Caller::Delegate { service: "order".to_owned(), actor: actor("user") };

    let missing = Err(Denied::PermissionMissing("reservations:write"));
    let not_granted = Err(Denied::NotGranted("reservations:write"));
    let granted = grants("reservations:write");
    assert_eq!(CONTRACT.authorize(reserve, &itself, &granted), Ok(Scope::All));
    assert_eq!(CONTRACT.authorize(reserve, &itself, &grants("products:write")), not_granted);
    // Roles lack this permission, so no service can use it for a user.
    for role in ROLES {
        let delegate = Caller::Delegate { service: "order".to_owned(), actor: actor(role) };
        assert_eq!(CONTRACT.authorize(reserve, &delegate, &granted), missing, "{role}");
    }
    let list = CONTRACT.method("/shop.user.v1.UserService/ListUsers").unwrap();
    let missing = Err(Denied::NotGranted("users:list"));
    assert_eq!(CONTRACT.authorize(list, &itself, &grants("users:read")), missing);
    assert_eq!(
        CONTRACT.authorize(read, &delegate, &grants("users:read")),
        Ok(Scope::Own("u1".to_owned()))
    );
}

/// A permission that no method requires would look like a right and grant nothing.
#[test]
fn every_permission_is_required_by_a_method() {
    for permission in CONTRACT.permissions {
        let requires = |method: &MethodPolicy| method.access == Access::Permission(permission);
        assert!(CONTRACT.methods().any(requires), "{permission}");
    }
}
