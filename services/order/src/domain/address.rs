//! Where an order is sent.

use std::fmt;

/// A postal address, as `google.type.PostalAddress` has it. It is personal: kept apart
/// from the order's events, never logged.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// The country, as an upper-case CLDR region code; empty where none was given.
    pub region_code: String,
    /// The language the address is written in.
    pub language_code: String,
    /// The postal code.
    pub postal_code: String,
    /// What some countries sort by besides.
    pub sorting_code: String,
    /// A state, a province, a prefecture.
    pub administrative_area: String,
    /// A city.
    pub locality: String,
    /// A part of it.
    pub sublocality: String,
    /// Street and number, as written on the parcel.
    pub address_lines: Vec<String>,
    /// Who receives it.
    pub recipients: Vec<String>,
    /// The organization they receive it at.
    pub organization: String,
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The region code is none.
    #[error("must be two letters, as CLDR has them")]
    RegionCode,
    /// More text than an address has.
    #[error("must not be longer than {} bytes in all, line ends included", Address::MAX_BYTES)]
    TooLong,
}

/// Where an order goes, as precisely as taxes need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The country: two upper-case letters.
    pub country: String,
    /// A state or province; empty where none is known.
    pub area: String,
}

impl Address {
    /// The longest address.
    pub const MAX_BYTES: usize = 2048;

    /// Brings the region code into upper case and checks the address.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn checked(mut self) -> Result<Self, AddressError> {
        let letters = self.region_code.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !(self.region_code.is_empty() || (letters && self.region_code.len() == 2)) {
            return Err(AddressError::RegionCode);
        }
        // A line of its own costs something as well, else there could be millions of empty ones.
        if self.texts().map(|text| text.len() + 1).sum::<usize>() > Self::MAX_BYTES {
            return Err(AddressError::TooLong);
        }
        self.region_code.make_ascii_uppercase();
        Ok(self)
    }

    /// The region, where the address has one.
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

/// Shows the region only: the rest is personal.
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
    fn what_is_no_region_code_is_refused() {
        for code in ["D", "DEU", "4D", "ß", "  "] {
            assert_eq!(address(code).checked(), Err(AddressError::RegionCode), "{code}");
        }
    }

    #[test]
    fn a_novel_is_no_address() {
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
    fn debug_shows_nothing_personal() {
        let address = Address { locality: "Berlin".to_owned(), ..address("DE") };
        assert!(!format!("{address:?}").contains("Berlin"));
    }
}
