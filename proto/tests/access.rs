//! Who may call what in the shop.

use std::collections::BTreeMap;

use gantry_contract::{Access, Actor, Caller, Denied, Scope, access::Grants};
use gantry_proto::CONTRACT;

const PUBLIC: [&str; 1] = ["/shop.user.v1.AuthService/Login"];

/// What the role `user` may do on what is its own, and on everything.
const OWN: [&str; 7] = [
    "/shop.user.v1.UserService/CreateUser",
    "/shop.user.v1.UserService/GetUser",
    "/shop.user.v1.UserService/ListUsers",
    "/shop.order.v1.OrderService/CreateOrder",
    "/shop.order.v1.OrderService/PlaceOrder",
    "/shop.order.v1.OrderService/GetOrder",
    "/shop.order.v1.OrderService/ListOrders",
];
const ALL: [&str; 3] = [
    "/shop.inventory.v1.InventoryService/GetProduct",
    "/shop.inventory.v1.InventoryService/BatchGetProducts",
    "/shop.inventory.v1.InventoryService/ListProducts",
];

fn actor(role: &str) -> Actor {
    Actor { subject: "u1".to_owned(), roles: vec![role.to_owned()] }
}

#[test]
fn an_administrator_may_do_everything() {
    let admin = Caller::User(actor("admin"));
    for method in CONTRACT.methods() {
        let scope = CONTRACT.authorize(method, &admin, &Grants::new());
        assert_eq!(scope, Ok(Scope::All), "{}", method.path);
    }
}

#[test]
fn a_user_reads_the_catalogue_and_has_what_is_their_own() {
    let user = Caller::User(actor("user"));
    for method in CONTRACT.methods() {
        let expected = match method.access {
            Access::Public => Ok(Scope::All),
            Access::Permission(_) if ALL.contains(&method.path) => Ok(Scope::All),
            Access::Permission(_) if OWN.contains(&method.path) => Ok(Scope::Own("u1".to_owned())),
            Access::Permission(permission) => Err(Denied::PermissionMissing(permission)),
        };
        let scope = CONTRACT.authorize(method, &user, &Grants::new());
        assert_eq!(scope, expected, "{}", method.path);
    }
}

#[test]
fn only_login_is_open_to_everybody() {
    for method in CONTRACT.methods() {
        let open = CONTRACT.authorize(method, &Caller::Anonymous, &Grants::new()).is_ok();
        assert_eq!(open, PUBLIC.contains(&method.path), "{}", method.path);
    }
}

#[test]
fn a_service_does_what_it_is_granted_and_for_a_user_no_more_than_the_user() {
    let grants =
        |permission: &str| BTreeMap::from([("order".to_owned(), vec![permission.to_owned()])]);
    let reserve = CONTRACT.method("/shop.inventory.v1.InventoryService/ReserveStock").unwrap();
    let read = CONTRACT.method("/shop.user.v1.UserService/GetUser").unwrap();
    let itself = Caller::Service { service: "order".to_owned(), cause: Some(actor("user")) };
    let delegate = Caller::Delegate { service: "order".to_owned(), actor: actor("user") };

    let missing = Err(Denied::PermissionMissing("products:write"));
    assert_eq!(CONTRACT.authorize(reserve, &itself, &grants("products:write")), Ok(Scope::All));
    assert_eq!(CONTRACT.authorize(reserve, &itself, &grants("products:read")), missing);
    assert_eq!(CONTRACT.authorize(reserve, &delegate, &grants("products:write")), missing);
    assert_eq!(
        CONTRACT.authorize(read, &delegate, &grants("users:read")),
        Ok(Scope::Own("u1".to_owned()))
    );
}

#[test]
fn the_lists_here_name_methods_that_exist() {
    for path in PUBLIC.iter().chain(&OWN).chain(&ALL) {
        assert!(CONTRACT.method(path).is_some(), "{path}");
    }
}
