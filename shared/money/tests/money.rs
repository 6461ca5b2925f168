//! Properties of every amount, and named edge cases.
#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use gantry_money::{Currency, Money, MoneyError, Rate};
use proptest::prelude::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

fn rate(basis_points: u32) -> Rate {
    Rate::from_basis_points(basis_points).unwrap()
}

#[test]
fn an_amount_is_never_negative() {
    assert_eq!(Money::new(-1, Currency::parse("EUR").unwrap()), Err(MoneyError::Negative));
    assert_eq!(eur(1).minus(eur(2)), Err(MoneyError::Negative));
    assert_eq!(eur(0).minus(eur(i64::MAX)), Err(MoneyError::Negative));
}

#[test]
fn currencies_do_not_mix() {
    let yen = Money::from_units_nanos("JPY", 1, 0).unwrap();
    let mismatch = MoneyError::CurrencyMismatch { left: eur(1).currency(), right: yen.currency() };
    assert_eq!(eur(1).plus(yen), Err(mismatch.clone()));
    assert_eq!(eur(1).minus(yen), Err(mismatch.clone()));
    assert_eq!(mismatch.to_string(), "EUR and JPY cannot be mixed");
}

#[test]
fn amounts_that_overflow_are_refused() {
    assert_eq!(eur(i64::MAX).plus(eur(1)), Err(MoneyError::TooLarge));
    assert_eq!(eur(i64::MAX / 2 + 1).times(2), Err(MoneyError::TooLarge));
    let most = i64::MAX / 100;
    assert_eq!(Money::from_units_nanos("EUR", most, 70_000_000), Ok(eur(i64::MAX)));
    assert_eq!(Money::from_units_nanos("EUR", most, 80_000_000), Err(MoneyError::TooLarge));
    assert_eq!(Money::from_units_nanos("EUR", i64::MAX, 0), Err(MoneyError::TooLarge));
}

#[test]
fn halves_round_to_the_even_neighbour() {
    for (minor, basis_points, rounded) in [
        (1, 5_000, 0), // 0.5
        (3, 5_000, 2), // 1.5
        (5, 5_000, 2), // 2.5
        (5, 5_001, 3), // just above a half
        (5, 4_999, 2), // just below a half
        (999, 1_000, 100),
        (0, 10_000, 0),
    ] {
        assert_eq!(rate(basis_points).of(eur(minor)), eur(rounded), "{minor} {basis_points}");
    }
}

#[test]
fn a_malformed_number_is_refused_with_its_reason() {
    let money = Money::from_units_nanos;
    let currency = eur(0).currency();
    assert_eq!(money("EURO", 1, 0), Err(MoneyError::UnknownCurrency("EURO".to_owned())));
    assert_eq!(money("EUR", 1, 1_000_000_000), Err(MoneyError::NanosOutOfRange));
    assert_eq!(money("EUR", 0, i32::MIN), Err(MoneyError::NanosOutOfRange));
    assert_eq!(money("EUR", 1, -1), Err(MoneyError::SignMismatch));
    assert_eq!(money("EUR", i64::MIN, 1), Err(MoneyError::SignMismatch));
    assert_eq!(money("EUR", -1, 0), Err(MoneyError::Negative));
    assert_eq!(money("EUR", 0, -10_000_000), Err(MoneyError::Negative));
    assert_eq!(money("EUR", 1, 5_000_000), Err(MoneyError::TooFine { currency }));
    assert!(matches!(money("JPY", 1, 500_000_000), Err(MoneyError::TooFine { .. })));
    assert!(money("KWD", 1, 5_000_000).is_ok());
}

#[test]
fn amounts_read_as_people_write_them() {
    assert_eq!(eur(5).to_string(), "0.05 EUR");
    assert_eq!(eur(123_456).to_string(), "1234.56 EUR");
    assert_eq!(Money::from_units_nanos("jpy", 500, 0).unwrap().to_string(), "500 JPY");
    assert_eq!(Money::from_units_nanos("KWD", 1, 5_000_000).unwrap().to_string(), "1.005 KWD");
}

#[test]
fn a_text_that_is_no_amount_is_refused_with_its_reason() {
    let parse = |text: &str| text.parse::<Money>();
    for text in ["", "100", "EUR", "EUR 100", "-1 EUR", "+1 EUR", "1,00 EUR", "1e2 EUR", ".5 EUR"] {
        assert_eq!(parse(text), Err(MoneyError::MalformedAmount), "{text}");
    }
    assert_eq!(parse("1 EURO"), Err(MoneyError::UnknownCurrency("EURO".to_owned())));
    assert_eq!(parse("1.001 EUR"), Err(MoneyError::TooFine { currency: eur(0).currency() }));
    assert_eq!(parse("92233720368547758.08 EUR"), Err(MoneyError::TooLarge));
    assert_eq!(parse("100 eur"), Ok(eur(10_000)));
    assert_eq!(parse("0.5 EUR"), Ok(eur(50)));
}

#[test]
fn a_rate_is_a_percentage_with_two_decimal_places() {
    for (percent, basis_points) in
        [(0.0, 0), (19.0, 1_900), (7.25, 725), (2.5, 250), (0.07, 7), (100.0, 10_000)]
    {
        assert_eq!(Rate::try_from(percent), Ok(rate(basis_points)), "{percent}");
    }
    for percent in [-1.0, -0.0, 1.234, 100.01, 101.0, 1e300, 1e-300, f64::NAN, f64::INFINITY] {
        assert_eq!(Rate::try_from(percent), Err(MoneyError::MalformedRate), "{percent}");
    }
    for text in ["", "-1", "7,25", "7.255", "100.01", "19 %", "99999999999"] {
        assert_eq!(text.parse::<Rate>(), Err(MoneyError::MalformedRate), "{text}");
    }
    assert_eq!(Rate::from_basis_points(10_001), None);
    let shown = serde_json::to_string(&[rate(725), rate(1_900)]).unwrap();
    assert_eq!(shown, "[7.25,19.0]");
}

fn amounts() -> impl Strategy<Value = Money> {
    let codes = prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"]);
    (0..=i64::MAX, codes)
        .prop_map(|(minor, code)| Money::new(minor, Currency::parse(code).unwrap()).unwrap())
}

proptest! {
    #[test]
    fn units_and_nanos_round_trip(amount in amounts()) {
        let (units, nanos) = amount.to_units_nanos();
        prop_assert!(units >= 0 && (0..1_000_000_000).contains(&nanos));
        let code = amount.currency().code();
        prop_assert_eq!(Money::from_units_nanos(code, units, nanos), Ok(amount));
    }

    #[test]
    fn no_number_from_the_wire_panics(units: i64, nanos: i32, code in "[A-Za-z]{0,4}|EUR|JPY") {
        if let Ok(amount) = Money::from_units_nanos(&code, units, nanos) {
            prop_assert!(amount.minor() >= 0);
            prop_assert_eq!(amount.to_units_nanos(), (units, nanos));
        }
    }

    #[test]
    fn an_amount_is_read_as_it_is_written(amount in amounts()) {
        prop_assert_eq!(amount.to_string().parse(), Ok(amount));
    }

    #[test]
    fn a_rate_is_read_as_it_is_written(basis_points in 0..=10_000_u32) {
        prop_assert_eq!(rate(basis_points).to_string().parse(), Ok(rate(basis_points)));
    }

    #[test]
    fn minus_reverses_plus(a in 0..=i64::MAX / 2, b in 0..=i64::MAX / 2) {
        let sum = eur(a).plus(eur(b)).unwrap();
        prop_assert_eq!(sum, eur(b).plus(eur(a)).unwrap());
        prop_assert_eq!(sum.minus(eur(b)), Ok(eur(a)));
    }

    #[test]
    fn times_is_repeated_plus(a in 0..=i64::MAX / 64, quantity in 0u32..32) {
        let sum = (0..quantity).try_fold(eur(0), |sum, _| sum.plus(eur(a))).unwrap();
        prop_assert_eq!(eur(a).times(quantity), Ok(sum));
    }

    #[test]
    fn a_share_is_rounded_by_at_most_half_a_minor_unit(a in 0..=i64::MAX, basis_points in 0u32..=10_000) {
        let share = rate(basis_points).of(eur(a));
        let exact = i128::from(a) * i128::from(basis_points);
        let error = (i128::from(share.minor()) * 10_000 - exact).abs();
        prop_assert!(error < 5_000 || (error == 5_000 && share.minor() % 2 == 0));
    }
}
