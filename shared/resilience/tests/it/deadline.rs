//! Deadlines within a process and on the wire.

use std::time::Duration;

use gantry_resilience::deadline::{Deadline, InvalidTimeout, LONGEST, decode, encode};
use http::HeaderValue;
use proptest::prelude::*;
use tokio::time::Instant;

#[test]
fn each_length_takes_the_finest_unit_that_can_say_it() {
    let rows = [
        (Duration::ZERO, "0n"),
        (Duration::from_nanos(9_999), "9999n"),
        (Duration::from_nanos(99_990_000), "99990000n"),
        (Duration::from_nanos(100_000_000), "100000u"),
        (Duration::from_nanos(100_000_001), "100100u"),
        (Duration::from_secs(5), "5000000u"),
        (Duration::from_secs(100), "100000m"),
        (Duration::from_secs(100_000), "100000S"),
        (LONGEST, "31536000S"),
        (Duration::MAX, "31536000S"),
    ];
    for (left, header) in rows {
        assert_eq!(encode(left), header, "{left:?}");
    }
}

#[test]
fn calls_with_the_same_timeout_say_the_same_a_moment_later() {
    let timeout = Duration::from_secs(5);
    assert_eq!(encode(timeout - Duration::from_micros(990)), encode(timeout));
}

#[test]
fn every_unit_is_read() {
    for (text, expected) in [
        ("2H", Duration::from_secs(7200)),
        ("3M", Duration::from_secs(180)),
        ("42S", Duration::from_secs(42)),
        ("13m", Duration::from_millis(13)),
        ("2u", Duration::from_micros(2)),
        ("82n", Duration::from_nanos(82)),
        ("0S", Duration::ZERO),
    ] {
        assert_eq!(decode(&HeaderValue::from_static(text)), Ok(expected), "{text}");
    }
}

#[test]
fn an_invalid_timeout_header_is_rejected() {
    for text in ["", "5", "S", "123456789m", "-1S", "+1S", "1.5S", "1s", "1 S", " 1S", "0x1S"] {
        let header = HeaderValue::from_str(text).unwrap();
        assert_eq!(decode(&header), Err(InvalidTimeout), "{text:?}");
    }
    assert_eq!(
        decode(&HeaderValue::from_static("99999999H")),
        Ok(Duration::from_secs(99_999_999 * 3600))
    );
}

proptest! {
    #[test]
    fn a_header_is_never_less_than_is_left_and_hardly_more(nanos in 0..LONGEST.as_nanos()) {
        let left = Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32);
        let told = decode(&encode(left)).unwrap();
        prop_assert!(told >= left);
        prop_assert!((told - left).as_nanos() <= nanos / 1_000 + 1, "{left:?} became {told:?}");
    }

    #[test]
    fn no_header_makes_it_panic(bytes in proptest::collection::vec(32_u8..=255, 0..12)) {
        if let Ok(header) = HeaderValue::from_bytes(&bytes) {
            let _ = decode(&header);
        }
    }
}

#[test]
fn a_deadline_only_ever_comes_nearer() {
    let now = Instant::now();
    let (near, far) =
        (Deadline::after(now, Duration::from_secs(1)), Deadline::after(now, Duration::MAX));
    assert_eq!(far.earlier(Some(near)), near);
    assert_eq!(near.earlier(Some(far)), near);
    assert_eq!(near.earlier(None), near);
    assert_eq!(near.left(now), Some(Duration::from_secs(1)));
    assert_eq!(near.left(now + Duration::from_secs(1)), None);
    assert_eq!(near.left(now + Duration::from_secs(2)), None);
    assert_eq!(far.left(now), Some(LONGEST));
}
