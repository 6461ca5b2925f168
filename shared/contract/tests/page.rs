//! Pages of a list.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use gantry_contract::page::{MAX_TOTAL, Page, PageRequest, token};
use proptest::prelude::*;

const LIST: &str = "shop.user.v1.User";

fn request(size: i32) -> PageRequest {
    PageRequest::new(LIST, size, "", false).unwrap()
}

fn first_violation(size: i32, token: &str) -> String {
    PageRequest::new(LIST, size, token, false).unwrap_err().iter().next().unwrap().field.clone()
}

#[test]
fn no_size_is_20_and_more_than_100_is_100() {
    assert_eq!(request(0).size, 20);
    assert_eq!(request(1).size, 1);
    assert_eq!(request(100).size, 100);
    assert_eq!(request(i32::MAX).size, 100);
}

#[test]
fn a_negative_size_is_rejected() {
    assert_eq!(first_violation(-1, ""), "page_size");
}

#[test]
fn a_foreign_or_damaged_token_is_rejected() {
    let good = token(LIST, "u1");
    let other = token("shop.order.v1.Order", "u1");
    let cut = &good[..good.len() - 1];
    for bad in ["?", "AAAA", "bm90IG91cnM", cut, &format!("{good}A"), &other] {
        assert_eq!(first_violation(0, bad), "page_token", "{bad}");
    }
}

#[test]
fn both_violations_are_reported() {
    assert_eq!(PageRequest::new(LIST, -1, "?", false).unwrap_err().len(), 2);
}

#[test]
fn an_extra_item_means_another_page() {
    let request = request(2);
    assert_eq!(request.limit(), 3);
    let page = Page::cut(vec!["a", "b", "c"], &request, ToString::to_string, None);
    assert_eq!((page.items, page.next_page_token), (vec!["a", "b"], token(LIST, "b")));
    let next = PageRequest::new(LIST, 2, &token(LIST, "b"), false).unwrap();
    assert_eq!(next.after.as_deref(), Some("b"));
}

#[test]
fn a_last_page_has_no_token() {
    let page = Page::cut(vec!["a", "b"], &request(2), ToString::to_string, None);
    assert_eq!(page.next_page_token, "");
    let empty = Page::cut(Vec::<String>::new(), &request(2), ToString::to_string, None);
    assert_eq!(empty.next_page_token, "");
}

#[test]
fn a_total_stops_at_10_000() {
    let page = |total| Page::cut(vec![1], &request(0), ToString::to_string, total);
    assert_eq!(page(None).total_size(), None);
    assert_eq!(page(Some(9_999)).total_size(), Some(9_999));
    assert_eq!(page(Some(10_001)).total_size(), Some(10_000));
    assert_eq!(page(Some(10_001)).map(|item| item + 1).total, Some(MAX_TOTAL));
}

proptest! {
    #[test]
    fn a_token_round_trips_and_is_url_safe(key in ".{0,60}") {
        let token = token(LIST, &key);
        prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        let request = PageRequest::new(LIST, 0, &token, true).unwrap();
        prop_assert_eq!(request.after, Some(key));
    }

    #[test]
    fn random_text_is_not_a_token(text in "[A-Za-z0-9_-]{1,40}") {
        // A random text is a valid token with probability 2^-32.
        prop_assert!(PageRequest::new(LIST, 0, &text, false).is_err());
    }
}
