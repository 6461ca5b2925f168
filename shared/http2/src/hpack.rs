//! Repair of header blocks for which h2 would close the connection.
//!
//! A field that HTTP forbids makes its message malformed, which is an error of its stream (RFC
//! 9113, section 8.1.1). h2 treats most such fields so. But h2 treats a name with a capital letter,
//! an unknown pseudo-header and a value that its types cannot hold like broken HPACK: it closes the
//! connection with all of its calls. This module replaces such a field with one that h2 treats as
//! malformed. The new field has the same length, because the size of HPACK's dynamic table is
//! counted in bytes.
//!
//! One field is repaired and its message accepted: an `:authority` that is not valid in a URI, such
//! as `%2Frun%2Fx.sock`, which gRPC clients send over Unix sockets. Its exact value does not
//! matter, because nothing reads it.
//!
//! Only literals need inspection: every entry of the dynamic table was a literal first.

use std::borrow::Cow;

use http::{HeaderName, Method, StatusCode, uri::Authority};

use crate::huffman;

/// Field name that makes a message malformed, unless its value is `trailers` (RFC 9113, section
/// 8.2.2).
const MALFORMED: &[u8] = b"te";

/// Byte that fills replaced values. Not whitespace, because a value must not end with it.
const FILL: u8 = b'-';

/// Returns the repaired block, or `None` if the block needs no repair.
pub(crate) fn mend(block: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader { rest: block };
    let (mut mended, mut copied, mut is_malformed) = (Vec::new(), 0, false);
    while let Some(first) = reader.rest.first().copied() {
        let start = block.len() - reader.rest.len();
        let Some(prefix) = literal_prefix(first) else {
            reader.integer(if first & 0x80 > 0 { 7 } else { 5 })?;
            continue;
        };
        let index = reader.integer(prefix)?;
        let name = if index == 0 { Some(reader.string()?) } else { None };
        let name_end = block.len() - reader.rest.len();
        let value = reader.string()?;
        match judge(index, name, value)? {
            Judged::Fine => continue,
            Judged::Field { length } => {
                mended.extend_from_slice(&block[copied..start]);
                mended.push(first & !((1 << prefix) - 1));
                push_string(&mut mended, MALFORMED);
                push_string(&mut mended, &vec![FILL; length.saturating_sub(MALFORMED.len())]);
            }
            Judged::Value { value, forbidden } => {
                mended.extend_from_slice(&block[copied..name_end]);
                push_string(&mut mended, &value);
                is_malformed |= forbidden;
            }
        }
        copied = block.len() - reader.rest.len();
    }
    if copied == 0 {
        return None;
    }
    mended.extend_from_slice(&block[copied..]);
    if is_malformed {
        // A literal without indexing: it leaves the dynamic table unchanged.
        mended.push(0);
        push_string(&mut mended, MALFORMED);
        push_string(&mut mended, &[FILL]);
    }
    Some(mended)
}

/// Returns the number of bits in the first byte that hold a literal's index, or `None` if the byte
/// does not begin a literal.
fn literal_prefix(first: u8) -> Option<u32> {
    match first >> 4 {
        0b0100..=0b0111 => Some(6),
        0b0000 | 0b0001 => Some(4),
        _ => None,
    }
}

/// Verdict on a literal.
enum Judged {
    Fine,
    /// Replace the whole field. h2 rejects its name, or its value in any form. `length` is the
    /// length of name and value, in bytes.
    Field {
        length: usize,
    },
    /// Replace only the value. `forbidden` is true if the field makes the message malformed.
    Value {
        value: Vec<u8>,
        forbidden: bool,
    },
}

/// Judges a literal. Returns `None` if it is not valid HPACK.
fn judge(index: usize, name: Option<Text<'_>>, value: Text<'_>) -> Option<Judged> {
    let name = match name {
        Some(name) => Some(name.decoded()?),
        None => None,
    };
    // Indexes of the static table: RFC 7541, appendix A.
    let name = match (index, name.as_deref()) {
        (1, _) | (_, Some(b":authority")) => Name::Authority,
        (2 | 3, _) | (_, Some(b":method")) => Name::Method,
        (4..=7, _) | (_, Some(b":path" | b":scheme" | b":protocol")) => Name::Text,
        (8..=14, _) | (_, Some(b":status")) => Name::Status,
        (_, Some(name)) if HeaderName::from_lowercase(name).is_err() => {
            let length = name.len() + value.decoded()?.len();
            return Some(Judged::Field { length });
        }
        _ => Name::Field,
    };
    if matches!(name, Name::Text | Name::Field) && value.is_printable() {
        return Some(Judged::Fine);
    }
    let decoded = value.decoded()?;
    let replace = |forbidden| {
        let keep = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.';
        let kept = decoded.iter().map(|byte| if keep(byte) { *byte } else { FILL });
        Judged::Value { value: kept.collect(), forbidden }
    };
    Some(match name {
        Name::Method if Method::from_bytes(&decoded).is_err() => {
            Judged::Field { length: ":method".len() + decoded.len() }
        }
        Name::Status if StatusCode::from_bytes(&decoded).is_err() => {
            Judged::Field { length: ":status".len() + decoded.len() }
        }
        Name::Authority if !decoded.is_empty() && Authority::try_from(&*decoded).is_err() => {
            replace(!decoded.iter().all(u8::is_ascii_graphic))
        }
        Name::Text if str::from_utf8(&decoded).is_err() => replace(true),
        Name::Field if decoded.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') => {
            replace(true)
        }
        _ => Judged::Fine,
    })
}

/// Kinds of names. h2 parses the values of each kind differently.
enum Name {
    Authority,
    Method,
    Status,
    /// `:path`, `:scheme` or `:protocol`: any UTF-8.
    Text,
    Field,
}

/// String literal of HPACK (RFC 7541, section 5.2).
#[derive(Clone, Copy)]
struct Text<'a> {
    is_coded: bool,
    bytes: &'a [u8],
}

impl<'a> Text<'a> {
    /// Decodes the string. Returns `None` if its Huffman code is invalid.
    fn decoded(self) -> Option<Cow<'a, [u8]>> {
        if self.is_coded {
            huffman::decode(self.bytes).map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(self.bytes))
        }
    }

    /// Returns `true` only if the string is printable ASCII. May return `false` for printable text
    /// that is Huffman-coded.
    fn is_printable(self) -> bool {
        if self.is_coded {
            !huffman::may_be_unprintable(self.bytes)
        } else {
            self.bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads an integer (RFC 7541, section 5.1) of at most as many bytes as h2 accepts.
    fn integer(&mut self, prefix: u32) -> Option<usize> {
        const MOST_BYTES: u32 = 4;
        let (first, mut rest) = self.rest.split_first()?;
        let mask = (1 << prefix) - 1;
        let mut value = usize::from(*first) & mask;
        if value == mask {
            for place in 0..=MOST_BYTES {
                let (byte, more) = rest.split_first()?;
                rest = more;
                if place == MOST_BYTES {
                    return None;
                }
                value += usize::from(byte & 0x7f) << (7 * place);
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        self.rest = rest;
        Some(value)
    }

    fn string(&mut self) -> Option<Text<'a>> {
        let is_coded = self.rest.first()? & 0x80 > 0;
        let length = self.integer(7)?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Text { is_coded, bytes })
    }
}

/// Appends a string literal without Huffman coding.
fn push_string(block: &mut Vec<u8>, text: &[u8]) {
    const MASK: usize = 0x7f;
    if text.len() < MASK {
        block.push(text.len() as u8);
    } else {
        block.push(MASK as u8);
        let mut rest = text.len() - MASK;
        while rest > MASK {
            block.push((rest & MASK) as u8 | 0x80);
            rest >>= 7;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}
