//! Currencies of ISO 4217.

use std::fmt;

use crate::MoneyError;

/// Currency of ISO 4217 that has a minor unit.
///
/// Codes without a minor unit (gold, testing, "no currency") cannot be paid with. They are refused
/// like unknown codes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    code: &'static str,
    exponent: u8,
}

impl Currency {
    /// Parses a three-letter code, in upper or lower case.
    ///
    /// # Errors
    /// [`MoneyError::UnknownCurrency`] if ISO 4217 has no such currency with a minor unit.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let unknown = || MoneyError::UnknownCurrency(code.to_owned());
        let iso =
            iso_currency::Currency::from_code(&code.to_ascii_uppercase()).ok_or_else(unknown)?;
        // `google.type.Money` has nine decimal places, and no currency of ISO has more than four.
        let exponent = iso.exponent().filter(|exponent| *exponent <= 9).ok_or_else(unknown)?;
        let exponent = u8::try_from(exponent).map_err(|_| unknown())?;
        Ok(Self { code: iso.code(), exponent })
    }

    /// Returns the three-letter code in upper case.
    pub fn code(self) -> &'static str {
        self.code
    }

    /// Returns the number of decimal places: 2 for EUR, 0 for JPY, at most 9.
    pub fn exponent(self) -> u8 {
        self.exponent
    }

    /// Returns the minor units in one unit: 100 for EUR.
    pub(crate) fn minor_per_unit(self) -> i64 {
        10_i64.pow(u32::from(self.exponent))
    }

    /// Returns the nanos in one minor unit: 10,000,000 for EUR.
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
    fn codes_without_a_minor_unit_are_refused() {
        for code in ["", "EU", "EURO", "ZZZ", "XAU", "XXX", "€", "ſſſ"] {
            assert_eq!(
                Currency::parse(code),
                Err(MoneyError::UnknownCurrency(code.to_owned())),
                "{code}"
            );
        }
    }
}
