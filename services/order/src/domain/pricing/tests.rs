use gantry_money::{Currency, Rate};
use proptest::prelude::*;

use super::*;
use crate::domain::{Line, Quantity, Sku};

fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

fn lines(lines: &[(u32, i64)]) -> Lines {
    let line = |(quantity, minor): &(u32, i64)| {
        let quantity = Quantity::new(*quantity).unwrap();
        Line::new(Sku::new("sku"), quantity, euros(*minor)).unwrap()
    };
    Lines::new(lines.iter().map(line).collect()).unwrap()
}

fn rate(basis_points: u32) -> Rate {
    Rate::from_basis_points(basis_points).unwrap()
}

fn discount(tier: Option<Tier>, minimum: Option<i64>, basis_points: u32) -> DiscountRule {
    DiscountRule { tier, minimum: minimum.map(euros), rate: rate(basis_points) }
}

fn region(text: &str) -> Region {
    text.parse().unwrap()
}

fn tax(text: &str, basis_points: u32) -> TaxRule {
    TaxRule { region: region(text), rate: rate(basis_points) }
}

fn by_tier() -> Vec<DiscountRule> {
    vec![
        discount(Some(Tier::Regular), None, 1_000),
        discount(Some(Tier::Premium), None, 2_000),
        discount(Some(Tier::Vip), None, 3_000),
    ]
}

#[test]
fn each_tier_has_its_discount() {
    let pricing = Pricing { discounts: by_tier(), taxes: vec![] };
    for (tier, off) in [(Tier::Regular, 1_000), (Tier::Premium, 2_000), (Tier::Vip, 3_000)] {
        let price = pricing.draft(&lines(&[(1, 10_000)]), tier).unwrap();
        assert_eq!(price.discount, euros(off));
        assert_eq!(price.total, euros(10_000 - off));
    }
}

#[test]
fn the_highest_discount_applies() {
    let mut discounts = by_tier();
    discounts.push(discount(None, Some(10_000), 2_500));
    let pricing = Pricing { discounts, taxes: vec![] };
    let off = |minor, tier| pricing.draft(&lines(&[(1, minor)]), tier).unwrap().discount;
    assert_eq!(off(9_999, Tier::Regular), euros(1_000));
    assert_eq!(off(10_000, Tier::Regular), euros(2_500));
    assert_eq!(off(10_000, Tier::Vip), euros(3_000));
}

#[test]
fn a_minimum_in_another_currency_is_never_reached() {
    let dollars = Money::new(1, Currency::parse("USD").unwrap()).unwrap();
    let rule = DiscountRule { tier: None, minimum: Some(dollars), rate: rate(5_000) };
    let pricing = Pricing { discounts: vec![rule], taxes: vec![] };
    assert!(pricing.draft(&lines(&[(9, 999)]), Tier::Vip).unwrap().discount.is_zero());
}

#[test]
fn the_most_precise_tax_applies() {
    let taxes = vec![tax("DE", 1_900), tax("US-CA", 725), tax("US", 0)];
    let pricing = Pricing { discounts: vec![], taxes };
    let taxed = |destination: Option<Region>| {
        pricing.finally(&lines(&[(1, 10_000)]), Tier::Vip, destination.as_ref()).unwrap().tax
    };
    assert_eq!(taxed(Some(region("DE"))), euros(1_900));
    assert_eq!(taxed(Some(region("DE-Bavaria"))), euros(1_900));
    assert_eq!(taxed(Some(region("US-ca"))), euros(725));
    assert_eq!(taxed(Some(region("US-OR"))), euros(0));
    assert_eq!(taxed(Some(region("FR"))), euros(0));
    assert_eq!(taxed(None), euros(0));
}

#[test]
fn a_draft_has_no_tax() {
    let pricing = Pricing { discounts: vec![], taxes: vec![tax("DE", 1_900)] };
    assert!(pricing.draft(&lines(&[(1, 10_000)]), Tier::Vip).unwrap().tax.is_zero());
}

#[test]
fn rounding_is_half_to_even_once_per_line() {
    // 10 % of 5 cents is half a cent, rounded down to 0; 10 % of 15 cents is rounded up to 2.
    let pricing = Pricing { discounts: by_tier(), taxes: vec![tax("DE", 1_000)] };
    let price = |of: &[(u32, i64)]| {
        pricing.finally(&lines(of), Tier::Regular, Some(&region("DE"))).unwrap()
    };
    assert_eq!(price(&[(1, 5)]).discount, euros(0));
    assert_eq!(price(&[(1, 15)]).discount, euros(2));
    // Each line is rounded by itself: three halves give 0, not 2.
    assert_eq!(price(&[(1, 5), (1, 5), (1, 5)]).discount, euros(0));
    // A line is one amount, whatever its quantity.
    assert_eq!(price(&[(3, 5)]).discount, euros(2));
    // The tax applies after the discount: 10 % of 15 - 2 is 1.3.
    assert_eq!(price(&[(1, 15)]).tax, euros(1));
}

#[test]
fn a_total_that_does_not_fit_is_refused() {
    let pricing = Pricing { discounts: vec![], taxes: vec![tax("DE", 1)] };
    let huge = lines(&[(1, i64::MAX)]);
    let price = pricing.finally(&huge, Tier::Vip, Some(&region("DE")));
    assert_eq!(price, Err(LinesError::TooLarge));
    assert!(pricing.draft(&huge, Tier::Vip).is_ok());
}

#[test]
fn a_discount_of_100_per_cent_leaves_nothing() {
    let all = Pricing { discounts: vec![discount(None, None, 10_000)], taxes: vec![] };
    assert!(all.draft(&lines(&[(3, 333)]), Tier::Vip).unwrap().total.is_zero());
}

proptest! {
    #[test]
    fn amounts_add_up_and_rounding_costs_less_than_a_cent_per_line(
        items in proptest::collection::vec((1_u32..1000, 0_i64..1_000_000), 1..20),
        discount_rate in 0_u32..=10_000,
        tax_rate in 0_u32..=10_000,
    ) {
        let pricing = Pricing {
            discounts: vec![discount(None, None, discount_rate)],
            taxes: vec![tax("DE", tax_rate)],
        };
        let lines = lines(&items);
        let price = pricing.finally(&lines, Tier::Regular, Some(&region("DE"))).unwrap();

        let subtotal: i64 = items.iter().map(|(quantity, minor)| i64::from(*quantity) * minor).sum();
        prop_assert_eq!(price.subtotal, euros(subtotal));
        let total = price.subtotal.minus(price.discount).unwrap().plus(price.tax).unwrap();
        prop_assert_eq!(price.total, total);

        let off = |whole: i64, rate: u32, rounded: i64| {
            (rounded as f64 - whole as f64 * f64::from(rate) / 10_000.0).abs()
        };
        let most = items.len() as f64 * 0.5 + 1e-3;
        prop_assert!(off(subtotal, discount_rate, price.discount.minor()) <= most);
        let left = subtotal - price.discount.minor();
        prop_assert!(off(left, tax_rate, price.tax.minor()) <= most);
    }
}
