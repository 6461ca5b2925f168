//! Hints of a server about retries.

use std::time::Duration;

use gantry_resilience::retry::{PUSHBACK, Pushback};
use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use proptest::prelude::*;

fn grpc(values: &[&[u8]]) -> Option<Pushback> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(PUSHBACK, HeaderValue::from_bytes(value).unwrap());
    }
    Pushback::of_grpc(&headers)
}

#[test]
fn a_pushback_is_milliseconds_and_anything_else_means_stop() {
    assert_eq!(grpc(&[]), None);
    for (value, millis) in [("0", 0), ("1", 1), ("1500", 1500), ("2147483647", 2_147_483_647)] {
        let after = Pushback::After(Duration::from_millis(millis));
        assert_eq!(grpc(&[value.as_bytes()]), Some(after));
    }
    let stops: [&[u8]; 14] = [
        b"-1",
        b"-0",
        b"",
        b" 1",
        b"+1",
        b"007",
        b"1.5",
        b"1e3",
        b"soon",
        b"2147483648",
        b"9999999999",
        b"18446744073709551617",
        b"\xff",
        b"\xd9\xa1",
    ];
    for value in stops {
        assert_eq!(grpc(&[value]), Some(Pushback::Stop), "{value:?}");
    }
    assert_eq!(grpc(&[b"1", b"1"]), Some(Pushback::Stop), "said twice");
}

#[test]
fn retry_after_is_seconds_and_a_date_means_stop() {
    let http = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_static(value));
        }
        Pushback::of_http(&headers)
    };
    assert_eq!(http(&[]), None);
    assert_eq!(http(&["120"]), Some(Pushback::After(Duration::from_secs(120))));
    assert_eq!(http(&["Fri, 31 Dec 1999 23:59:59 GMT"]), Some(Pushback::Stop));
    assert_eq!(http(&["-1"]), Some(Pushback::Stop));
    assert_eq!(http(&["1", "1"]), Some(Pushback::Stop), "said twice");
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(value in proptest::collection::vec(any::<u8>(), 0..24)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let headers = HeaderMap::from_iter([(PUSHBACK, value.clone()), (RETRY_AFTER, value)]);
            prop_assert!(Pushback::of_grpc(&headers).is_some());
            prop_assert!(Pushback::of_http(&headers).is_some());
        }
    }
}
