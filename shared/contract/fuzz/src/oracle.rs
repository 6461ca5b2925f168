//! What protovalidate itself says: the library of those who define the rules, in Python,
//! asked about the same bytes.

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

/// What a contract makes of a message: the paths of fields.
#[derive(Debug, Default)]
pub struct Opinion {
    /// Where rules are broken.
    pub broken: BTreeSet<String>,
    /// Where something is refused that protovalidate has no opinion on.
    pub stricter: BTreeSet<String>,
    /// Whether there is more, which is not told.
    pub cut: bool,
}

/// The opinion on a message of one type; nothing where the bytes are no such message.
pub type Judge = fn(&[u8]) -> Option<Opinion>;

/// The opinion that generated validation has.
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
        // We name the item that repeats another one, protovalidate the list.
        let list = field.rsplit_once('[').filter(|_| description.contains("repeat an earlier"));
        opinion.broken.insert(list.map_or(field.as_str(), |(list, _)| list).to_owned());
    }
    Some(opinion)
}

/// What was compared.
#[derive(Debug, Default)]
pub struct Compared {
    /// Messages on which both have the same opinion.
    pub same: usize,
    /// The others, readably.
    pub different: Vec<String>,
    /// Rules that some value broke: `package.Message.field string.min_len`.
    broken: BTreeSet<String>,
    /// Fields of which some value broke none.
    kept: BTreeSet<String>,
}

/// A message to have an opinion on.
struct Case<'a> {
    name: &'a str,
    /// The one field that is set, where only one is.
    field: Option<String>,
    bytes: Vec<u8>,
}

/// One violation, as `verdicts.py` writes it.
#[derive(Deserialize)]
struct Theirs {
    /// Names of fields and what stands in brackets after them.
    path: Vec<Step>,
    /// The rule as it is written: `repeated.items.string.min_len`.
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

/// An answer: violations, why there are none to tell, or nothing for what is no message.
#[derive(Deserialize)]
#[serde(untagged)]
enum Verdict {
    Violations(Vec<Theirs>),
    Error(String),
    NoMessage(()),
}

/// Asks `python`, which has protovalidate, about every telling message of these types and
/// `rounds` random ones of each, and compares.
///
/// # Panics
/// Where Python cannot be run or does not answer: it is for tests.
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
        let telling = fuzz.telling(name).into_iter();
        cases.extend(telling.map(|(field, bytes)| Case { name, field, bytes }));
        for seed in 0..rounds {
            fuzz.seed(seed);
            cases.push(Case { name, field: None, bytes: fuzz.bytes(name) });
        }
    }
    let mut question = format!("{}\n", hex(descriptor_set));
    for Case { name, bytes, .. } in &cases {
        // Writing to a String cannot fail.
        let _ = writeln!(question, "{name} {}", hex(bytes));
    }
    let answers = ask(python, question);
    let mut compared = Compared::default();
    let mut answers = answers.lines();
    for case in cases {
        let answer = answers.next().unwrap_or_else(|| panic!("no answer about {}", case.name));
        let theirs: Verdict = serde_json::from_str(answer).unwrap();
        let ours = judges[case.name](&case.bytes);
        compared.add(&case, theirs, ours);
    }
    compared
}

#[expect(clippy::unwrap_used, reason = "it is for tests")]
fn ask(python: &OsStr, question: String) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/verdicts.py");
    let mut command = Command::new(python);
    command.args(["-B", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut asked = command.spawn().unwrap();
    let mut input = asked.stdin.take().unwrap();
    // Beside the reading: neither pipe holds all of it.
    let writing = std::thread::spawn(move || input.write_all(question.as_bytes()));
    let mut answers = String::new();
    asked.stdout.take().unwrap().read_to_string(&mut answers).unwrap();
    assert!(asked.wait().unwrap().success(), "{script} failed");
    writing.join().unwrap().unwrap();
    answers
}

impl Compared {
    fn add(&mut self, case: &Case<'_>, theirs: Verdict, ours: Option<Opinion>) {
        let name = case.name;
        let (theirs, ours) = match (theirs, ours) {
            (Verdict::Violations(theirs), Some(ours)) => (theirs, ours),
            // What it cannot judge is refused.
            (Verdict::Error(error), Some(ours)) if ours.broken.is_empty() => {
                self.different.push(format!("{name} {}: taken, but {error}", hex(&case.bytes)));
                return;
            }
            // What is no message for one of them is for tests of the decoder.
            _ => return,
        };
        self.note(case, &theirs);
        let told: BTreeSet<_> = theirs.iter().map(|violation| written(&violation.path)).collect();
        let mut beyond = told.symmetric_difference(&ours.broken);
        let excused = |path: &String| {
            ours.stricter.contains(path) || (ours.cut && !ours.broken.contains(path))
        };
        if beyond.all(excused) {
            self.same += 1;
        } else {
            let bytes = hex(&case.bytes);
            self.different.push(format!("{name} {bytes}: {ours:?}, protovalidate: {told:?}"));
        }
    }

    /// Notes which rules the values of this message break, and which field keeps its own.
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

    /// The rules of these types that no value has broken, and the fields with rules of
    /// which no value has kept them.
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
                // Of two bounds, one speaks for both.
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

/// The rules that can be broken, as they are written.
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
            // Says how others are meant, asks for nothing, or says nothing.
            _ if ["ignore", "example", "strict"].contains(&rule.name()) => {}
            Value::Bool(false) if rule.name() != "const" => {}
            _ => drop(names.insert(name)),
        }
    }
}

/// A path as a contract writes it.
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
