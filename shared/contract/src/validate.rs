//! Validation of messages, which reports all violations.

use std::fmt;

use tonic::Code;

use crate::{
    Failure, GantryReason,
    shape::{self, Shape},
};

/// Maximum length of the kept violations in bytes. Further violations are only counted. Leaves room
/// for the other details within the limit of [`Failure`].
const KEPT_BYTES: usize = 2560;

/// Maximum number of characters of a map key in a field path. Longer keys are cut, because the
/// caller chooses them.
const KEY_CHARS: usize = 64;

/// Maximum number of violations in a message for people, and the message's maximum length in bytes.
/// The message is also sent as a header, percent-encoded.
const NAMED: usize = 5;
const NAMED_BYTES: usize = 1024;

/// A message that can be validated against the rules of its contract.
///
/// The build library implements this trait for every message of a contract. The server validates a
/// request while it decodes it. A client may validate a request before it sends it.
pub trait Validate {
    /// Adds all violations to `out`. `path` is the path of this message.
    fn validate(&self, path: &FieldPath<'_>, out: &mut Violations);

    /// Returns the lists and maps of the message, for the scan before decoding. None if it has
    /// none.
    fn shape() -> Option<&'static Shape>
    where
        Self: Sized,
    {
        None
    }

    /// Validates a top-level message.
    ///
    /// # Errors
    /// All violations, if there are any.
    fn check(&self) -> Result<(), Violations> {
        let mut out = Violations::default();
        self.validate(&FieldPath::ROOT, &mut out);
        if out.is_empty() { Ok(()) } else { Err(out) }
    }
}

/// Implements [`Validate`] for Google's messages, which have no rules.
macro_rules! without_rules {
    ($($message:ty $(= $shape:path)?),* $(,)?) => {$(
        impl Validate for $message {
            fn validate(&self, _: &FieldPath<'_>, _: &mut Violations) {}

            $(fn shape() -> Option<&'static Shape> {
                Some(&$shape)
            })?
        }
    )*};
}

// tonic represents google.protobuf.Empty as `()` and a wrapper message as its scalar.
without_rules!(
    (),
    bool,
    f32,
    f64,
    i32,
    i64,
    u32,
    u64,
    String,
    Vec<u8>,
    prost_types::Any,
    prost_types::Duration,
    prost_types::FieldMask = shape::FIELD_MASK,
    prost_types::ListValue = shape::LIST_VALUE,
    prost_types::Struct = shape::STRUCT,
    prost_types::Timestamp,
    prost_types::Value = shape::VALUE,
);

/// Path of a field from the request down: `items[1].sku`.
///
/// A linked list on the stack. It costs nothing until a violation formats it.
#[derive(Clone, Copy)]
pub struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Message,
    Field(&'static str),
    Index(usize),
    Key(&'a dyn fmt::Display),
    TextKey(&'a str),
}

impl<'a> FieldPath<'a> {
    /// Path of the request itself.
    pub const ROOT: Self = Self { parent: None, step: Step::Message };

    /// Returns the path of a field of this message.
    pub fn field(&'a self, name: &'static str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    /// Returns the path of an item of this list.
    pub fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    /// Returns the path of an entry of this map with a text key.
    pub fn text_key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::TextKey(key) }
    }

    /// Returns the path of an entry of this map with a number or bool key.
    pub fn key(&'a self, key: &'a dyn fmt::Display) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Message => Ok(()),
            Step::Field(name) => match self.parent {
                Some(FieldPath { step: Step::Message, .. }) | None => f.write_str(name),
                Some(_) => write!(f, ".{name}"),
            },
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
            Step::TextKey(key) => {
                let key: String = key.chars().take(KEY_CHARS).collect();
                write!(f, "[{key:?}]")
            }
        }
    }
}

impl fmt::Debug for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldPath({self})")
    }
}

/// Violations of a request: fields and descriptions.
///
/// Keeps as many as fit into a status and counts the rest, so a request with a million violations
/// costs no more than one with a few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<Violation>,
    kept_bytes: usize,
    more: usize,
}

/// A field and a description of the rule that it violates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field: `items[1].sku`.
    pub field: String,
    /// The violated rule: `must be at least 1`.
    pub description: String,
}

impl Violations {
    /// Creates a single violation.
    pub fn one(field: impl fmt::Display, description: impl fmt::Display) -> Self {
        let mut violations = Self::default();
        violations.push(field, description);
        violations
    }

    /// Adds a violation. The description must not contain the field's value, which may be a secret.
    pub fn push(&mut self, field: impl fmt::Display, description: impl fmt::Display) {
        if self.more > 0 {
            self.more += 1;
            return;
        }
        let violation =
            Violation { field: field.to_string(), description: description.to_string() };
        let bytes = violation.field.len() + violation.description.len() + 8;
        if self.kept_bytes + bytes > KEPT_BYTES {
            self.more += 1;
        } else {
            self.kept_bytes += bytes;
            self.kept.push(violation);
        }
    }

    /// Returns a valid value, or adds the violations of an invalid one and returns None.
    pub fn note<T>(&mut self, read: Result<T, impl Into<Self>>) -> Option<T> {
        let Self { kept, kept_bytes: _, more } = match read {
            Ok(value) => return Some(value),
            Err(wrong) => wrong.into(),
        };
        for Violation { field, description } in kept {
            self.push(field, description);
        }
        self.more += more;
        None
    }

    /// Returns true if there are no violations.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.more == 0
    }

    /// Returns the number of violations, including those that are only counted.
    pub fn len(&self) -> usize {
        self.kept.len() + self.more
    }

    /// Returns the kept violations.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.kept.iter()
    }

    /// Discards the last kept violation but still counts it. Returns false if none was kept.
    pub(crate) fn drop_one(&mut self) -> bool {
        let dropped = self.kept.pop().is_some();
        self.more += usize::from(dropped);
        dropped
    }

    /// Returns the number of violations that are only counted.
    pub(crate) fn more(&self) -> usize {
        self.more
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, description } = self;
        // Formats "quantity must be at least 1", "quantity is required".
        let is_predicate =
            ["must ", "is ", "may "].iter().any(|verb| description.starts_with(verb));
        match (field.as_str(), is_predicate) {
            ("", true) => write!(f, "the request {description}"),
            ("", false) => f.write_str(description),
            (field, true) => write!(f, "{field} {description}"),
            (field, false) => write!(f, "{field}: {description}"),
        }
    }
}

/// Formats the first five violations and the number of the others.
impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named = String::new();
        let mut count = 0;
        for violation in self.kept.iter().take(NAMED) {
            let text = violation.to_string();
            if named.len() + text.len() > NAMED_BYTES {
                break;
            }
            if count > 0 {
                named.push_str("; ");
            }
            named.push_str(&text);
            count += 1;
        }
        match (count, self.len() - count) {
            (_, 0) => f.write_str(&named),
            (0, rest) => write!(f, "{rest} fields violate rules"),
            (_, rest) => write!(f, "{named}; and {rest} more"),
        }
    }
}

impl std::error::Error for Violations {}

impl From<Violations> for Failure {
    /// Creates INVALID_ARGUMENT with reason VALIDATION_FAILED.
    fn from(violations: Violations) -> Self {
        Self::new(Code::InvalidArgument, GantryReason::ValidationFailed, violations.to_string())
            .violations(violations)
    }
}

impl From<Violations> for tonic::Status {
    fn from(violations: Violations) -> Self {
        Failure::from(violations).into()
    }
}
