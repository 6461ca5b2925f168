//! PEM: keys and certificates as text (RFC 7468).
//!
//! The reader is lenient. Explanatory text may stand before, between and after the blocks. Lines
//! may have any length and white space around them. An error names the line and never shows its
//! content.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

/// PEM block. `Debug` does not show its bytes, because they may be a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// Label, such as `PRIVATE KEY` or `CERTIFICATE`.
    pub label: String,
    /// Number of its BEGIN line, from 1.
    pub line: usize,
    /// Decoded bytes.
    pub der: Vec<u8>,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("label", &self.label)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// Error of a malformed block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// The text ends, or another block begins, before the END line of the block.
    #[error("line {line}: the block {label} has no END line")]
    NoEnd {
        /// Its BEGIN line.
        line: usize,
        /// Its label.
        label: String,
    },
    /// An END line does not match the BEGIN line before it, or there is none.
    #[error("line {line}: an END line ends another block than the one before it")]
    OtherEnd {
        /// The END line.
        line: usize,
    },
    /// The block has headers. Old formats put them into an encrypted block (RFC 1421).
    #[error("line {line}: the block has headers, as an encrypted key has: decrypt it")]
    Headers {
        /// The first header.
        line: usize,
    },
    /// A line, or the block as a whole, is not base64.
    #[error("line {line}: not base64")]
    NotBase64 {
        /// The malformed line, or the BEGIN line if the block as a whole is malformed.
        line: usize,
    },
}

/// Returns the blocks of a text in order.
///
/// # Errors
/// [`PemError`] for the first block that cannot be read.
pub fn blocks(text: &str) -> Result<Vec<Block>, PemError> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if let Some(label) = boundary(content, "BEGIN") {
            if let Some((label, line, _)) = open {
                return Err(PemError::NoEnd { line, label });
            }
            open = Some((label.to_owned(), line, String::new()));
        } else if let Some(ended) = boundary(content, "END") {
            match open.take() {
                Some((label, begin, base64)) if label == ended => {
                    let der =
                        STANDARD.decode(base64).map_err(|_| PemError::NotBase64 { line: begin })?;
                    blocks.push(Block { label, line: begin, der });
                }
                Some(_) | None => return Err(PemError::OtherEnd { line }),
            }
        } else if let Some((_, _, base64)) = &mut open {
            if content.contains(':') {
                return Err(PemError::Headers { line });
            }
            let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
            let characters = content.chars().filter(|c| !c.is_ascii_whitespace());
            if !characters.clone().all(is_base64) {
                return Err(PemError::NotBase64 { line });
            }
            base64.extend(characters);
        }
    }
    match open {
        Some((label, line, _)) => Err(PemError::NoEnd { line, label }),
        None => Ok(blocks),
    }
}

/// Lists the labels of `blocks` for a message: `CERTIFICATE, PUBLIC KEY`, or `no PEM block`.
pub fn labels(blocks: &[Block]) -> String {
    if blocks.is_empty() {
        return "no PEM block".to_owned();
    }
    let mut labels: Vec<_> = blocks.iter().map(|block| block.label.as_str()).collect();
    labels.dedup();
    labels.join(", ")
}

/// Encodes a block as text with lines of 64 characters.
pub fn encode(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        lines.push_str(line);
        lines.push('\n');
        rest = after;
    }
    lines.push_str(&format!("-----END {label}-----\n"));
    lines
}

/// Returns the label of a BEGIN or END line.
fn boundary<'l>(line: &'l str, kind: &str) -> Option<&'l str> {
    line.strip_prefix("-----")?.strip_prefix(kind)?.strip_prefix(' ')?.strip_suffix("-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, usize, Vec<u8>)>, String> {
        let read = blocks(text).map_err(|error| error.to_string())?;
        Ok(read.into_iter().map(|block| (block.label, block.line, block.der)).collect())
    }

    fn abc(line: usize) -> (String, usize, Vec<u8>) {
        ("X".to_owned(), line, b"abc".to_vec())
    }

    #[test]
    fn text_may_stand_around_blocks() {
        let block = "-----BEGIN X-----\nYWJj\n-----END X-----\n";
        assert_eq!(read(block).unwrap(), [abc(1)]);
        assert_eq!(read(&format!("Subject: CN=a\nBag: {{}}\n\n{block}")).unwrap(), [abc(4)]);
        assert_eq!(read(&format!("{block}between\n{block}after")).unwrap(), [abc(1), abc(5)]);
        assert_eq!(read(&block.replace('\n', "\r\n")).unwrap(), [abc(1)]);
        assert_eq!(read(&block.replace('\n', "  \n\t")).unwrap(), [abc(1)]);
        assert_eq!(read(block.trim_end()).unwrap(), [abc(1)]);
        assert_eq!(read("-----BEGIN X-----\nYW\nJj\n-----END X-----").unwrap(), [abc(1)]);
        assert_eq!(read("no block -----BEGIN X----- in a line").unwrap(), []);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn an_error_names_the_line_and_hides_its_content() {
        for (text, why) in [
            ("-----BEGIN X-----\nYWJj\n", "line 1: the block X has no END line"),
            ("\n-----BEGIN X-----\n-----BEGIN X-----\n", "line 2: the block X has no END line"),
            ("-----BEGIN X-----\nYWJj\n-----END Y-----", "line 3: an END line"),
            ("-----END X-----", "line 1: an END line"),
            ("-----BEGIN X-----\nYWJj\nse?ret\n-----END X-----", "line 3: not base64"),
            ("-----BEGIN X-----\nYWJ\n-----END X-----", "line 1: not base64"),
            ("-----BEGIN X-----\nProc-Type: 4\n-----END X-----", "line 2: the block has headers"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(why) && !error.contains("YWJ"), "{text:?}: {error}");
        }
        let shown = format!("{:?}", blocks("-----BEGIN X-----\nYWJj\n-----END X-----").unwrap());
        assert!(!shown.contains("97"), "{shown}");
    }

    #[test]
    fn an_encoded_block_decodes_to_itself() {
        for length in [0, 1, 47, 48, 49, 1000] {
            let der = vec![7; length];
            let text = encode("Y Z", &der);
            assert!(text.lines().all(|line| line.len() <= 64));
            assert_eq!(read(&text).unwrap(), [("Y Z".to_owned(), 1, der)]);
        }
        assert_eq!(labels(&[]), "no PEM block");
    }
}
