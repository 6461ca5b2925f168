//! Values that reveal a wrongly implemented rule: values from the rule itself, values next to them,
//! and texts that parsers of a format often treat wrongly.

use std::{
    collections::{BTreeSet, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

use prost::{Message, bytes::Bytes};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};

use crate::{DEPTH, map_key, texts};

/// Returns encoded messages with one field set, each with the field's name. The first message has
/// no field set.
pub(crate) fn messages(
    pool: &DescriptorPool,
    message: &MessageDescriptor,
) -> Vec<(Option<String>, Vec<u8>)> {
    let mut all = vec![(None, Vec::new())];
    for field in message.fields() {
        let hints = Hints::of(pool, &field);
        for value in of_field(&field, &hints, 0) {
            let mut message = DynamicMessage::new(message.clone());
            message.set_field(&field, value);
            all.push((Some(field.name().to_owned()), message.encode_to_vec()));
        }
    }
    all
}

/// Values in the rules of a field.
#[derive(Default)]
struct Hints {
    texts: BTreeSet<String>,
    bytes: BTreeSet<Vec<u8>>,
    /// All integers: lengths, numbers of items, limits.
    whole: BTreeSet<i128>,
    real: Vec<f64>,
    /// Durations and timestamps, as seconds and nanoseconds.
    times: BTreeSet<(i64, i32)>,
}

impl Hints {
    fn of(pool: &DescriptorPool, field: &FieldDescriptor) -> Self {
        let mut hints = Self::default();
        if let Some(rules) = pool.get_extension_by_name("buf.validate.field") {
            hints.read(&field.options().get_extension(&rules));
        }
        hints
    }

    fn read(&mut self, value: &Value) {
        match value {
            Value::String(text) => drop(self.texts.insert(text.clone())),
            Value::Bytes(bytes) => drop(self.bytes.insert(bytes.to_vec())),
            Value::I32(number) => drop(self.whole.insert((*number).into())),
            Value::I64(number) => drop(self.whole.insert((*number).into())),
            Value::U32(number) => drop(self.whole.insert((*number).into())),
            Value::U64(number) => drop(self.whole.insert((*number).into())),
            Value::EnumNumber(number) => drop(self.whole.insert((*number).into())),
            Value::F32(number) => self.real.push((*number).into()),
            Value::F64(number) => self.real.push(*number),
            Value::Bool(_) => {}
            Value::List(values) => values.iter().for_each(|value| self.read(value)),
            Value::Map(values) => values.values().for_each(|value| self.read(value)),
            Value::Message(message) => {
                if let Some(time) = time_of(message) {
                    self.times.insert(time);
                }
                message.fields().for_each(|(_, value)| self.read(value));
            }
        }
    }

    /// Returns the integers, each with its neighbours.
    fn around(&self) -> BTreeSet<i128> {
        self.whole.iter().flat_map(|number| number - 1..=number + 1).collect()
    }

    /// Returns the integers that are small enough for the length of a value in a test.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        let around = self.around().into_iter();
        around.filter_map(|number| usize::try_from(number).ok()).filter(|length| *length <= 4096)
    }
}

fn time_of(message: &DynamicMessage) -> Option<(i64, i32)> {
    let part = |name| message.get_field_by_name(name);
    Some((part("seconds")?.as_i64()?, part("nanos")?.as_i32()?))
}

fn of_field(field: &FieldDescriptor, hints: &Hints, depth: usize) -> Vec<Value> {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let keys = of_kind(&entry.map_entry_key_field().kind(), hints, depth);
            let values = of_kind(&entry.map_entry_value_field().kind(), hints, depth);
            // Combines each key with a few values and each value with a few keys.
            let [some_keys, some_values] = [plain(&keys), plain(&values)];
            let pairs =
                keys.iter().flat_map(|key| some_values.iter().map(move |value| (key, value)));
            let turned =
                values.iter().flat_map(|value| some_keys.iter().map(move |key| (key, value)));
            let one = pairs.chain(turned).map(|(key, value)| vec![(key.clone(), value.clone())]);
            let many = hints.lengths().map(|length| {
                let keys = keys.iter().take(length).cloned();
                keys.zip(values.iter().cloned().cycle()).collect::<Vec<_>>()
            });
            let maps = one.chain(many).map(|pairs| {
                let pairs =
                    pairs.into_iter().filter_map(|(key, value)| Some((map_key(key)?, value)));
                Value::Map(pairs.collect::<HashMap<_, _>>())
            });
            maps.collect()
        }
        kind if field.is_list() => {
            let values = of_kind(&kind, hints, depth);
            let one = values.iter().map(|value| vec![value.clone()]);
            let twice = values.iter().take(40).map(|value| vec![value.clone(), value.clone()]);
            let many = hints.lengths().flat_map(|length| {
                let different = values.iter().cycle().take(length).cloned().collect();
                let same = values.first().into_iter().cycle().take(length).cloned().collect();
                [different, same]
            });
            let named = match kind {
                Kind::String => hints.texts.iter().cloned().map(Value::String).collect(),
                _ => Vec::new(),
            };
            one.chain(twice).chain(many).chain([named]).map(Value::List).collect()
        }
        kind => of_kind(&kind, hints, depth),
    }
}

/// Returns a few values that most rules accept.
fn plain(values: &[Value]) -> Vec<Value> {
    let texts = ["a", "1"].map(|text| Value::String(text.to_owned()));
    let texts = texts.into_iter().filter(|text| values.contains(text));
    values.iter().skip(1).take(3).cloned().chain(texts).collect()
}

fn of_kind(kind: &Kind, hints: &Hints, depth: usize) -> Vec<Value> {
    let whole = || {
        let edges = [
            i32::MIN.into(),
            i32::MAX.into(),
            u32::MAX.into(),
            i64::MIN.into(),
            i64::MAX.into(),
            u64::MAX.into(),
            -1,
            0,
            1,
            2,
            1000,
        ];
        hints.around().into_iter().chain(edges).collect::<BTreeSet<i128>>().into_iter()
    };
    match kind {
        Kind::Bool => vec![Value::Bool(false), Value::Bool(true)],
        Kind::String => of_text(hints).map(Value::String).collect(),
        Kind::Bytes => of_bytes(hints).map(|bytes| Value::Bytes(Bytes::from(bytes))).collect(),
        Kind::Float => of_real(hints).map(|number| Value::F32(number as f32)).collect(),
        Kind::Double => of_real(hints).map(Value::F64).collect(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            whole().filter_map(|number| number.try_into().ok()).map(Value::I32).collect()
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            whole().filter_map(|number| number.try_into().ok()).map(Value::I64).collect()
        }
        Kind::Uint32 | Kind::Fixed32 => {
            whole().filter_map(|number| number.try_into().ok()).map(Value::U32).collect()
        }
        Kind::Uint64 | Kind::Fixed64 => {
            whole().filter_map(|number| number.try_into().ok()).map(Value::U64).collect()
        }
        Kind::Enum(kind) => {
            let known = kind.values().map(|value| i128::from(value.number()));
            let numbers = known.chain(whole()).filter_map(|number| number.try_into().ok());
            numbers.map(Value::EnumNumber).collect()
        }
        Kind::Message(message) if depth < DEPTH => of_message(message, hints, depth + 1),
        Kind::Message(_) => Vec::new(),
    }
}

/// Returns an empty message, and the message with each of its fields set. Its own rules are
/// covered by its own cases.
fn of_message(message: &MessageDescriptor, hints: &Hints, depth: usize) -> Vec<Value> {
    let mut all = vec![DynamicMessage::new(message.clone())];
    if let (Some(seconds), Some(nanos)) =
        (message.get_field_by_name("seconds"), message.get_field_by_name("nanos"))
    {
        let beside = hints
            .times
            .iter()
            .flat_map(|&(s, n)| [(s, n), (s, n - 1), (s, n + 1), (s - 1, n), (s + 1, n), (-s, -n)]);
        let edges = [
            (0, -1),
            (1, -1),
            (-1, 1),
            (0, 1_000_000_000),
            (0, -1_000_000_000),
            (0, 999_999_999),
            (i64::MAX, 0),
            (i64::MIN, 0),
            (315_576_000_000, 0),
            (315_576_000_001, 0),
            (-62_135_596_800, 0),
            (-62_135_596_801, 0),
            (253_402_300_799, 999_999_999),
            (253_402_300_800, 0),
            (-5, -5),
            (4_000_000_000, 0),
        ];
        // For rules about the current time: at a distance of five minutes, the contract and
        // protovalidate agree, although protovalidate judges later.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = now.cast_signed();
        let around = [(now - 300, 0), (now + 300, 0)];
        for (s, n) in beside.chain(edges).chain(around) {
            let mut time = DynamicMessage::new(message.clone());
            time.set_field(&seconds, Value::I64(s));
            time.set_field(&nanos, Value::I32(n));
            all.push(time);
        }
    } else {
        // The field's rules also look into Google's Any, FieldMask and wrapper messages.
        let within = message.package_name() == "google.protobuf";
        for field in message.fields() {
            let values = match within {
                true => of_field(&field, hints, depth),
                false => {
                    of_kind(&field.kind(), &Hints::default(), DEPTH).into_iter().take(1).collect()
                }
            };
            for value in values.into_iter().filter(|value| value.is_valid_for_field(&field)) {
                let mut with = DynamicMessage::new(message.clone());
                with.set_field(&field, value);
                all.push(with);
            }
        }
    }
    all.into_iter().map(Value::Message).collect()
}

fn of_real(hints: &Hints) -> impl Iterator<Item = f64> {
    let beside = hints.real.iter().flat_map(|&n| {
        let step = f64::from(f32::EPSILON) * n.abs().max(1.0);
        [n, n - step, n + step, -n]
    });
    let edges = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
    ];
    beside.chain(edges).collect::<Vec<_>>().into_iter()
}

fn of_text(hints: &Hints) -> impl Iterator<Item = String> {
    let mut all: BTreeSet<String> = texts::TEXTS.iter().map(|text| (*text).to_owned()).collect();
    for text in &hints.texts {
        all.extend([text.clone(), format!("{text}x"), format!("x{text}"), format!("x{text}x")]);
        all.insert(text.chars().skip(1).collect());
        all.insert(text.to_uppercase());
    }
    for length in hints.lengths() {
        all.extend(["a", "ä", "𝄞", "1"].map(|character| character.repeat(length)));
    }
    all.into_iter()
}

fn of_bytes(hints: &Hints) -> impl Iterator<Item = Vec<u8>> {
    let mut all: BTreeSet<Vec<u8>> = BTreeSet::from([
        vec![],
        vec![0],
        vec![0xff],
        b"abc".to_vec(),
        b"ABC".to_vec(),
        "ä".into(),
        vec![0; 4],
        vec![1; 5],
        vec![0; 15],
        vec![0; 16],
        vec![0; 17],
    ]);
    for bytes in &hints.bytes {
        let parts = [&bytes[..], b"x", &bytes[..], b"x"];
        all.extend([
            parts[..1].concat(),
            parts[..2].concat(),
            parts[1..3].concat(),
            parts[1..].concat(),
        ]);
    }
    all.extend(hints.lengths().map(|length| vec![b'a'; length]));
    all.into_iter()
}
