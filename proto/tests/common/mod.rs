//! List of all messages of the shop, for tests that run on each.

pub(crate) use gantry_proto::{
    google::r#type as google,
    shop::{
        events::v1 as events, inventory::v1 as inventory, order::v1 as order, user::v1 as user,
    },
};

/// Maps the name of each message to this function for it. A test checks that the list is complete.
#[macro_export]
macro_rules! messages {
    ($function:ident as $kind:ty) => {
        $crate::messages! {
            $function as $kind;
            "google.type" google { Money, PostalAddress }
            "shop.events.v1" events {
                OrderCancelled, OrderCompleted, OrderConfirmed, OrderCreated, OrderPlaced,
                OrderRejected, OrderShipped, PaymentCharged, PaymentRefunded, ShipmentCancelled,
                ShipmentCreated, ShipmentDelivered, ShipmentShipped, StockReleased, StockReserved,
                StockReturned, UserActivated, UserActivationRequested, UserDeactivated, UserDeleted,
                UserEmailChangeRequested, UserPasswordResetRequested, UserRegistered,
                UserRolesChanged, UserUpdated,
            }
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
