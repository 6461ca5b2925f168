//! Decoder of HPACK's Huffman code (RFC 7541, section 5.2).

/// Code lengths in bits, by symbol (RFC 7541, appendix B). Symbol 256 ends a string. The code is
/// canonical: its lengths determine all codes.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, //
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, //
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, //
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, //
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, //
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, //
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, //
    30,
];

const END_OF_STRING: u16 = 256;

const LONGEST: usize = 30;

/// Decoding table: the first code, the number of codes and the position of the first symbol for
/// each length, and all symbols in the order of their codes.
struct Codes {
    first: [u32; LONGEST + 1],
    count: [u32; LONGEST + 1],
    offset: [u32; LONGEST + 1],
    symbols: [u16; 257],
}

static CODES: Codes = codes();

const fn codes() -> Codes {
    let mut codes = Codes {
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
        symbols: [0; 257],
    };
    let (mut code, mut known, mut length) = (0, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        (codes.first[length], codes.offset[length]) = (code, known);
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                codes.symbols[known as usize] = symbol as u16;
                known += 1;
                code += 1;
            }
            symbol += 1;
        }
        codes.count[length] = known - codes.offset[length];
        length += 1;
    }
    codes
}

/// Decodes a string. Returns `None` if the code or its padding is invalid.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut decoded, mut code, mut length) = (Vec::new(), 0_u32, 0_usize);
    for byte in bytes {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            if length > LONGEST {
                return None;
            }
            let index = code.wrapping_sub(CODES.first[length]);
            if index < CODES.count[length] {
                let symbol = CODES.symbols[(CODES.offset[length] + index) as usize];
                if symbol == END_OF_STRING {
                    return None;
                }
                decoded.push(symbol as u8);
                (code, length) = (0, 0);
            }
        }
    }
    // Padding is a prefix of the end-of-string code, all ones, and shorter than a byte.
    (length < 8 && code == (1 << length) - 1).then_some(decoded)
}

/// Returns `false` only if the decoded string is printable ASCII. The codes of all other bytes
/// begin with at least ten ones, so coded text without such a run contains none of them.
pub(crate) fn may_be_unprintable(bytes: &[u8]) -> bool {
    const ONES: u32 = 10;
    let mut run = 0;
    for byte in bytes {
        if run + byte.leading_ones() >= ONES {
            return true;
        }
        run = if *byte == 0xff { run + 8 } else { byte.trailing_ones() };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let length = LENGTHS[*byte as usize] as usize;
            let (first, offset) = (CODES.first[length], CODES.offset[length] as usize);
            let symbols = &CODES.symbols[offset..];
            let index = symbols.iter().position(|one| *one == u16::from(*byte)).unwrap();
            let code = first + index as u32;
            bits.extend((0..length).rev().map(|bit| code >> bit & 1));
        }
        while bits.len() % 8 > 0 {
            bits.push(1);
        }
        bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | *bit as u8)).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for (coded, text) in [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..], {
                "www.example.com"
            }),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (&[], ""),
        ] {
            assert_eq!(decode(coded).as_deref(), Some(text.as_bytes()));
            assert_eq!(encode(text.as_bytes()), coded);
        }
    }

    #[test]
    fn every_byte_is_read_between_others() {
        for byte in 0..=255_u8 {
            let text = [b'a', byte, b'~', byte, byte];
            let coded = encode(&text);
            assert_eq!(decode(&coded).as_deref(), Some(&text[..]), "{byte}");
            let is_printable = (b' '..=b'~').contains(&byte);
            assert!(is_printable || may_be_unprintable(&encode(&[b'a', byte])), "{byte}");
        }
    }

    #[test]
    fn text_of_headers_is_printable_at_a_glance() {
        for text in
            ["application/grpc", "/order.v1.OrderService/GetOrder", "Bearer eyJhbGciOi.J9_-"]
        {
            assert!(!may_be_unprintable(&encode(text.as_bytes())), "{text}");
        }
    }

    #[test]
    fn strings_that_end_badly_are_refused() {
        for bytes in [&[0xff, 0xff, 0xff, 0xff][..], &[0xff], &[0], &[0xfe], &[0x1f, 0xff, 0xff]] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
