//! Fuzzing of all methods: a server answers any bytes, and never with an internal error.
//!
//! Few rounds by default; `./test fuzz 100000` for long.

use gantry_contract::Actor;
use gantry_contract_fuzz::rounds;
use gantry_identity::{Acting, ServiceSigner, SigningKey};
use gantry_operator::gantry::operator::v1::{
    AbortSagaRequest, ForceSagaRequest, GetSagaRequest, ListSagasRequest, ResumeSagaRequest,
};
use gantry_proto::shop::{
    inventory::v1::{
        BatchGetProductsRequest, CommitReservationRequest, GetProductRequest, ListProductsRequest,
        ReleaseReservationRequest, ReservationItem, ReserveStockRequest,
    },
    order::v1::{GetOrderRequest, ListOrdersRequest, PlaceOrderRequest},
    user::v1::{GetUserRequest, ListUsersRequest, LoginRequest},
};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    process::Suite,
    raw::{Method, Raw, fuzz, methods},
    shop::{Customer, PASSWORD, Shop, id, new_order, new_product, new_user},
};

/// Codes of an internal or unknown error.
const OURS: [Code; 4] = [Code::Internal, Code::Unknown, Code::DataLoss, Code::Unimplemented];

/// Texts that no status message may contain.
const LEAKS: [&str; 6] = ["panicked", "SELECT ", "INSERT ", "sqlx", ".rs:", "/src/"];

fn is_the_callers(status: &Status, what: &str) {
    // gRPC's code for a request without a message (statuscodes.md).
    let info = status.get_details_error_info();
    let malformed = info.is_some_and(|info| info.reason == "MALFORMED_MESSAGE");
    let missing = status.code() == Code::Unimplemented && malformed;
    assert!(missing || !OURS.contains(&status.code()), "{what}: {status:?}");
    let leak = LEAKS.iter().find(|leak| status.message().contains(**leak));
    assert!(leak.is_none(), "{what}: {status:?}");
}

/// Callers of every kind.
struct Callers {
    suite: Suite,
    shop: Shop,
    customer: Customer,
}

impl Callers {
    async fn new() -> Self {
        let suite = Suite::start(&[]);
        let shop = Shop::open(&suite).await;
        let customer = shop.customer().await;
        Self { suite, shop, customer }
    }

    /// Logs in again, since tokens expire during a long run.
    async fn log_in(&mut self) {
        let password = self.suite.admin_password();
        self.shop.admin = self.shop.log_in("admin@gantry.local", &password).await.unwrap();
        self.customer.token = self.shop.log_in(&self.customer.user.email, PASSWORD).await.unwrap();
    }

    /// Returns tokens for calls to a service: none, one for each role, and tokens of another service for
    /// itself and for users.
    fn tokens(&self, target: &str) -> [Option<String>; 6] {
        let name = if target == "order" { "user" } else { "order" };
        let key = SigningKey::load(&self.suite.data().join(format!("keys/{name}.pem"))).unwrap();
        let signer = ServiceSigner::new(name, key);
        let actor = |role: &str| {
            Acting::For(Actor { subject: self.customer.user.id.clone(), roles: vec![role.into()] })
        };
        let signed = |acting| Some(signer.token(target, acting).to_string());
        [
            None,
            Some(self.shop.admin.clone()),
            Some(self.customer.token.clone()),
            signed(Acting::Itself { cause: None }),
            signed(actor("user")),
            signed(actor("admin")),
        ]
    }
}

/// Ids of existing resources.
struct Known {
    user: String,
    email: String,
    sku: String,
    order: String,
    reservation: String,
}

impl Known {
    async fn new(Callers { shop, customer, .. }: &Callers) -> Self {
        let product = shop.product(1_000_000).await;
        let order = shop.draft(customer, &[(&product.sku, 1)]).await.unwrap();
        let (user, email) = (customer.user.id.clone(), customer.user.email.clone());
        Self { user, email, sku: product.sku, order: order.id, reservation: id() }
    }

    /// Returns a valid message for the method.
    fn valid(&self, method: &Method) -> Vec<u8> {
        let (sku, page_token) = (self.sku.clone(), String::new());
        let reservation_id = self.reservation.clone();
        let request_id = id();
        match method.path.rsplit('/').next().unwrap() {
            "CreateProduct" => new_product(&format!("SKU-{}", id()), 3).encode_to_vec(),
            "GetProduct" => GetProductRequest { sku }.encode_to_vec(),
            "BatchGetProducts" => BatchGetProductsRequest { skus: vec![sku] }.encode_to_vec(),
            "ListProducts" => ListProductsRequest { page_size: 2, page_token, include_total: true }
                .encode_to_vec(),
            "ReserveStock" => {
                let items = vec![ReservationItem { sku, quantity: 1 }];
                ReserveStockRequest { reservation_id, items, request_id }.encode_to_vec()
            }
            "CommitReservation" => {
                CommitReservationRequest { reservation_id, request_id }.encode_to_vec()
            }
            "ReleaseReservation" => {
                ReleaseReservationRequest { reservation_id, request_id }.encode_to_vec()
            }
            "CreateOrder" => new_order(&self.user, &[(&self.sku, 1)]).encode_to_vec(),
            "PlaceOrder" => PlaceOrderRequest {
                id: self.order.clone(),
                request_id,
                ..PlaceOrderRequest::default()
            }
            .encode_to_vec(),
            "GetOrder" => GetOrderRequest { id: self.order.clone() }.encode_to_vec(),
            "ListOrders" => {
                ListOrdersRequest { page_size: 2, page_token, include_total: true }.encode_to_vec()
            }
            "CreateUser" => new_user(&format!("{}@example.com", id())).encode_to_vec(),
            "GetUser" => GetUserRequest { id: self.user.clone() }.encode_to_vec(),
            "ListUsers" => {
                ListUsersRequest { page_size: 2, page_token, include_total: true }.encode_to_vec()
            }
            "Login" => LoginRequest { email: self.email.clone(), password: PASSWORD.to_owned() }
                .encode_to_vec(),
            "GetJwks" => Vec::new(),
            "ListSagas" => {
                ListSagasRequest { page_size: 2, ..ListSagasRequest::default() }.encode_to_vec()
            }
            // Unknown sagas: the answer is a refusal.
            "GetSaga" => GetSagaRequest { id: id() }.encode_to_vec(),
            "ResumeSaga" => ResumeSagaRequest { id: id(), note: String::new() }.encode_to_vec(),
            "ForceSaga" => ForceSagaRequest { id: id(), note: "done".to_owned() }.encode_to_vec(),
            "AbortSaga" => AbortSagaRequest { id: id(), note: String::new() }.encode_to_vec(),
            _ => panic!("no valid message for {}", method.path),
        }
    }
}

#[tokio::test]
async fn every_method_answers_any_message_without_internal_errors() {
    let mut callers = Callers::new().await;
    let raw = Raw::open(&callers.suite).await;
    let (mut known, mut fuzz, methods) = (Known::new(&callers).await, fuzz(), methods());
    let mut taken = 0;
    for seed in 0..rounds(30) {
        if seed % 100 == 99 {
            callers.log_in().await;
            known = Known::new(&callers).await;
        }
        // Each caller sends to each method in turn.
        let tokens = ["user", "order", "inventory"].map(|target| (target, callers.tokens(target)));
        for (index, method) in methods.iter().enumerate() {
            let (_, tokens) = tokens.iter().find(|(name, _)| *name == method.service()).unwrap();
            let caller = (seed as usize + index) % tokens.len();
            let token = tokens[caller].as_deref();
            fuzz.seed(seed);
            let message = fuzz.bytes(&method.request);
            let valid = known.valid(method);
            let nearly = fuzz.mutated(valid.clone());
            for message in [&message, &valid, &nearly] {
                let what = format!("{} by {caller}, seed {seed}: {message:02x?}", method.path);
                let status = raw.call(method, message, token).await;
                is_the_callers(&status, &what);
                taken += usize::from(status.code() == Code::Ok);
            }
            // The same bytes instead of a frame.
            let what = format!("{} by {caller}, seed {seed}, unframed", method.path);
            is_the_callers(&raw.send(method, message, token).await, &what);
        }
    }
    // If validation rejected all messages, the test would prove little.
    assert!(taken > rounds(30) as usize, "{taken}");
    let log = callers.suite.process.log();
    assert!(!log.contains("panicked") && !log.contains(" ERROR "), "{log}");
    // Valid calls still succeed.
    callers.shop.one_confirmed_order().await;
}
