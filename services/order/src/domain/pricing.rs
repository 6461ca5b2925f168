//! What an order costs: subtotal, then discount, then tax.
//!
//! Discount and tax are taken line by line and rounded half to even once per line, so
//! that an invoice shows amounts that add up. The rules are data: a new one needs no
//! change here.

use std::fmt;

use gantry_money::{Money, MoneyError};

use crate::domain::{Lines, LinesError, Region};

/// A customer's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Everybody at first.
    Regular,
    /// Better.
    Premium,
    /// Best.
    Vip,
}

/// A part of an amount, in hundredths of a per cent: 0 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u32);

impl Rate {
    /// Nothing of it.
    pub const NONE: Self = Self(0);

    /// A rate of so many hundredths of a per cent, where that is not more than all.
    pub fn from_basis_points(basis_points: u32) -> Option<Self> {
        (basis_points <= 10_000).then_some(Self(basis_points))
    }

    fn of(self, amount: Money) -> Result<Money, MoneyError> {
        amount.basis_points(self.0)
    }
}

/// A discount for everybody to whom all of its conditions apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscountRule {
    /// Only for customers of this tier.
    pub tier: Option<Tier>,
    /// Only from this subtotal on, in its currency.
    pub minimum: Option<Money>,
    /// How much.
    pub rate: Rate,
}

/// A tax on what is sent to a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxRule {
    /// The country, or a state or province of it.
    pub region: Region,
    /// How much.
    pub rate: Rate,
}

/// The rules by which orders are priced.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Pricing {
    /// The best one that applies is taken.
    pub discounts: Vec<DiscountRule>,
    /// The most precise one that applies is taken; none: no tax.
    pub taxes: Vec<TaxRule>,
}

/// What an order costs. Only [`Pricing`] and the order's history make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// The sum of the lines.
    pub subtotal: Money,
    /// What is taken off the subtotal.
    pub discount: Money,
    /// What is added after the discount.
    pub tax: Money,
    /// subtotal - discount + tax.
    pub total: Money,
}

impl Pricing {
    /// What a draft costs: tax is not known before the order is placed.
    ///
    /// # Errors
    /// [`LinesError::TooLarge`].
    pub fn draft(&self, lines: &Lines, tier: Tier) -> Result<Price, LinesError> {
        price(lines, self.discount(lines, tier), Rate::NONE)
    }

    /// What an order costs that is sent to `destination`.
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
            .unwrap_or(Rate::NONE)
    }

    fn tax(&self, destination: Option<&Region>) -> Rate {
        let Some(destination) = destination else { return Rate::NONE };
        let rule = |area: &str| {
            self.taxes.iter().find(|rule| {
                rule.region.country == destination.country
                    && rule.region.area.eq_ignore_ascii_case(area)
            })
        };
        rule(&destination.area).or_else(|| rule("")).map_or(Rate::NONE, |rule| rule.rate)
    }
}

fn price(lines: &Lines, discount_rate: Rate, tax_rate: Rate) -> Result<Price, LinesError> {
    // The currency is one and nothing becomes negative (a rate is at most the whole),
    // so the only thing left to go wrong is that a sum does not fit.
    sum(lines, discount_rate, tax_rate).map_err(|_| LinesError::TooLarge)
}

fn sum(lines: &Lines, discount_rate: Rate, tax_rate: Rate) -> Result<Price, MoneyError> {
    let subtotal = lines.subtotal();
    let nothing = Money::zero(subtotal.currency());
    let (mut discount, mut tax) = (nothing, nothing);
    for line in lines.iter() {
        let off = discount_rate.of(line.total())?;
        discount = discount.plus(off)?;
        tax = tax.plus(tax_rate.of(line.total().minus(off)?)?)?;
    }
    let total = subtotal.minus(discount)?.plus(tax)?;
    Ok(Price { subtotal, discount, tax, total })
}

impl Tier {
    /// Every tier.
    pub const ALL: [Self; 3] = [Self::Regular, Self::Premium, Self::Vip];

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "REGULAR",
            Self::Premium => "PREMIUM",
            Self::Vip => "VIP",
        }
    }

    /// The tier that is stored like this.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == name)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
#[path = "pricing_tests.rs"]
mod tests;
