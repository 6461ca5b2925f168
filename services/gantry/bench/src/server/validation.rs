//! Cost of validating a typical request against the rules of its contract.

use std::hint::black_box;

use gantry_contract::Validate;
use gantry_proto::shop::order::v1::{CreateOrderRequest, OrderItem};
use uuid::Uuid;

use crate::{
    args::RunArgs,
    cpu,
    error::BenchError,
    row::{Bound::Below, Row, Target::Value},
    stats::Runs,
};

const CHECKS: u32 = 20_000;

pub(super) fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let item = |sku: &str| OrderItem { sku: sku.to_owned(), quantity: 2, ..OrderItem::default() };
    let order = CreateOrderRequest {
        user_id: Uuid::now_v7().to_string(),
        items: vec![item("TEA-DARJEELING-100G"), item("POT-1L")],
        request_id: Uuid::now_v7().to_string(),
        ..CreateOrderRequest::default()
    };
    order.check().map_err(|wrong| BenchError::Call(Box::new(wrong.into())))?;
    let checked: Runs = (0..run.runs)
        .map(|_| {
            let before = cpu::used();
            for _ in 0..CHECKS {
                // The request is valid, see above. Only the time matters.
                let _ = black_box(black_box(&order).check());
            }
            (cpu::used() - before).as_secs_f64() * 1e6 / f64::from(CHECKS)
        })
        .collect();
    Ok(vec![
        Row::new("validation of an order with two items", "us", &checked).target(Value(Below(1.0))),
    ])
}
