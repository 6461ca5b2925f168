//! Pagination of lists (AIP-158).
//!
//! A list is sorted by a key. A page token contains the key of the last item of a page, so the next
//! page is one range read. Items that are added or removed in between cause no repeated and no
//! skipped items. A token is valid for its own list only, even if another list has the same keys.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::Violations;

/// Default page size.
pub const DEFAULT_SIZE: u32 = 20;
/// Maximum page size. Larger requests get this size.
pub const MAX_SIZE: u32 = 100;
/// Limit of exact totals. A total of this value means "this many or more".
pub const MAX_TOTAL: u32 = 10_000;

/// Requested page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Maximum number of items: 1 to 100.
    pub size: u32,
    /// Key after which the page begins. None for the first page.
    pub after: Option<String>,
    /// True if the caller requests the total.
    pub include_total: bool,
    /// Name of the list.
    list: &'static str,
}

impl PageRequest {
    /// Reads the three standard fields of a list request. `list` identifies the list: its name and
    /// all filters.
    ///
    /// # Errors
    /// A violation of `page_size` if it is negative, or of `page_token` if [`token`] did not make
    /// it for this list.
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
            violations.push(
                "page_token",
                "must be a next_page_token of an earlier response of this list",
            );
        }
        if violations.is_empty() {
            Ok(Self { size, after: after.flatten(), include_total, list })
        } else {
            Err(violations)
        }
    }

    /// Returns the number of items to read: one more than the page size. The extra item shows that
    /// another page follows.
    pub fn limit(&self) -> u32 {
        self.size + 1
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Token of the next page. Empty on the last page.
    pub next_page_token: String,
    /// Number of items in the whole list, at most [`MAX_TOTAL`]. None if it was not requested.
    pub total: Option<u32>,
}

impl<T> Page<T> {
    /// Makes a page from items that were read with [`PageRequest::limit`].
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

    /// Converts every item.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            next_page_token: self.next_page_token,
            total: self.total,
        }
    }

    /// Returns the value of the field `total_size`.
    pub fn total_size(&self) -> Option<i32> {
        self.total.map(|total| i32::try_from(total).unwrap_or(i32::MAX))
    }
}

/// Returns the page token of a key: opaque and URL-safe.
///
/// Its checksum detects tokens that are truncated, mistyped or from another list. It neither
/// protects the key nor proves its origin, so a key in a token must grant nothing.
pub fn token(list: &str, key: &str) -> String {
    let mut bytes = checksum(list, key.as_bytes()).to_be_bytes().to_vec();
    bytes.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the key of a page token, if the token is intact and of this list.
fn key(list: &str, token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (sum, key) = bytes.split_first_chunk::<4>()?;
    let matches = u32::from_be_bytes(*sum) == checksum(list, key);
    matches.then(|| String::from_utf8(key.to_vec()).ok()).flatten()
}

/// Returns the FNV-1a hash of the list's name, a separator that no UTF-8 text has, and the key.
fn checksum(list: &str, key: &[u8]) -> u32 {
    list.as_bytes()
        .iter()
        .chain(&[0xff])
        .chain(key)
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
