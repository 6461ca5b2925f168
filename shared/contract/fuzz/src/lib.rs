//! Invalid and hostile messages for tests of any contract, generated from its descriptor set.
//!
//! A [`Fuzz`] generates random bytes, messages with values that are likely to be invalid, and such
//! messages with changed bytes. The same seed generates the same messages. [`oracle`] compares the
//! contract's validation of them with protovalidate's.

use std::{collections::HashMap, env};

use fastrand::Rng;
use prost::Message;
use prost_reflect::{
    DescriptorError, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey,
    MessageDescriptor, Value,
};

mod edge_values;
pub mod oracle;
mod texts;

/// Maximum nesting depth of generated messages.
const DEPTH: usize = 4;

/// Returns the number of rounds of a test: `FUZZ_ROUNDS` if set (by `./test fuzz N`), else `few`.
pub fn rounds(few: u64) -> u64 {
    env::var("FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

/// Generator of messages.
#[derive(Debug)]
pub struct Fuzz {
    pool: DescriptorPool,
    rng: Rng,
}

impl Fuzz {
    /// Creates a generator for the messages of an encoded `FileDescriptorSet`.
    ///
    /// # Errors
    /// [`DescriptorError`] if it cannot be decoded.
    pub fn new(descriptor_set: &[u8]) -> Result<Self, DescriptorError> {
        Ok(Self { pool: DescriptorPool::decode(descriptor_set)?, rng: Rng::with_seed(0) })
    }

    /// Restarts the generator. Its further output depends on the seed only.
    pub fn seed(&mut self, seed: u64) {
        self.rng.seed(seed);
    }

    /// Returns the names of all messages of the packages that start with `package`, nested ones
    /// included. Map entries are not listed, because they have no Rust type.
    pub fn messages(&self, package: &str) -> Vec<String> {
        let all = self.pool.all_messages().filter(|message| !message.is_map_entry());
        let names = all.filter(|m| m.package_name().starts_with(package));
        names.map(|message| message.full_name().to_owned()).collect()
    }

    /// Returns random bytes, an encoded message, or an encoded message with changed bytes. Returns
    /// random bytes if no message has this name.
    pub fn bytes(&mut self, message: &str) -> Vec<u8> {
        let Some(message) = self.pool.get_message_by_name(message) else { return self.noise() };
        match self.rng.u8(0..4) {
            0 => self.noise(),
            1 => self.message(&message, 0).encode_to_vec(),
            _ => {
                let encoded = self.message(&message, 0).encode_to_vec();
                self.mutated(encoded)
            }
        }
    }

    /// Returns encoded messages that reveal a wrongly implemented rule, each with the name of the
    /// only field that is set. The field has a value from its rules, a value next to it, or a text
    /// that parsers of its format often treat wrongly. The first message has no field set. Empty if
    /// no message has this name.
    pub fn edge_values(&self, message: &str) -> Vec<(Option<String>, Vec<u8>)> {
        let message = self.pool.get_message_by_name(message);
        message.map_or_else(Vec::new, |message| edge_values::messages(&self.pool, &message))
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.rng.usize(0..200);
        std::iter::repeat_with(|| self.rng.u8(..)).take(length).collect()
    }

    /// Flips, removes, inserts or repeats a few bytes, or cuts the end. The result is often almost
    /// a valid message.
    pub fn mutated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.rng.u8(1..8) {
            let at = self.rng.usize(0..=bytes.len());
            match self.rng.u8(0..5) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.rng.u8(0..8),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.insert(at, self.rng.u8(..)),
                3 => bytes.truncate(at),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    }

    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            if self.rng.u8(0..10) < 8
                && let Some(value) = self.field(&field, depth)
            {
                message.set_field(&field, value);
            }
        }
        message
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize) -> Option<Value> {
        let few = self.rng.usize(0..4);
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let mut map = HashMap::new();
                for _ in 0..few {
                    let key = self.value(&entry.map_entry_key_field().kind(), depth)?;
                    let value = self.value(&entry.map_entry_value_field().kind(), depth)?;
                    map.insert(map_key(key)?, value);
                }
                Some(Value::Map(map))
            }
            kind if field.is_list() => {
                (0..few).map(|_| self.value(&kind, depth)).collect::<Option<_>>().map(Value::List)
            }
            kind => self.value(&kind, depth),
        }
    }

    /// Returns None for a message that would be nested too deeply.
    fn value(&mut self, kind: &Kind, depth: usize) -> Option<Value> {
        Some(match kind {
            Kind::Bool => Value::Bool(self.rng.bool()),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => Value::Bytes(self.noise().into()),
            Kind::Float => Value::F32(self.real() as f32),
            Kind::Double => Value::F64(self.real()),
            // Truncates to the field's width, as a caller in another language might.
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.integer() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.integer()),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.integer() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.integer() as u64),
            Kind::Enum(kind) => {
                let known = kind.values().nth(self.rng.usize(0..kind.values().len()));
                let known = known.map_or(0, |value| value.number());
                Value::EnumNumber(if self.rng.bool() { known } else { self.integer() as i32 })
            }
            Kind::Message(_) if depth == DEPTH => return None,
            Kind::Message(message) => Value::Message(self.message(message, depth + 1)),
        })
    }

    fn integer(&mut self) -> i64 {
        match self.rng.u8(0..8) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => i64::from(i32::MIN) - 1,
            3 => -1,
            4 => 0,
            5 => self.rng.i64(..),
            _ => self.rng.i64(1..101),
        }
    }

    fn real(&mut self) -> f64 {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE, f64::MAX];
        self.rng.choice(odd).unwrap_or_default()
    }

    /// Returns a text that is valid for some fields, or for none.
    fn text(&mut self) -> String {
        match self.rng.u8(0..12) {
            0 => String::new(),
            1..=4 => uuid(self.rng.u128(..)),
            5 => format!("{}@example.org", self.rng.u32(..)),
            6 => "EUR".to_owned(),
            7 => format!("SKU-{}", self.rng.u8(..)),
            8 => "ä".repeat(self.rng.usize(0..400)),
            9 => "'; DROP TABLE users; -- %s \0 \r\n \u{202e} <script>".to_owned(),
            10 => String::from_utf8_lossy(&self.noise()).into_owned(),
            _ => "correct horse battery".to_owned(),
        }
    }
}

fn uuid(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn map_key(value: Value) -> Option<MapKey> {
    match value {
        Value::Bool(key) => Some(MapKey::Bool(key)),
        Value::I32(key) => Some(MapKey::I32(key)),
        Value::I64(key) => Some(MapKey::I64(key)),
        Value::U32(key) => Some(MapKey::U32(key)),
        Value::U64(key) => Some(MapKey::U64(key)),
        Value::String(key) => Some(MapKey::String(key)),
        _ => None,
    }
}
