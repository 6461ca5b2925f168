//! Limits of a request that are checked before it is decoded.
//!
//! An empty message in a list takes two bytes on the wire and more than a hundred in memory. A
//! [`Shape`] lists the lists and maps of a message, with their limits in the contract.
//! [`Shape::fit`] scans the encoded bytes. It rejects a message that would take too much memory,
//! and cuts a list that is too long to one item above its limit. That item is enough for validation
//! to report the list together with all other violations.
//!
//! The build library generates a shape for every message that has lists or maps.

/// Maximum memory of the lists and maps of one request, not counting the bytes of their texts:
/// 16 MiB, or four times the length of a longer request.
pub const MAX_MEMORY: usize = 16 * 1024 * 1024;

/// Minimum length of a scanned message, in bytes. A shorter one cannot hold many items.
pub(crate) const MIN_SCANNED: usize = 1024;

/// Depth at which prost rejects a message. The scan uses the same limit.
const MAX_DEPTH: u32 = 102;

/// Fields of a message that may take more memory than their encoded bytes.
#[derive(Debug)]
pub struct Shape {
    /// Lists, maps, and messages that contain some.
    pub fields: &'static [Field],
}

/// A field of a [`Shape`].
#[derive(Debug)]
pub struct Field {
    /// The field's number.
    pub number: u32,
    /// Memory of one item in bytes; 0 if it takes none of its own.
    pub size: usize,
    /// Limit from the rule `max_items` or `max_pairs`.
    pub max_items: Option<u32>,
    /// Encoding of the items of a packed list.
    pub packed: Option<Packed>,
    /// Shape of the field's message, or of its items.
    pub message: Option<&'static Shape>,
}

/// Encoding of the numbers in a packed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// One to ten bytes each; also bools.
    Varint,
    /// Four bytes each.
    Fixed32,
    /// Eight bytes each.
    Fixed64,
}

/// Result of a scan.
#[derive(Debug, PartialEq, Eq)]
pub enum Fit {
    /// All lists are within their limits.
    Whole,
    /// The message, with each list that is too long cut to one item above its limit.
    Cut(Vec<u8>),
}

/// Reason why a message must not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Not a valid message. prost would reject it too, but only after decoding a part of it.
    Malformed,
    /// The message would take more memory than [`MAX_MEMORY`] allows.
    TooLarge,
}

impl Shape {
    const NONE: Self = Self { fields: &[] };

    /// Scans a message. Reads each byte once, and a second time if a list must be cut.
    ///
    /// # Errors
    /// [`Unfit`] if the message must not be decoded.
    pub fn fit(&self, message: &[u8]) -> Result<Fit, Unfit> {
        let left = MAX_MEMORY.max(message.len().saturating_mul(4));
        let mut scan = Scan { left, exceeded: false, cut: None };
        scan.message(&mut &*message, self, None, MAX_DEPTH)?;
        if !scan.exceeded {
            return Ok(Fit::Whole);
        }
        let mut scan = Scan { left, exceeded: false, cut: Some(Vec::new()) };
        scan.message(&mut &*message, self, None, MAX_DEPTH)?;
        Ok(Fit::Cut(scan.cut.unwrap_or_default()))
    }
}

/// State of a scan.
struct Scan {
    /// Remaining memory in bytes.
    left: usize,
    /// True if a list exceeds its limit.
    exceeded: bool,
    /// The message without excess items. None in the first scan, which only measures.
    cut: Option<Vec<u8>>,
}

impl Scan {
    /// Reads a message up to the end of `bytes`, or up to the end of the group with this number.
    fn message(
        &mut self,
        bytes: &mut &[u8],
        shape: &Shape,
        group: Option<u32>,
        depth: u32,
    ) -> Result<(), Unfit> {
        let depth = depth.checked_sub(1).ok_or(Unfit::Malformed)?;
        let mut counts = Counts::new(shape);
        while !bytes.is_empty() {
            let start = *bytes;
            let key = u32::try_from(varint(bytes)?).map_err(|_| Unfit::Malformed)?;
            let (number, wire) = (key >> 3, key & 7);
            if wire == 4 {
                self.keep(start, bytes);
                return if group == Some(number) { Ok(()) } else { Err(Unfit::Malformed) };
            }
            let content = match wire {
                0 => varint(bytes).map(|_| None)?,
                1 => take(bytes, 8).map(|_| None)?,
                2 => Some(delimited(bytes)?),
                3 => None,
                5 => take(bytes, 4).map(|_| None)?,
                _ => return Err(Unfit::Malformed),
            };
            let field = shape.fields.iter().position(|field| field.number == number);
            let kept = match field {
                Some(index) => {
                    let field = &shape.fields[index];
                    let items = match (content, field.packed) {
                        (Some(content), Some(packed)) => packed.count(content),
                        _ => 1,
                    };
                    self.admit(field, counts.of(index), items)?
                }
                None => usize::MAX,
            };
            let nested = field.and_then(|index| shape.fields[index].message);
            let packed = field.and_then(|index| shape.fields[index].packed);
            match (content, nested, packed) {
                // A group has no length. Its end is found by reading it.
                _ if wire == 3 => {
                    self.group(start, bytes, nested.unwrap_or(&Shape::NONE), number, depth, kept)?;
                }
                _ if kept == 0 => {}
                (Some(mut content), Some(nested), _) => {
                    let outer = self.cut.as_mut().map(std::mem::take);
                    self.message(&mut content, nested, None, depth)?;
                    self.put(outer, key);
                }
                (Some(content), _, Some(packed)) if self.cut.is_some() => {
                    let outer = self.cut.replace(packed.first(content, kept).to_vec());
                    self.put(outer, key);
                }
                _ => self.keep(start, bytes),
            }
        }
        if group.is_none() { Ok(()) } else { Err(Unfit::Malformed) }
    }

    /// Reads a group. Keeps it if it is an item within the limit.
    fn group(
        &mut self,
        start: &[u8],
        bytes: &mut &[u8],
        shape: &Shape,
        number: u32,
        depth: u32,
        kept: usize,
    ) -> Result<(), Unfit> {
        if kept > 0 {
            self.keep(start, bytes);
            return self.message(bytes, shape, Some(number), depth);
        }
        let outer = self.cut.take();
        // The content of a discarded item is not counted.
        self.message(bytes, &Shape::NONE, Some(number), depth)?;
        self.cut = outer;
        Ok(())
    }

    /// Counts items of a field. Returns the number of items to keep.
    fn admit(&mut self, field: &Field, count: &mut usize, items: usize) -> Result<usize, Unfit> {
        let kept = match field.max_items {
            None => items,
            Some(most) => {
                let room = (most as usize + 1).saturating_sub(*count);
                *count += items;
                self.exceeded |= *count > most as usize;
                items.min(room)
            }
        };
        let memory = kept.saturating_mul(field.size);
        self.left = self.left.checked_sub(memory).ok_or(Unfit::TooLarge)?;
        Ok(kept)
    }

    /// Keeps the bytes between `start` and `rest`.
    fn keep(&mut self, start: &[u8], rest: &[u8]) {
        if let Some(cut) = &mut self.cut {
            cut.extend_from_slice(&start[..start.len() - rest.len()]);
        }
    }

    /// Appends the kept content of a field to `outer`.
    fn put(&mut self, outer: Option<Vec<u8>>, key: u32) {
        let (Some(mut outer), Some(content)) = (outer, self.cut.take()) else { return };
        put_varint(&mut outer, key.into());
        put_varint(&mut outer, content.len() as u64);
        outer.extend_from_slice(&content);
        self.cut = Some(outer);
    }
}

/// Number of items of each field so far.
enum Counts {
    Few([usize; 8]),
    Many(Vec<usize>),
}

impl Counts {
    fn new(shape: &Shape) -> Self {
        match shape.fields.len() {
            0..=8 => Self::Few([0; 8]),
            many => Self::Many(vec![0; many]),
        }
    }

    /// Returns the count of a field. `index` must be less than the number of the shape's fields.
    fn of(&mut self, index: usize) -> &mut usize {
        match self {
            Self::Few(counts) => &mut counts[index],
            Self::Many(counts) => &mut counts[index],
        }
    }
}

impl Packed {
    fn count(self, content: &[u8]) -> usize {
        match self {
            // The last byte of a varint has its highest bit clear.
            Self::Varint => content.iter().filter(|byte| **byte < 0x80).count(),
            Self::Fixed32 => content.len() / 4,
            Self::Fixed64 => content.len() / 8,
        }
    }

    /// Returns the bytes of the first `numbers` numbers.
    fn first(self, content: &[u8], numbers: usize) -> &[u8] {
        let end = match self {
            Self::Varint => {
                let mut ends = content.iter().enumerate().filter(|(_, byte)| **byte < 0x80);
                numbers.checked_sub(1).and_then(|last| ends.nth(last)).map(|(at, _)| at + 1)
            }
            Self::Fixed32 => numbers.checked_mul(4),
            Self::Fixed64 => numbers.checked_mul(8),
        };
        // With fewer numbers than requested, returns everything, trailing bytes included.
        end.and_then(|end| content.get(..end)).unwrap_or(content)
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Unfit> {
    let mut value = 0;
    for place in 0..10 {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Unfit::Malformed)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Unfit> {
    let length = varint(bytes)?;
    take(bytes, usize::try_from(length).map_err(|_| Unfit::Malformed)?)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Unfit> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Unfit::Malformed)?;
    *bytes = rest;
    Ok(taken)
}

/// A list field of Google's messages, which has no limit.
const fn list(number: u32, size: usize, message: Option<&'static Shape>) -> Field {
    Field { number, size, max_items: None, packed: None, message }
}

/// Memory of a text or bytes item of a list, without its content: the `String` and its heap
/// allocation.
pub const TEXT: usize = 48;

/// `google.protobuf.FieldMask`.
pub static FIELD_MASK: Shape = Shape { fields: &[list(1, TEXT, None)] };

/// `google.protobuf.Struct`.
pub static STRUCT: Shape = Shape { fields: &[list(1, TEXT + VALUE_SIZE, Some(&STRUCT_ENTRY))] };

static STRUCT_ENTRY: Shape = Shape { fields: &[list(2, 0, Some(&VALUE))] };

/// `google.protobuf.Value`.
pub static VALUE: Shape =
    Shape { fields: &[list(5, 0, Some(&STRUCT)), list(6, 0, Some(&LIST_VALUE))] };

/// `google.protobuf.ListValue`.
pub static LIST_VALUE: Shape = Shape { fields: &[list(1, VALUE_SIZE, Some(&VALUE))] };

const VALUE_SIZE: usize = size_of::<prost_types::Value>();

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::{FieldMask, ListValue, Value, value::Kind};

    use super::*;

    /// At most two numbers, three texts, and one message of its own type.
    static TREE: Shape = Shape {
        fields: &[
            Field {
                number: 1,
                size: 8,
                max_items: Some(2),
                packed: Some(Packed::Varint),
                message: None,
            },
            Field { number: 2, size: TEXT, max_items: Some(3), packed: None, message: None },
            Field { number: 3, size: 64, max_items: Some(1), packed: None, message: Some(&TREE) },
        ],
    };

    /// Message with the fields of [`TREE`].
    #[derive(Clone, PartialEq, Message)]
    struct Tree {
        #[prost(uint64, repeated, tag = "1")]
        numbers: Vec<u64>,
        #[prost(string, repeated, tag = "2")]
        texts: Vec<String>,
        #[prost(message, repeated, tag = "3")]
        trees: Vec<Tree>,
        #[prost(string, tag = "4")]
        name: String,
    }

    fn tree(numbers: usize, texts: usize, trees: Vec<Tree>) -> Tree {
        let numbers = (0..numbers).map(|number| 1 << (9 * (number % 7))).collect();
        let texts = (0..texts).map(|text| text.to_string()).collect();
        Tree { numbers, texts, trees, name: "oak".to_owned() }
    }

    fn cut(tree: &Tree) -> Option<Tree> {
        match TREE.fit(&tree.encode_to_vec()).unwrap() {
            Fit::Whole => None,
            Fit::Cut(bytes) => Some(Tree::decode(&*bytes).unwrap()),
        }
    }

    #[test]
    fn a_message_within_its_limits_is_unchanged() {
        assert_eq!(cut(&Tree::default()), None);
        assert_eq!(cut(&tree(2, 3, vec![tree(2, 3, vec![])])), None);
    }

    #[test]
    fn each_list_keeps_one_item_above_its_limit() {
        assert_eq!(cut(&tree(1000, 1000, vec![])), Some(tree(3, 4, vec![])));
        let trees =
            vec![tree(9, 0, vec![tree(0, 9, vec![])]), tree(0, 1, vec![]), tree(7, 7, vec![])];
        let expected = vec![tree(3, 0, vec![tree(0, 4, vec![])]), tree(0, 1, vec![])];
        assert_eq!(cut(&tree(0, 0, trees)), Some(tree(0, 0, expected)));
    }

    #[test]
    fn packed_and_single_numbers_count_alike() {
        let mut bytes = vec![0x0a, 4, 1, 2, 3, 4];
        bytes.extend([0x08, 5].repeat(3));
        let Ok(Fit::Cut(bytes)) = TREE.fit(&bytes) else { unreachable!() };
        assert_eq!(Tree::decode(&*bytes).unwrap().numbers, [1, 2, 3]);
    }

    #[test]
    fn fixed_numbers_are_cut_at_their_bytes() {
        assert_eq!(Packed::Fixed32.first(&[1; 12], 2), [1; 8]);
        assert_eq!(Packed::Fixed64.first(&[1; 12], 2), [1; 12]);
        assert_eq!((Packed::Fixed32.count(&[1; 12]), Packed::Fixed64.count(&[1; 17])), (3, 2));
    }

    #[test]
    fn memory_limits_a_list_without_a_limit() {
        let values = |count| {
            let values = vec![Value { kind: Some(Kind::ListValue(ListValue::default())) }; count];
            LIST_VALUE.fit(&ListValue { values }.encode_to_vec())
        };
        let most = MAX_MEMORY / VALUE_SIZE;
        assert_eq!(values(most), Ok(Fit::Whole));
        assert_eq!(values(most + 1), Err(Unfit::TooLarge));
        let paths = vec![String::new(); MAX_MEMORY / TEXT + 1];
        assert_eq!(FIELD_MASK.fit(&FieldMask { paths }.encode_to_vec()), Err(Unfit::TooLarge));
    }

    #[test]
    fn memory_counts_at_every_depth() {
        let empty = vec![Value::default(); MAX_MEMORY / VALUE_SIZE / 2 + 1];
        let half = Value { kind: Some(Kind::ListValue(ListValue { values: empty })) };
        let whole = ListValue { values: vec![half.clone(), half] };
        assert_eq!(LIST_VALUE.fit(&whole.encode_to_vec()), Err(Unfit::TooLarge));
    }

    #[test]
    fn a_malformed_message_is_rejected_as_by_prost() {
        let nested = |depth: usize| {
            (0..depth).fold(Vec::new(), |inner, _| {
                let mut bytes = vec![0x1a];
                put_varint(&mut bytes, inner.len() as u64);
                bytes.extend(inner);
                bytes
            })
        };
        // Nested unknown groups.
        let groups = |depth| [vec![0x33; depth], vec![0x34; depth]].concat();
        let broken: [&[u8]; 9] = [
            &[0x08],
            &[0x12, 5, 1],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x0e],
            &[0x33],
            &[0x34],
            &[0x33, 0x3c],
            &nested(200),
            &groups(10_000),
        ];
        for bytes in broken {
            assert_eq!(
                TREE.fit(bytes),
                Err(Unfit::Malformed),
                "{:?}",
                &bytes[..bytes.len().min(9)]
            );
            assert!(Tree::decode(bytes).is_err());
        }
        for bytes in [nested(100), groups(99)] {
            assert!(Tree::decode(&*bytes).is_ok());
            assert_eq!(TREE.fit(&bytes), Ok(Fit::Whole));
        }
    }

    #[test]
    fn a_group_counts_as_an_item() {
        let mut bytes = [0x1b, 0x12, 1, b'a', 0x1c].repeat(5);
        bytes.extend([0x22, 1, b'x']);
        let kept = [[0x1b, 0x12, 1, b'a', 0x1c].repeat(2), vec![0x22, 1, b'x']].concat();
        assert_eq!(TREE.fit(&bytes), Ok(Fit::Cut(kept)));
    }
}
