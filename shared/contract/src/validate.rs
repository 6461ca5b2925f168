//! Validation: messages check themselves and say everything that is wrong.

use std::fmt;

use tonic::Code;

use crate::{
    Failure, GantryReason,
    shape::{self, Shape},
};

/// How many bytes of violations are kept; the rest is counted. Leaves room for
/// the other details within [`Failure`]'s limit.
const KEPT_BYTES: usize = 2560;

/// The longest part of a field's path that a caller can choose: a map's key, which
/// is cut here.
const KEY_CHARS: usize = 64;

/// Violations that a message for people names, and its length in bytes from which on it names no
/// more: it travels in a header too, percent-encoded.
const NAMED: usize = 5;
const NAMED_BYTES: usize = 1024;

/// A message that can check itself against the rules of its contract.
///
/// Implemented by the build library for every message of a contract. The server
/// calls it while decoding a request; a client may call it before sending one.
pub trait Validate {
    /// Adds everything that is wrong to `out`. `path` leads to this message.
    fn validate(&self, path: &FieldPath<'_>, out: &mut Violations);

    /// Lists and maps of the message, to be measured before it is built; none if it has none.
    fn shape() -> Option<&'static Shape>
    where
        Self: Sized,
    {
        None
    }

    /// Checks a message that is not part of another one.
    ///
    /// # Errors
    /// The violations, where there are any.
    fn check(&self) -> Result<(), Violations> {
        let mut out = Violations::default();
        self.validate(&FieldPath::ROOT, &mut out);
        if out.is_empty() { Ok(()) } else { Err(out) }
    }
}

/// Messages of Google's that a method may take as its request have no rules.
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

// `()` is what tonic makes of google.protobuf.Empty, and a scalar what it makes of a wrapper.
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

/// Where a field is, from the request down: `items[1].sku`.
///
/// A list through the callers' stack frames: it costs nothing until a violation
/// writes it out.
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
    /// The path of the request itself.
    pub const ROOT: Self = Self { parent: None, step: Step::Message };

    /// The path of a field of the message here.
    pub fn field(&'a self, name: &'static str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    /// The path of an item of the list here.
    pub fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    /// The path of an entry of the map here, whose key is a text.
    pub fn text_key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::TextKey(key) }
    }

    /// The path of an entry of the map here, whose key is a number or a bool.
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

/// What is wrong with a request: fields and descriptions.
///
/// Holds what fits into a refusal and counts the rest, so that a request with a
/// million mistakes costs no more to refuse than one with a few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<Violation>,
    kept_bytes: usize,
    more: usize,
}

/// One field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path: `items[1].sku`.
    pub field: String,
    /// What it should be: `must be at least 1`.
    pub description: String,
}

impl Violations {
    /// A single violation.
    pub fn one(field: impl fmt::Display, description: impl fmt::Display) -> Self {
        let mut violations = Self::default();
        violations.push(field, description);
        violations
    }

    /// Adds a violation. The description never repeats the field's value: it may
    /// be a secret.
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

    /// What was read; nothing where it is wrong, which is then added.
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

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.more == 0
    }

    /// How many there are, the ones not kept included.
    pub fn len(&self) -> usize {
        self.kept.len() + self.more
    }

    /// Those that are kept.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.kept.iter()
    }

    /// Drops the last one that is kept; false where none was.
    pub(crate) fn drop_one(&mut self) -> bool {
        let dropped = self.kept.pop().is_some();
        self.more += usize::from(dropped);
        dropped
    }

    /// How many are not kept.
    pub(crate) fn more(&self) -> usize {
        self.more
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, description } = self;
        // "quantity must be at least 1", "quantity is required".
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

/// The first five, and how many more there are.
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
            (0, rest) => write!(f, "{rest} fields break rules"),
            (_, rest) => write!(f, "{named}; and {rest} more"),
        }
    }
}

impl std::error::Error for Violations {}

impl From<Violations> for Failure {
    /// INVALID_ARGUMENT, reason VALIDATION_FAILED.
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
