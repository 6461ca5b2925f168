//! Conditions of `buf.validate.StringRules`.

use super::net::is_label;

/// Returns the number of characters (Unicode code points).
pub fn chars(value: &str) -> u64 {
    value.chars().count() as u64
}

/// `string.max_len`.
pub fn has_at_most(value: &str, most: u64) -> bool {
    // A string has at most as many characters as bytes.
    value.len() as u64 <= most || chars(value) <= most
}

/// `string.email`: an e-mail address as HTML forms define it,
/// `^[a-zA-Z0-9.!#$%&'*+/=?^_{|}~`-]+@LABEL(\.LABEL)*$`. A label has 1 to 63 letters, digits and
/// inner dashes.
pub fn is_email(value: &str) -> bool {
    let Some((local, domain)) = value.split_once('@') else { return false };
    let special = |byte| b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    !local.is_empty()
        && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
        && domain.split('.').all(is_label)
}

/// `string.uuid`: 32 hexadecimal digits in five groups.
pub fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
