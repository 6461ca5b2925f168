//! Conditions of rules and their descriptions.

use std::fmt;

use proc_macro2::TokenStream;
use prost_reflect::{DynamicMessage, FieldDescriptor, Value};
use quote::quote;

use crate::{options::Fields, problems::Problems};

/// Maximum number of values in a description. Longer lists are cut, because an error must fit into
/// headers.
const SHOWN: usize = 12;

/// Rules of one type (`string`, `int32`) for one value, while they are read.
pub(super) struct Typed<'a> {
    pub(super) field: &'a FieldDescriptor,
    /// Name of the rules: `string`.
    pub(super) name: &'a str,
    pub(super) rules: &'a DynamicMessage,
    pub(super) problems: &'a mut Problems,
    /// Code that converts the value before the checks. It returns an `Option`: None if the
    /// conversion fails.
    pub(super) read: Option<TokenStream>,
    checks: Vec<Check>,
}

/// A condition on `value`, which is a reference, and the violation if it does not hold.
struct Check {
    holds: TokenStream,
    says: String,
}

impl<'a> Typed<'a> {
    pub(super) fn new(
        field: &'a FieldDescriptor,
        name: &'a str,
        rules: &'a DynamicMessage,
        problems: &'a mut Problems,
    ) -> Self {
        Self { field, name, rules, problems, read: None, checks: Vec::new() }
    }

    /// Adds a condition.
    pub(super) fn check(&mut self, holds: TokenStream, says: impl fmt::Display) {
        self.checks.push(Check { holds, says: says.to_string() });
    }

    /// Adds "must be one of these values" or, if `wanted` is false, "must not be one of them".
    /// `found` is the condition that the value is one of them.
    pub(super) fn listed(&mut self, wanted: bool, found: TokenStream, shown: &[String]) {
        let list = Listed(shown);
        match wanted {
            true => self.check(found, format_args!("must be {list}")),
            false => self.check(quote!(!#found), format_args!("must not be {list}")),
        }
    }

    /// Reports a problem of the contract.
    pub(super) fn problem(&mut self, what: impl fmt::Display) {
        self.problems.add(self.field, format_args!("{}{what}", self.name));
    }

    pub(super) fn unsupported(&mut self, rule: &str) {
        let name = self.name;
        self.problems
            .add(self.field, format_args!("the rule buf.validate {name}.{rule} is not supported"));
    }

    /// Reports limits that no value satisfies. In each pair, the first limit must not be above the
    /// second.
    pub(super) fn in_order(&mut self, pairs: &[(&str, &str)]) {
        for (low, high) in pairs {
            let limit = |name| self.rules.set(name).and_then(|limit| limit.as_u64());
            if let (Some(least), Some(most)) = (limit(low), limit(high))
                && least > most
            {
                let name = self.name;
                self.problem(format_args!(".{low} is above {name}.{high}"));
            }
        }
    }

    /// Reports a value that is both required and forbidden.
    pub(super) fn disjoint(&mut self) {
        let list = |name| match self.rules.set(name) {
            Some(Value::List(values)) => values,
            Some(value) => vec![value],
            None => Vec::new(),
        };
        let refused = list("not_in");
        let wanted = [list("in"), list("const")].concat();
        if wanted.iter().any(|value| refused.contains(value)) {
            self.problem(": a value is both required and forbidden");
        }
    }

    /// Returns the code of the checks, and their descriptions.
    pub(super) fn done(self) -> (TokenStream, Vec<String>) {
        let checks = self
            .checks
            .iter()
            .map(|Check { holds, says }| quote!(rules::check(#holds, #says, &at, out);));
        let code = match &self.read {
            Some(read) => quote! {
                if let Some(value) = #read {
                    let value = &value;
                    #(#checks)*
                }
            },
            None => quote!(#(#checks)*),
        };
        (code, self.checks.into_iter().map(|check| check.says).collect())
    }
}

/// Formats values: `1` or `one of 1, 2`.
struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = if self.0.len() > SHOWN { ", ..." } else { "" };
        match self.0 {
            [one] => f.write_str(one),
            many => write!(f, "one of {}{cut}", many[..many.len().min(SHOWN)].join(", ")),
        }
    }
}

/// Formats a count: `1 item`, `2 items`.
pub(super) struct Count(pub(super) u64, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(1, thing) => write!(f, "1 {thing}"),
            Self(count, "entry") => write!(f, "{count} entries"),
            Self(count, thing) => write!(f, "{count} {thing}s"),
        }
    }
}
