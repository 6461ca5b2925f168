//! Conditions of `buf.validate.StringRules`.

use super::net::is_label;

/// The length of a string: its characters.
pub fn chars(value: &str) -> u64 {
    value.chars().count() as u64
}

/// `string.max_len`.
pub fn has_at_most(value: &str, most: u64) -> bool {
    // No string has more characters than bytes.
    value.len() as u64 <= most || chars(value) <= most
}

/// `string.email`: what an HTML form takes as an e-mail address:
/// `^[a-zA-Z0-9.!#$%&'*+/=?^_{|}~`-]+@LABEL(\.LABEL)*$`, where a label has 1 to 63
/// letters, digits and inner dashes.
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
