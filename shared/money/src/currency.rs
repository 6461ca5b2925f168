//! Currencies, as ISO 4217 lists them.

use std::fmt;

use crate::MoneyError;

/// A currency of ISO 4217 that has a minor unit, so that amounts of it can be counted.
///
/// Codes without one (gold, testing, "no currency") are not money to pay with and
/// are refused like unknown ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    code: &'static str,
    exponent: u8,
}

impl Currency {
    /// The currency with this three-letter code, in whatever case it is written.
    ///
    /// # Errors
    /// [`MoneyError::UnknownCurrency`] where ISO 4217 has no such currency, or none
    /// with a minor unit.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let unknown = || MoneyError::UnknownCurrency(code.to_owned());
        let iso =
            iso_currency::Currency::from_code(&code.to_ascii_uppercase()).ok_or_else(unknown)?;
        // Nanos have nine digits: a finer currency could not be sent. ISO's finest has four.
        let exponent = iso.exponent().filter(|exponent| *exponent <= 9).ok_or_else(unknown)?;
        let exponent = u8::try_from(exponent).map_err(|_| unknown())?;
        Ok(Self { code: iso.code(), exponent })
    }

    /// The three-letter code, upper-cased.
    pub fn code(self) -> &'static str {
        self.code
    }

    /// How many decimal places the minor unit has: 2 for EUR, 0 for JPY; at most 9.
    pub fn exponent(self) -> u8 {
        self.exponent
    }

    /// Minor units in one unit: 100 for EUR.
    pub(crate) fn minor_per_unit(self) -> i64 {
        10_i64.pow(u32::from(self.exponent))
    }

    /// Nanos in one minor unit: 10,000,000 for EUR.
    pub(crate) fn nanos_per_minor(self) -> i64 {
        10_i64.pow(9 - u32::from(self.exponent))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_upper_cased() {
        assert_eq!(Currency::parse("eUr").unwrap().code(), "EUR");
        assert_eq!(Currency::parse("eur"), Currency::parse("EUR"));
    }

    #[test]
    fn exponents_are_those_of_iso_4217() {
        for (code, exponent) in [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)] {
            assert_eq!(Currency::parse(code).unwrap().exponent(), exponent, "{code}");
        }
    }

    #[test]
    fn what_cannot_be_counted_is_no_currency() {
        for code in ["", "EU", "EURO", "ZZZ", "XAU", "XXX", "€", "ſſſ"] {
            assert_eq!(
                Currency::parse(code),
                Err(MoneyError::UnknownCurrency(code.to_owned())),
                "{code}"
            );
        }
    }
}
