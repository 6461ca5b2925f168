//! Repair of header blocks that h2 ends the connection for.
//!
//! A field that HTTP forbids makes its message malformed, which is an error of its stream
//! (RFC 9113, section 8.1.1). h2 takes most of them so. But a name with a capital, an unknown
//! pseudo-header, and values that its types cannot hold look to it like broken HPACK, and it
//! ends the connection with all of its calls. Such a field is replaced here by one that h2
//! takes for malformed. HPACK's dynamic table counts bytes, so the new field is as long.
//!
//! One field is repaired for good: an `:authority` that URIs do not have, as `%2Frun%2Fx.sock`,
//! which gRPC clients send over Unix sockets. Nothing here reads it.
//!
//! Only literals are looked at: each field of a table was a literal once.

use std::borrow::Cow;

use http::{HeaderName, Method, StatusCode, uri::Authority};

use crate::huffman;

/// Name of a field that is malformed whatever its value, except `trailers`.
const MALFORMED: &[u8] = b"te";

/// Fills values that are replaced. Not whitespace, which values do not end with.
const FILL: u8 = b'-';

/// Returns the block as h2 should see it, or `None` if it may see it as it is.
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
        // A literal that no table keeps.
        mended.push(0);
        push_string(&mut mended, MALFORMED);
        push_string(&mut mended, &[FILL]);
    }
    Some(mended)
}

/// Bits of the first byte that a literal's index has; `None` if the byte begins no literal.
fn literal_prefix(first: u8) -> Option<u32> {
    match first >> 4 {
        0b0100..=0b0111 => Some(6),
        0b0000 | 0b0001 => Some(4),
        _ => None,
    }
}

/// What is wrong with a literal.
enum Judged {
    Fine,
    /// No field of this name, or of this value, can be told to h2.
    Field {
        length: usize,
    },
    /// The value has to be another one. `forbidden`: the message is malformed.
    Value {
        value: Vec<u8>,
        forbidden: bool,
    },
}

/// Judges a literal; `None` if it is not HPACK.
fn judge(index: usize, name: Option<Text<'_>>, value: Text<'_>) -> Option<Judged> {
    let name = match name {
        Some(name) => Some(name.decoded()?),
        None => None,
    };
    // Static names of RFC 7541, appendix A.
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

/// Kinds of names, by what h2 makes of their values.
enum Name {
    Authority,
    Method,
    Status,
    /// Any UTF-8.
    Text,
    Field,
}

/// A string of HPACK (RFC 7541, section 5.2).
#[derive(Clone, Copy)]
struct Text<'a> {
    is_coded: bool,
    bytes: &'a [u8],
}

impl<'a> Text<'a> {
    /// Decodes it; `None` if it is not Huffman code.
    fn decoded(self) -> Option<Cow<'a, [u8]>> {
        if self.is_coded {
            huffman::decode(self.bytes).map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(self.bytes))
        }
    }

    /// Returns `true` if it is certainly printable ASCII.
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
    /// Reads an integer (RFC 7541, section 5.1), as long as h2 takes them.
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

/// Appends a string without Huffman code.
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
