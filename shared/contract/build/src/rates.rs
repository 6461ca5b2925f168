//! The rate classes: how often one caller may call the methods of a class.

use proc_macro2::TokenStream;
use prost_reflect::{DynamicMessage, FileDescriptor};
use quote::quote;

use crate::{
    options::{Fields, message_extension},
    problems::{OptionPlace, Problems},
    sources::Sources,
};

/// The number of the file option.
const OPTION: i32 = 50602;

/// `gantry_contract::RateClass::WRITES`, and its numbers unless the contract declares it.
const WRITES: (&str, f64, u32) = ("writes", 50.0, 250);

/// The closed set of rate classes.
#[derive(Default)]
pub(crate) struct RatePolicy {
    classes: Vec<RateClass>,
    /// Where it is declared, where it is.
    place: Option<OptionPlace>,
}

struct RateClass {
    name: String,
    per_second: f64,
    burst: u32,
}

/// Finds the one rate policy.
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
    /// Where the class of this name stands in the table.
    ///
    /// # Errors
    /// What is wrong, where no such class is declared.
    pub(crate) fn index(&self, name: &str) -> Result<usize, String> {
        if self.place.is_none() {
            return Err(format!(
                "rate class {name:?}: the contract has no rate policy (gantry.contract.v1.rates)"
            ));
        }
        let found = self.classes.iter().position(|class| class.name == name);
        found.ok_or_else(|| format!("rate class {name:?} is not in the rate policy"))
    }

    /// Returns the index of the class of writes that name none. It is made when first asked for,
    /// unless the contract declares it.
    pub(crate) fn writes(&mut self) -> usize {
        let (name, per_second, burst) = WRITES;
        let declared = self.classes.iter().position(|class| class.name == name);
        declared.unwrap_or_else(|| {
            self.classes.push(RateClass { name: name.to_owned(), per_second, burst });
            self.classes.len() - 1
        })
    }

    /// A class that no method names is a mistake: its limit holds for nothing.
    pub(crate) fn check_used(&self, used: &[usize], problems: &mut Problems) {
        let Some(place) = &self.place else { return };
        for (index, class) in self.classes.iter().enumerate() {
            if !used.contains(&index) {
                problems
                    .add(place, format_args!("rate class {:?}: no method names it", class.name));
            }
        }
    }

    /// The table of classes.
    pub(crate) fn table(&self) -> TokenStream {
        let classes = self.classes.iter().map(|RateClass { name, per_second, burst }| {
            quote!(RateClass { name: #name, per_second: #per_second, burst: #burst })
        });
        quote!([#(#classes),*])
    }

    /// The name of the class at this place of the table.
    pub(crate) fn name(&self, index: usize) -> Option<&str> {
        self.classes.get(index).map(|class| class.name.as_str())
    }

    /// The classes: name, calls a second, calls at once.
    pub(crate) fn words(&self) -> impl Iterator<Item = (&str, f64, u32)> {
        self.classes.iter().map(|class| (class.name.as_str(), class.per_second, class.burst))
    }

    /// How many classes there are.
    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }
}
