//! Ids in requests.

use std::fmt;

use uuid::Uuid;

use crate::Violations;

/// Reads a UUID field of a request: 32 hexadecimal digits in five groups, in either case
/// (RFC 9562, section 4). Ids are compared and stored as [`Uuid`], never as the text that came.
///
/// # Errors
/// A violation of `field` if it is something else, or the nil or the max UUID: those mean "none"
/// and "all" (RFC 9562, sections 5.9 and 5.10), so no two callers may share them as an id.
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

/// Writes the UUIDs within encoded bytes in lower case, so that equal requests are equal whatever
/// the case of their ids. Only text in the form of a UUID is changed.
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
    fn a_uuid_is_read_in_either_case_and_in_one_form() {
        assert_eq!(uuid("id", ID).unwrap().to_string(), ID);
        assert_eq!(uuid("id", &ID.to_uppercase()), uuid("id", ID));
        let braced = format!("{{{ID}}}");
        let urn = format!("urn:uuid:{ID}");
        for text in ["", "1", &ID.replace('-', ""), &braced, &urn, &ID[1..], &format!(" {ID}")] {
            assert_eq!(why(text), "id must be a UUID", "{text:?}");
        }
    }

    #[test]
    fn nil_and_max_are_nobodys_id() {
        assert_eq!(why(&Uuid::nil().to_string()), "id must not be the nil UUID");
        assert_eq!(why(&Uuid::max().to_string()), "id must not be the max UUID");
        assert_eq!(why(&Uuid::max().to_string().to_uppercase()), "id must not be the max UUID");
    }

    #[test]
    fn only_uuids_are_lowered() {
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
