//! Every message of the shop, for what is done with each.

pub(crate) use gantry_proto::{
    google::r#type as google,
    shop::{inventory::v1 as inventory, order::v1 as order, user::v1 as user},
};

/// A map from the names of messages to this function for each of them. A test checks that
/// none is missing.
#[macro_export]
macro_rules! messages {
    ($function:ident as $kind:ty) => {
        $crate::messages! {
            $function as $kind;
            "google.type" google { Money, PostalAddress }
            "shop.inventory.v1" inventory {
                Product, CreateProductRequest, GetProductRequest, BatchGetProductsRequest,
                BatchGetProductsResponse, ListProductsRequest, ListProductsResponse, Reservation,
                ReservationItem, ReserveStockRequest, CommitReservationRequest,
                ReleaseReservationRequest,
            }
            "shop.order.v1" order {
                Order, OrderItem, CreateOrderRequest, PlaceOrderRequest, GetOrderRequest,
                ListOrdersRequest, ListOrdersResponse,
            }
            "shop.user.v1" user {
                LoginRequest, TokenPair, User, CreateUserRequest, GetJwksRequest, GetUserRequest,
                Jwk, Jwks, ListUsersRequest, ListUsersResponse,
            }
        }
    };
    ($function:ident as $kind:ty; $($package:literal $module:ident { $($message:ident),* $(,)? })*) => {
        ::std::collections::BTreeMap::from([$($((
            concat!($package, ".", stringify!($message)).into(),
            $function::<$crate::common::$module::$message> as $kind,
        )),*),*])
    };
}
