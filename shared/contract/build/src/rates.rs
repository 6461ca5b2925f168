//! Rate classes: limits of one caller's calls of the methods of a class.

use proc_macro2::TokenStream;
use prost_reflect::{DynamicMessage, FileDescriptor};
use quote::quote;

use crate::{
    options::{Fields, message_extension},
    problems::{OptionPlace, Problems},
    sources::Sources,
};

/// Number of the file option.
const OPTION: i32 = 50602;

/// Name of `gantry_contract::RateClass::WRITES` and its default numbers.
const WRITES: (&str, f64, u32) = ("writes", 50.0, 250);

/// Rate classes of the contract.
#[derive(Default)]
pub(crate) struct RatePolicy {
    classes: Vec<RateClass>,
    /// Place of the declaration. None if there is none.
    place: Option<OptionPlace>,
}

struct RateClass {
    name: String,
    per_second: f64,
    burst: u32,
}

/// Finds the only rate policy.
pub(crate) fn read(sources: &Sources, problems: &mut Problems) -> RatePolicy {
    let mut found = RatePolicy::default();
    for file in sources.files() {
        let option = "gantry.contract.v1.rates";
        let Some(policy) = message_extension(&sources.pool, &file.options(), option) else {
            continue;
        };
        match &found.place {
            Some(first) => problems.add(
                &OptionPlace::new(&file, OPTION),
                format_args!("a second rate policy; the first is in {}", first.file()),
            ),
            None => found = policy_of(&policy, &file, problems),
        }
    }
    found
}

fn policy_of(
    policy: &DynamicMessage,
    file: &FileDescriptor,
    problems: &mut Problems,
) -> RatePolicy {
    let place = OptionPlace::new(file, OPTION);
    let mut classes: Vec<RateClass> = Vec::new();
    for class in policy.messages("classes") {
        let name = class.text("name").unwrap_or_default();
        let number = class.set("per_second").and_then(|value| value.as_f64());
        let per_second = number.unwrap_or_default();
        let burst = class.set("burst").and_then(|value| value.as_u32()).unwrap_or_default();
        let mut problem =
            |what: &str| problems.add(&place, format_args!("rate class {name:?}: {what}"));
        if name.is_empty() {
            problem("it has no name");
        } else if classes.iter().any(|other| other.name == name) {
            problem("declared twice");
        }
        if !(per_second.is_finite() && per_second > 0.0) {
            problem("per_second must be above 0");
        }
        if burst == 0 {
            problem("burst must be at least 1");
        }
        classes.push(RateClass { name, per_second, burst });
    }
    RatePolicy { classes, place: Some(place) }
}

impl RatePolicy {
    /// Returns the index of the class with this name.
    ///
    /// # Errors
    /// A description of the problem if the class is not declared.
    pub(crate) fn index(&self, name: &str) -> Result<usize, String> {
        if self.place.is_none() {
            return Err(format!(
                "rate class {name:?}: the contract has no rate policy (gantry.contract.v1.rates)"
            ));
        }
        let found = self.classes.iter().position(|class| class.name == name);
        found.ok_or_else(|| format!("rate class {name:?} is not in the rate policy"))
    }

    /// Returns the index of the class `writes`. Adds it with its default numbers if the contract
    /// does not declare it.
    pub(crate) fn writes(&mut self) -> usize {
        let (name, per_second, burst) = WRITES;
        let declared = self.classes.iter().position(|class| class.name == name);
        declared.unwrap_or_else(|| {
            self.classes.push(RateClass { name: name.to_owned(), per_second, burst });
            self.classes.len() - 1
        })
    }

    /// Reports classes without methods, because their limits would have no effect.
    pub(crate) fn check_used(&self, used: &[usize], problems: &mut Problems) {
        let Some(place) = &self.place else { return };
        for (index, class) in self.classes.iter().enumerate() {
            if !used.contains(&index) {
                problems
                    .add(place, format_args!("rate class {:?}: no method names it", class.name));
            }
        }
    }

    /// Returns the table of classes as code.
    pub(crate) fn table(&self) -> TokenStream {
        let classes = self.classes.iter().map(|RateClass { name, per_second, burst }| {
            quote!(RateClass { name: #name, per_second: #per_second, burst: #burst })
        });
        quote!([#(#classes),*])
    }

    /// Returns the name of the class with this index.
    pub(crate) fn name(&self, index: usize) -> Option<&str> {
        self.classes.get(index).map(|class| class.name.as_str())
    }

    /// Returns the name, calls per second and burst of all classes.
    pub(crate) fn words(&self) -> impl Iterator<Item = (&str, f64, u32)> {
        self.classes.iter().map(|class| (class.name.as_str(), class.per_second, class.burst))
    }

    /// Returns the number of classes.
    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }
}
