//! Generates the shop's contract from its .proto files; see `gantry_contract_build`.

fn main() -> Result<(), gantry_contract_build::Error> {
    gantry_contract_build::compile(
        &[
            "../shared/operator/proto/gantry/operator/v1/sagas.proto",
            "shop/access/v1/access.proto",
            "shop/errors/v1/reason.proto",
            "shop/events/v1/order.proto",
            "shop/events/v1/payment.proto",
            "shop/events/v1/shipment.proto",
            "shop/events/v1/stock.proto",
            "shop/events/v1/user.proto",
            "shop/inventory/v1/inventory.proto",
            "shop/order/v1/order.proto",
            "shop/user/v1/auth.proto",
            "shop/user/v1/user.proto",
        ],
        &[".", "../shared/operator/proto"],
    )
}
