//! Ids in requests.

use std::fmt;

use uuid::Uuid;

use crate::Violations;

/// Parses a UUID field of a request: 32 hexadecimal digits in five groups, in upper or lower case
/// (RFC 9562, section 4). Compare and store ids as [`Uuid`], never as the original text.
///
/// # Errors
/// A violation of `field` if the text is not a UUID, or is the nil or max UUID. Those mean "none"
/// and "all" (RFC 9562, sections 5.9 and 5.10) and identify nothing.
pub fn uuid(field: impl fmt::Display, text: &str) -> Result<Uuid, Violations> {
    const HYPHENATED: usize = 36;
    let parsed = Uuid::try_parse(text).ok().filter(|_| text.len() == HYPHENATED);
    match parsed {
        None => Err(Violations::one(field, "must be a UUID")),
        Some(id) if id.is_nil() => Err(Violations::one(field, "must not be the nil UUID")),
        Some(id) if id.is_max() => Err(Violations::one(field, "must not be the max UUID")),
        Some(id) => Ok(id),
    }
}

/// Converts UUIDs in encoded bytes to lower case, so that requests with the same ids are equal.
/// Changes only text that has the form of a UUID.
pub fn lower_uuids(bytes: &mut [u8]) {
    let mut rest = bytes;
    while let Some(candidate) = rest.first_chunk_mut::<36>() {
        if is_uuid(candidate) {
            candidate.make_ascii_lowercase();
            rest = &mut rest[36..];
        } else {
            rest = &mut rest[1..];
        }
    }
}

fn is_uuid(text: &[u8; 36]) -> bool {
    text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0195f3a0-abcd-7000-8000-00000000000e";

    fn why(text: &str) -> String {
        uuid("id", text).unwrap_err().to_string()
    }

    #[test]
    fn a_uuid_has_one_form_in_either_case() {
        assert_eq!(uuid("id", ID).unwrap().to_string(), ID);
        assert_eq!(uuid("id", &ID.to_uppercase()), uuid("id", ID));
        let braced = format!("{{{ID}}}");
        let urn = format!("urn:uuid:{ID}");
        for text in ["", "1", &ID.replace('-', ""), &braced, &urn, &ID[1..], &format!(" {ID}")] {
            assert_eq!(why(text), "id must be a UUID", "{text:?}");
        }
    }

    #[test]
    fn nil_and_max_uuids_are_rejected() {
        assert_eq!(why(&Uuid::nil().to_string()), "id must not be the nil UUID");
        assert_eq!(why(&Uuid::max().to_string()), "id must not be the max UUID");
        assert_eq!(why(&Uuid::max().to_string().to_uppercase()), "id must not be the max UUID");
    }

    #[test]
    fn only_uuids_are_lowercased() {
        let upper = ID.to_uppercase();
        for (text, lowered) in [
            (format!("$X{upper}Y"), format!("$X{ID}Y")),
            (format!("{upper}{upper}"), format!("{ID}{ID}")),
            (format!("A{upper}"), format!("A{ID}")),
            (upper.replace('-', "+"), upper.replace('-', "+")),
            (upper[1..].to_owned(), upper[1..].to_owned()),
            ("ABC".to_owned(), "ABC".to_owned()),
            (String::new(), String::new()),
        ] {
            let mut bytes = text.clone().into_bytes();
            lower_uuids(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), lowered, "{text}");
        }
    }
}
