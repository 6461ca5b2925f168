//! What is wrong with a message.

use gantry_contract::Validate;

/// What is wrong with a message, a line for each violation.
pub(crate) fn wrong(message: &impl Validate) -> Vec<String> {
    match message.check() {
        Ok(()) => Vec::new(),
        Err(violations) => violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect(),
    }
}

/// Nothing is.
#[allow(dead_code, reason = "each test binary uses its part")]
pub(crate) fn nothing() -> Vec<String> {
    Vec::new()
}

/// Asserts for each value of a field of a good message what is wrong then: a text,
/// or nothing at all.
#[macro_export]
macro_rules! values {
    ($good:expr; $($field:ident: $($value:expr),+ => $wrong:expr;)*) => {$($(
        let good = || $good;
        let mut message = good();
        message.$field = $value.into();
        let expected: &[&str] = &$wrong;
        let expected: Vec<_> =
            expected.iter().map(|says| format!("{}: {says}", stringify!($field).trim_start_matches("r#"))).collect();
        assert_eq!($crate::common::wrong(&message), expected, "{} = {:?}", stringify!($field), message.$field);
    )+)*};
}
