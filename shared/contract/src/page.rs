//! Pages of a list, as AIP-158 has them.
//!
//! A list is read in the order of a key. A page token holds the key of the last
//! item seen, so that a page is one range read, and items added or removed
//! meanwhile neither repeat nor hide others. It belongs to its list: another list
//! does not take it for one of its own, whatever its keys look like.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::Violations;

/// The size of a page where none is asked for.
pub const DEFAULT_SIZE: u32 = 20;
/// The size of the largest page; who asks for more gets this.
pub const MAX_SIZE: u32 = 100;
/// Totals are exact up to here, which then stands for "this many or more".
pub const MAX_TOTAL: u32 = 10_000;

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items at most: 1 to 100.
    pub size: u32,
    /// The key after which the page begins; none for the first page.
    pub after: Option<String>,
    /// Whether the caller wants to know how many there are.
    pub include_total: bool,
    /// The list that is read.
    list: &'static str,
}

impl PageRequest {
    /// Reads the three standard fields of a request for a list, which is named by
    /// what it lists and by all that chooses among that.
    ///
    /// # Errors
    /// A violation on `page_size` where it is negative, on `page_token` where it
    /// is not one that [`token`] made for this list.
    pub fn new(
        list: &'static str,
        page_size: i32,
        page_token: &str,
        include_total: bool,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let size = match u32::try_from(page_size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(MAX_SIZE),
            Err(_) => {
                violations.push("page_size", "must be at least 0");
                DEFAULT_SIZE
            }
        };
        let after = (!page_token.is_empty()).then(|| key(list, page_token));
        if after == Some(None) {
            violations
                .push("page_token", "must be a next_page_token of an earlier answer of this list");
        }
        if violations.is_empty() {
            Ok(Self { size, after: after.flatten(), include_total, list })
        } else {
            Err(violations)
        }
    }

    /// How many items to read: one more than asked for, which tells whether
    /// another page follows.
    pub fn limit(&self) -> u32 {
        self.size + 1
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// What asks for the page after this one; empty on the last page.
    pub next_page_token: String,
    /// How many items the whole list has, where asked for; at most [`MAX_TOTAL`].
    pub total: Option<u32>,
}

impl<T> Page<T> {
    /// Makes a page of what was read with [`PageRequest::limit`].
    pub fn cut(
        mut items: Vec<T>,
        request: &PageRequest,
        key: impl FnOnce(&T) -> String,
        total: Option<u32>,
    ) -> Self {
        let size = request.size as usize;
        let more = items.len() > size;
        items.truncate(size);
        let last = if more { items.last().map(key) } else { None };
        let next_page_token = last.map(|key| token(request.list, &key)).unwrap_or_default();
        Self { items, next_page_token, total: total.map(|total| total.min(MAX_TOTAL)) }
    }

    /// The page with every item converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            next_page_token: self.next_page_token,
            total: self.total,
        }
    }

    /// The field `total_size`.
    pub fn total_size(&self) -> Option<i32> {
        self.total.map(|total| i32::try_from(total).unwrap_or(i32::MAX))
    }
}

/// The page token that stands for a key of a list: opaque and safe in a URL.
///
/// Its checksum finds tokens that were cut, mistyped or made for another list; it
/// keeps no secret and proves no origin, so a key in it grants nothing.
pub fn token(list: &str, key: &str) -> String {
    let mut bytes = checksum(list, key.as_bytes()).to_be_bytes().to_vec();
    bytes.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key that a page token of this list stands for.
fn key(list: &str, token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (sum, key) = bytes.split_first_chunk::<4>()?;
    let matches = u32::from_be_bytes(*sum) == checksum(list, key);
    matches.then(|| String::from_utf8(key.to_vec()).ok()).flatten()
}

/// FNV-1a of the list's name, a byte that no text has, and the key.
fn checksum(list: &str, key: &[u8]) -> u32 {
    list.as_bytes()
        .iter()
        .chain(&[0xff])
        .chain(key)
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
