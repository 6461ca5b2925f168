//! Pricing of orders: subtotal, then discount, then tax.
//!
//! Discount and tax are computed per line and rounded half to even once per line, so the amounts of
//! an invoice add up. The rules are data: a new rule needs no change here.

use std::{fmt, str::FromStr};

use gantry_money::{Money, MoneyError, Rate};

use crate::domain::{Lines, LinesError, Region};

/// Tier of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Tier of every new customer.
    Regular,
    /// Tier above regular.
    Premium,
    /// Highest tier.
    Vip,
}

/// Text that names no tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected regular, premium or vip")]
pub struct UnknownTier;

/// Discount for orders that meet all of its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscountRule {
    /// Required tier, if any.
    pub tier: Option<Tier>,
    /// Smallest subtotal, if any. Orders in another currency do not meet it.
    pub minimum: Option<Money>,
    /// Rate.
    pub rate: Rate,
}

/// Tax on orders sent to a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxRule {
    /// Country, or state or province of it.
    pub region: Region,
    /// Rate.
    pub rate: Rate,
}

/// Pricing rules.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Pricing {
    /// Discounts. The highest one that applies is taken.
    pub discounts: Vec<DiscountRule>,
    /// Taxes. The most precise one that applies is taken; without one there is no tax.
    pub taxes: Vec<TaxRule>,
}

/// Price of an order. Created by [`Pricing`] and by the order's history only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Sum of the lines.
    pub subtotal: Money,
    /// Amount taken off the subtotal.
    pub discount: Money,
    /// Amount added after the discount.
    pub tax: Money,
    /// Subtotal - discount + tax.
    pub total: Money,
}

impl Pricing {
    /// Prices a draft. Tax is unknown until the order is placed.
    ///
    /// # Errors
    /// [`LinesError::TooLarge`].
    pub fn draft(&self, lines: &Lines, tier: Tier) -> Result<Price, LinesError> {
        price(lines, self.discount(lines, tier), Rate::ZERO)
    }

    /// Prices an order that is sent to `destination`.
    ///
    /// # Errors
    /// [`LinesError::TooLarge`].
    pub fn finally(
        &self,
        lines: &Lines,
        tier: Tier,
        destination: Option<&Region>,
    ) -> Result<Price, LinesError> {
        price(lines, self.discount(lines, tier), self.tax(destination))
    }

    fn discount(&self, lines: &Lines, tier: Tier) -> Rate {
        let reached = |minimum: Money| {
            let subtotal = lines.subtotal();
            minimum.currency() == subtotal.currency() && subtotal.minor() >= minimum.minor()
        };
        self.discounts
            .iter()
            .filter(|rule| rule.tier.is_none_or(|wanted| wanted == tier))
            .filter(|rule| rule.minimum.is_none_or(reached))
            .map(|rule| rule.rate)
            .max()
            .unwrap_or(Rate::ZERO)
    }

    fn tax(&self, destination: Option<&Region>) -> Rate {
        let Some(destination) = destination else { return Rate::ZERO };
        let rule = |area: &str| {
            self.taxes.iter().find(|rule| {
                rule.region.country == destination.country
                    && rule.region.area.eq_ignore_ascii_case(area)
            })
        };
        rule(&destination.area).or_else(|| rule("")).map_or(Rate::ZERO, |rule| rule.rate)
    }
}

fn price(lines: &Lines, discount_rate: Rate, tax_rate: Rate) -> Result<Price, LinesError> {
    // There is one currency and no result is negative (a rate is at most the whole), so the only
    // possible error is a sum that is too large.
    sum(lines, discount_rate, tax_rate).map_err(|_| LinesError::TooLarge)
}

fn sum(lines: &Lines, discount_rate: Rate, tax_rate: Rate) -> Result<Price, MoneyError> {
    let subtotal = lines.subtotal();
    let nothing = Money::zero(subtotal.currency());
    let (mut discount, mut tax) = (nothing, nothing);
    for line in lines.iter() {
        let off = discount_rate.of(line.total());
        discount = discount.plus(off)?;
        tax = tax.plus(tax_rate.of(line.total().minus(off)?))?;
    }
    let total = subtotal.minus(discount)?.plus(tax)?;
    Ok(Price { subtotal, discount, tax, total })
}

impl Tier {
    /// All tiers.
    pub const ALL: [Self; 3] = [Self::Regular, Self::Premium, Self::Vip];

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "REGULAR",
            Self::Premium => "PREMIUM",
            Self::Vip => "VIP",
        }
    }

    /// Parses a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == name)
    }
}

/// Formats the tier for people: `regular`, `premium`, `vip`.
impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str().to_ascii_lowercase())
    }
}

/// Parses the form of [`Display`](fmt::Display).
impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(name: &str) -> Result<Self, UnknownTier> {
        Self::ALL.into_iter().find(|tier| tier.to_string() == name).ok_or(UnknownTier)
    }
}

#[cfg(test)]
mod tests;
