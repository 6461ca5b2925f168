use gantry_money::{Currency, Money};
use proptest::prelude::*;
use time::Duration;

use super::*;
use crate::domain::{Line, Quantity, Sku};

const ID: OrderId = OrderId(Uuid::from_u128(1));
const USER: UserId = UserId(Uuid::from_u128(2));
const SAGA: Uuid = Uuid::from_u128(3);

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

fn lines() -> Lines {
    let unit_price = Money::new(999, Currency::parse("EUR").unwrap()).unwrap();
    let quantity = Quantity::new(2).unwrap();
    Lines::new(vec![Line::new(Sku::new("mug"), quantity, unit_price).unwrap()]).unwrap()
}

fn draft() -> Change {
    Order::create(ID, USER, Tier::Regular, lines(), &Pricing::default(), at(0)).unwrap()
}

fn placed() -> Change {
    let draft = draft().order;
    draft.place(draft.price(), SAGA, None, at(1)).unwrap()
}

#[test]
fn a_draft_has_version_1() {
    let Change { order, recorded } = draft();
    assert_eq!((order.version(), recorded.version), (1, 1));
    assert_eq!(order.status(), Status::Draft);
    assert_eq!((order.create_time(), order.update_time()), (at(0), at(0)));
    assert_eq!(order.price().total.to_string(), "19.98 EUR");
}

#[test]
fn placing_takes_the_final_price() {
    let by = PlacedBy { subject: "ann".to_owned(), roles: vec!["user".to_owned()] };
    let draft = draft().order;
    let price = Price { total: Money::zero(draft.price().total.currency()), ..draft.price() };
    let placed = draft.place(price, SAGA, Some(by.clone()), at(1)).unwrap().order;
    assert_eq!(placed.status(), Status::Placed);
    assert_eq!(placed.price(), price);
    assert_eq!(placed.placed_by(), Some(&by));
    assert_eq!((placed.version(), placed.update_time()), (2, at(1)));
}

#[test]
fn a_confirmed_or_rejected_order_is_final() {
    let placed = placed().order;
    let confirmed = placed.confirm(at(2)).unwrap().order;
    assert_eq!(confirmed.status(), Status::Confirmed);
    let reason = RejectReason::InsufficientStock;
    let rejected = placed.reject(reason, at(2)).unwrap().order;
    assert_eq!(rejected.status(), Status::Rejected);
    assert_eq!(rejected.reject_reason(), Some(reason));
    for ended in [confirmed, rejected] {
        assert!(ended.place(ended.price(), SAGA, None, at(3)).is_err());
        assert!(ended.confirm(at(3)).is_err());
        assert!(ended.reject(reason, at(3)).is_err());
    }
}

#[test]
fn a_draft_is_neither_confirmed_nor_rejected() {
    let draft = draft().order;
    let invalid = InvalidTransition { from: Status::Draft, to: Status::Confirmed };
    assert_eq!(draft.confirm(at(1)), Err(invalid));
    assert!(draft.reject(RejectReason::UserNotFound, at(1)).is_err());
}

#[test]
fn an_empty_history_has_no_order() {
    assert_eq!(Order::rebuild(ID, []), Ok(None));
}

#[test]
fn a_broken_history_is_refused() {
    let (first, second) = (draft().recorded, placed().recorded);
    let late = Recorded { version: 3, ..second.clone() };
    for (history, version) in [
        (vec![first.clone(), first.clone()], 1),
        (vec![first.clone(), late], 3),
        (vec![second], 2),
        (vec![first.clone(), Recorded { version: 2, ..first }], 2),
    ] {
        assert_eq!(Order::rebuild(ID, history), Err(Broken { id: ID, version }));
    }
}

proptest! {
    /// Every accepted command is an allowed transition, and the history rebuilds the same order.
    #[test]
    fn the_history_rebuilds_the_order(commands in proptest::collection::vec(0..3, 0..8)) {
        let Change { mut order, recorded } = draft();
        let mut history = vec![recorded];
        for (n, command) in (1..).zip(commands) {
            let change = match command {
                0 => order.place(order.price(), SAGA, None, at(n)),
                1 => order.confirm(at(n)),
                _ => order.reject(RejectReason::UserNotFound, at(n)),
            };
            match change {
                Ok(change) => {
                    prop_assert!(order.status().may_become(change.order.status()));
                    prop_assert_eq!(change.order.version(), order.version() + 1);
                    order = change.order;
                    history.push(change.recorded);
                }
                Err(invalid) => prop_assert!(!invalid.from.may_become(invalid.to)),
            }
        }
        prop_assert_eq!(Order::rebuild(ID, history), Ok(Some(order)));
    }
}
