//! Comparison with protovalidate: its Python library validates the same bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fmt::Write as _,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use gantry_contract::{Validate, Violation};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use serde::Deserialize;

use crate::Fuzz;

/// Fields of a message that violate a rule, by path.
#[derive(Debug, Default)]
pub struct Opinion {
    /// Fields with a violation.
    pub broken: BTreeSet<String>,
    /// Fields that the contract rejects and protovalidate does not judge.
    pub stricter: BTreeSet<String>,
    /// True if there are further violations.
    pub cut: bool,
}

/// Returns the opinion on an encoded message. None if the bytes cannot be decoded.
pub type Judge = fn(&[u8]) -> Option<Opinion>;

/// Returns the opinion of the generated validation.
pub fn judge<M: Message + Default + Validate>(bytes: &[u8]) -> Option<Opinion> {
    let violations = M::decode(bytes).ok()?.check().err().unwrap_or_default();
    let cut = violations.len() > violations.iter().count();
    let mut opinion = Opinion { cut, ..Opinion::default() };
    for Violation { field, description } in violations.iter() {
        if ["must be a duration of at most", "must be a timestamp between"]
            .iter()
            .any(|says| description.starts_with(says))
        {
            opinion.stricter.insert(field.clone());
        }
        // The contract names the repeated item, protovalidate the list.
        let list = field.rsplit_once('[').filter(|_| description.contains("repeat an earlier"));
        opinion.broken.insert(list.map_or(field.as_str(), |(list, _)| list).to_owned());
    }
    Some(opinion)
}

/// Result of a comparison.
#[derive(Debug, Default)]
pub struct Compared {
    /// Number of messages with equal opinions.
    pub same: usize,
    /// Messages with different opinions, as readable text.
    pub different: Vec<String>,
    /// Rules that some value violates: `package.Message.field string.min_len`.
    broken: BTreeSet<String>,
    /// Fields with a value that violates none of their rules.
    kept: BTreeSet<String>,
}

/// A message to compare.
struct Case<'a> {
    name: &'a str,
    /// The only field that is set, if there is only one.
    field: Option<String>,
    bytes: Vec<u8>,
}

/// A violation in the output of `verdicts.py`.
#[derive(Deserialize)]
struct Theirs {
    /// Field names and subscripts.
    path: Vec<Step>,
    /// Name of the rule: `repeated.items.string.min_len`.
    rule: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Field(String),
    Index(u64),
    Text(String),
    Key(String),
}

/// Verdict of protovalidate: violations, an error, or null for bytes that cannot be decoded.
#[derive(Deserialize)]
#[serde(untagged)]
enum Verdict {
    Violations(Vec<Theirs>),
    Error(String),
    NoMessage(()),
}

/// Compares the judges with protovalidate, on all edge values of each message and on `rounds`
/// random messages of each. `python` is an interpreter with protovalidate installed.
///
/// # Panics
/// If Python fails, because this is for tests only.
#[expect(clippy::unwrap_used, clippy::panic, reason = "it is for tests")]
pub fn compare(
    python: &OsStr,
    descriptor_set: &[u8],
    judges: &BTreeMap<String, Judge>,
    rounds: u64,
) -> Compared {
    let mut fuzz = Fuzz::new(descriptor_set).unwrap();
    let mut cases = Vec::new();
    for name in judges.keys() {
        let edge_values = fuzz.edge_values(name).into_iter();
        cases.extend(edge_values.map(|(field, bytes)| Case { name, field, bytes }));
        for seed in 0..rounds {
            fuzz.seed(seed);
            cases.push(Case { name, field: None, bytes: fuzz.bytes(name) });
        }
    }
    let mut input = format!("{}\n", hex(descriptor_set));
    for Case { name, bytes, .. } in &cases {
        // Writing to a String cannot fail.
        let _ = writeln!(input, "{name} {}", hex(bytes));
    }
    let answers = run(python, input);
    let mut compared = Compared::default();
    let mut answers = answers.lines();
    for case in cases {
        let answer = answers.next().unwrap_or_else(|| panic!("no verdict on {}", case.name));
        let theirs: Verdict = serde_json::from_str(answer).unwrap();
        let ours = judges[case.name](&case.bytes);
        compared.add(&case, theirs, ours);
    }
    compared
}

#[expect(clippy::unwrap_used, reason = "it is for tests")]
fn run(python: &OsStr, input: String) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/verdicts.py");
    let mut command = Command::new(python);
    command.args(["-B", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Write in a separate thread: Python answers before it has read everything, and the pipes
    // cannot hold all the data.
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let mut answers = String::new();
    child.stdout.take().unwrap().read_to_string(&mut answers).unwrap();
    assert!(child.wait().unwrap().success(), "{script} failed");
    writing.join().unwrap().unwrap();
    answers
}

impl Compared {
    fn add(&mut self, case: &Case<'_>, theirs: Verdict, ours: Option<Opinion>) {
        let name = case.name;
        let (theirs, ours) = match (theirs, ours) {
            (Verdict::Violations(theirs), Some(ours)) => (theirs, ours),
            // protovalidate cannot judge this message, so the contract must reject it.
            (Verdict::Error(error), Some(ours)) if ours.broken.is_empty() => {
                self.different.push(format!("{name} {}: taken, but {error}", hex(&case.bytes)));
                return;
            }
            // Tests of the decoder cover messages that only one side can decode.
            _ => return,
        };
        self.note(case, &theirs);
        let theirs_broken: BTreeSet<_> =
            theirs.iter().map(|violation| written(&violation.path)).collect();
        let mut beyond = theirs_broken.symmetric_difference(&ours.broken);
        let excused = |path: &String| {
            ours.stricter.contains(path) || (ours.cut && !ours.broken.contains(path))
        };
        if beyond.all(excused) {
            self.same += 1;
        } else {
            let bytes = hex(&case.bytes);
            self.different
                .push(format!("{name} {bytes}: {ours:?}, protovalidate: {theirs_broken:?}"));
        }
    }

    /// Records the rules that this message violates, and its field if no rule of it is violated.
    fn note(&mut self, case: &Case<'_>, theirs: &[Theirs]) {
        let mut kept = case.field.as_deref();
        for Theirs { path, rule } in theirs {
            let Some(Step::Field(field)) = path.first() else { continue };
            let own = !path.iter().skip(1).any(|step| matches!(step, Step::Field(_)));
            if own {
                self.broken.insert(format!("{}.{field} {rule}", case.name));
                kept = kept.filter(|kept| kept != field);
            }
        }
        if let Some(field) = kept {
            self.kept.insert(format!("{}.{field}", case.name));
        }
    }

    /// Returns the rules that no value has violated, and the fields whose rules no value has kept.
    pub fn missing(&self, descriptor_set: &[u8], judges: &BTreeMap<String, Judge>) -> Vec<String> {
        let Ok(pool) = DescriptorPool::decode(descriptor_set) else { return Vec::new() };
        let Some(extension) = pool.get_extension_by_name("buf.validate.field") else {
            return Vec::new();
        };
        let mut missing = Vec::new();
        let messages = judges.keys().filter_map(|name| pool.get_message_by_name(name));
        for field in messages.flat_map(|message| message.fields().collect::<Vec<_>>()) {
            let rules = field.options().get_extension(&extension).into_owned();
            let Some(rules) = rules.as_message() else { continue };
            let mut names = BTreeSet::new();
            rules_of(rules, "", &mut names);
            let name = field.full_name();
            if !names.is_empty() && !self.kept.contains(name) {
                missing.push(format!("{name}: no value keeps its rules"));
            }
            let broken = |rule: &String| {
                // A value outside either of two bounds counts for both.
                let kinds = [["gt", "gte"], ["lt", "lte"]];
                let (of, last) = rule.rsplit_once('.').unwrap_or(("", rule));
                let bound = kinds.iter().any(|kind| kind.contains(&last));
                let either = ["gt", "gte", "lt", "lte"].map(|bound| format!("{name} {of}.{bound}"));
                self.broken.contains(&format!("{name} {rule}"))
                    || (bound && either.iter().any(|bound| self.broken.contains(bound)))
            };
            let unbroken = names.iter().filter(|rule| !broken(rule));
            missing.extend(unbroken.map(|rule| format!("{name}: no value breaks {rule}")));
        }
        missing
    }
}

/// Collects the names of the rules that a value can violate.
fn rules_of(rules: &DynamicMessage, within: &str, names: &mut BTreeSet<String>) {
    let ignored = rules.get_field_by_name("ignore").and_then(|value| value.as_enum_number());
    if ignored == Some(3) {
        return;
    }
    for (rule, value) in rules.fields() {
        let name = match within {
            "" => rule.name().to_owned(),
            within => format!("{within}.{}", rule.name()),
        };
        match &value {
            Value::Message(message)
                if message.descriptor().full_name().starts_with("buf.validate.") =>
            {
                rules_of(message, &name, names);
            }
            // These options change other rules, have no effect, or state no rule.
            _ if ["ignore", "example", "strict"].contains(&rule.name()) => {}
            Value::Bool(false) if rule.name() != "const" => {}
            _ => drop(names.insert(name)),
        }
    }
}

/// Formats a path as the contract does.
fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        // Writing to a String cannot fail.
        let _ = match step {
            Step::Field(name) if text.is_empty() => write!(text, "{name}"),
            Step::Field(name) => write!(text, ".{name}"),
            Step::Index(index) => write!(text, "[{index}]"),
            Step::Text(key) => write!(text, "[{:?}]", key.chars().take(64).collect::<String>()),
            Step::Key(key) => write!(text, "[{key}]"),
        };
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
