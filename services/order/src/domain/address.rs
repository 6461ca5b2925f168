//! Postal addresses.

use std::{fmt, str::FromStr};

/// Postal address with the fields of `google.type.PostalAddress`. Personal data: stored apart from
/// the order's events and never logged.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// Country as an upper-case CLDR region code; empty if none was given.
    pub region_code: String,
    /// Language of the address.
    pub language_code: String,
    /// Postal code.
    pub postal_code: String,
    /// Sorting code, used by some countries beside the postal code.
    pub sorting_code: String,
    /// State, province or prefecture.
    pub administrative_area: String,
    /// City.
    pub locality: String,
    /// District of the city.
    pub sublocality: String,
    /// Street and number, in lines as printed on the parcel.
    pub address_lines: Vec<String>,
    /// Recipients.
    pub recipients: Vec<String>,
    /// Organization of the recipients.
    pub organization: String,
}

/// Violation of a rule of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The region code is malformed.
    #[error("must be a CLDR region code of two letters")]
    RegionCode,
    /// The address is longer than [`Address::MAX_BYTES`].
    #[error("must have at most {} bytes in total, including line ends", Address::MAX_BYTES)]
    TooLong,
}

/// Destination of an order, for taxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Country: two upper-case letters.
    pub country: String,
    /// State or province; empty if unknown.
    pub area: String,
}

/// Text that is no region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a country, or a country and its state or province, like DE or US-CA")]
pub struct InvalidRegion;

/// Formats the region as `DE` or `US-CA`.
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.country)?;
        if self.area.is_empty() { Ok(()) } else { write!(f, "-{}", self.area) }
    }
}

/// Parses the form of [`Display`](fmt::Display).
impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        let (country, area) = match text.split_once('-') {
            Some((_, "")) => return Err(InvalidRegion),
            Some(parts) => parts,
            None => (text, ""),
        };
        let is_country =
            country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        if !is_country {
            return Err(InvalidRegion);
        }
        Ok(Self { country: country.to_owned(), area: area.to_owned() })
    }
}

impl Address {
    /// Maximum length in bytes, including line ends.
    pub const MAX_BYTES: usize = 2048;

    /// Checks the address and converts its region code to upper case.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn checked(mut self) -> Result<Self, AddressError> {
        let letters = self.region_code.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !(self.region_code.is_empty() || (letters && self.region_code.len() == 2)) {
            return Err(AddressError::RegionCode);
        }
        // Count line ends too, or millions of empty lines would be allowed.
        if self.texts().map(|text| text.len() + 1).sum::<usize>() > Self::MAX_BYTES {
            return Err(AddressError::TooLong);
        }
        self.region_code.make_ascii_uppercase();
        Ok(self)
    }

    /// Returns the region, if the address has one.
    pub fn region(&self) -> Option<Region> {
        (!self.region_code.is_empty()).then(|| Region {
            country: self.region_code.clone(),
            area: self.administrative_area.clone(),
        })
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        [
            &self.region_code,
            &self.language_code,
            &self.postal_code,
            &self.sorting_code,
            &self.administrative_area,
            &self.locality,
            &self.sublocality,
            &self.organization,
        ]
        .into_iter()
        .chain(&self.address_lines)
        .chain(&self.recipients)
    }
}

/// Shows the region only: the rest is personal data.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("region_code", &self.region_code).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(region_code: &str) -> Address {
        Address { region_code: region_code.to_owned(), ..Address::default() }
    }

    #[test]
    fn a_region_code_is_upper_cased() {
        let checked = address("de").checked().unwrap();
        assert_eq!(checked.region().unwrap().country, "DE");
        assert_eq!(address("").checked().unwrap().region(), None);
    }

    #[test]
    fn a_malformed_region_code_is_refused() {
        for code in ["D", "DEU", "4D", "ß", "  "] {
            assert_eq!(address(code).checked(), Err(AddressError::RegionCode), "{code}");
        }
    }

    #[test]
    fn a_region_is_a_country_and_perhaps_a_part_of_it() {
        for text in ["DE", "US-CA", "GB-a-b"] {
            assert_eq!(text.parse::<Region>().unwrap().to_string(), text);
        }
        for text in ["", "de", "Germany", "DE-", "-CA", "D-CA"] {
            assert_eq!(text.parse::<Region>(), Err(InvalidRegion), "{text}");
        }
    }

    #[test]
    fn an_address_that_is_too_long_is_refused() {
        let lines = vec!["x".repeat(1025); 2];
        let novel = Address { address_lines: lines, ..address("DE") };
        assert_eq!(novel.checked(), Err(AddressError::TooLong));
        let blank = || vec![String::new(); 3000];
        let pages = Address { address_lines: blank(), ..address("DE") };
        assert_eq!(pages.checked(), Err(AddressError::TooLong));
        let crowd = Address { recipients: blank(), ..address("DE") };
        assert_eq!(crowd.checked(), Err(AddressError::TooLong));
    }

    #[test]
    fn debug_hides_personal_data() {
        let address = Address { locality: "Berlin".to_owned(), ..address("DE") };
        assert!(!format!("{address:?}").contains("Berlin"));
    }
}
