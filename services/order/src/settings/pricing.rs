//! The rules of pricing, as they are configured. What is read is right: each value is
//! checked where it is read.

use gantry_money::{Currency, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{DiscountRule, Pricing, Rate, Region, TaxRule, Tier};

/// What orders cost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PricingSettings {
    /// The best one that applies is taken.
    pub discounts: Vec<DiscountSettings>,
    /// The most precise one that applies is taken.
    pub taxes: Vec<TaxSettings>,
}

/// A discount for everybody to whom all of its conditions apply.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscountSettings {
    /// Only for this tier.
    pub tier: Option<TierName>,
    /// Only from this subtotal on.
    pub minimum: Option<Amount>,
    /// How much.
    pub percent: Percent,
}

/// A tax on what is sent to a region.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxSettings {
    /// Where to.
    pub region: Destination,
    /// How much.
    pub percent: Percent,
}

/// A tier by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TierName {
    /// Everybody at first.
    Regular,
    /// Better.
    Premium,
    /// Best.
    Vip,
}

/// 0 to 100, with at most two decimal places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percent(pub Rate);

/// An amount and its currency: `100.00 EUR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(pub Money);

/// A country, or a state or province of it: `DE`, `US-CA`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Destination(pub Region);

impl From<&PricingSettings> for Pricing {
    fn from(settings: &PricingSettings) -> Self {
        let discounts = settings.discounts.iter().map(|rule| DiscountRule {
            tier: rule.tier.map(Tier::from),
            minimum: rule.minimum.map(|Amount(money)| money),
            rate: rule.percent.0,
        });
        let taxes = settings
            .taxes
            .iter()
            .map(|rule| TaxRule { region: rule.region.0.clone(), rate: rule.percent.0 });
        Self { discounts: discounts.collect(), taxes: taxes.collect() }
    }
}

impl From<TierName> for Tier {
    fn from(name: TierName) -> Self {
        match name {
            TierName::Regular => Self::Regular,
            TierName::Premium => Self::Premium,
            TierName::Vip => Self::Vip,
        }
    }
}

impl TryFrom<f64> for Percent {
    type Error = &'static str;

    fn try_from(percent: f64) -> Result<Self, Self::Error> {
        let error = "expected a percentage: 0 to 100, at most two decimal places";
        let basis_points = percent * 100.0;
        let whole = basis_points.round();
        // No number, more decimal places, or out of bounds.
        if !((whole - basis_points).abs() < 1e-6 && (0.0..=10_000.0).contains(&whole)) {
            return Err(error);
        }
        Rate::from_basis_points(whole as u32).map(Self).ok_or(error)
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        Self::from(percent.0.as_basis_points()) / 100.0
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.0.to_string()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        let Region { country, area } = destination.0;
        if area.is_empty() { country } else { format!("{country}-{area}") }
    }
}

impl TryFrom<String> for Amount {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        amount(&text).map(Self).ok_or("expected an amount and its currency, like 100.00 EUR")
    }
}

fn amount(text: &str) -> Option<Money> {
    let (number, code) = text.split_once(' ')?;
    let currency = Currency::parse(code).ok()?;
    let (units, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let places = usize::from(currency.exponent());
    if units.is_empty() || !digits(units) || !digits(decimals) || decimals.len() > places {
        return None;
    }
    Money::new(format!("{units}{decimals:0<places$}").parse().ok()?, currency).ok()
}

impl TryFrom<String> for Destination {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (country, area) = text.split_once('-').unwrap_or((&text, ""));
        let is_country =
            country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        if !is_country || (area.is_empty() && text.contains('-')) {
            return Err("expected a country and where needed a state of it, like DE or US-CA");
        }
        Ok(Self(Region { country: country.to_owned(), area: area.to_owned() }))
    }
}
