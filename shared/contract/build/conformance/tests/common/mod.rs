//! Violations of messages.

use gantry_contract::Validate;

/// Returns the violations of a message, one per line.
pub(crate) fn wrong(message: &impl Validate) -> Vec<String> {
    match message.check() {
        Ok(()) => Vec::new(),
        Err(violations) => violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect(),
    }
}

/// No violations.
#[allow(dead_code, reason = "each test binary uses its part")]
pub(crate) fn nothing() -> Vec<String> {
    Vec::new()
}

/// Asserts the violations of a valid message for each value of a field.
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
