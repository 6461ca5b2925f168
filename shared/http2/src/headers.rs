//! Reassembly of a header block from its frames.

use std::borrow::Cow;

use crate::{
    frame::{FrameHead, HEAD_LENGTH, MAX_FRAME},
    hpack,
};

/// Longest block that is inspected, in bytes, including the heads of its frames: four times the
/// largest default limit for a header list in this workspace. Longer blocks reach h2 unchanged.
const MAX_LENGTH: usize = 64 * 1024;

/// Result of inspecting a header block.
pub(crate) enum Block {
    /// The rest of the block has not arrived yet.
    Incomplete,
    /// The block reaches h2 unchanged.
    Fine,
    /// `frames` replace the first `length` bytes.
    Mended { length: usize, frames: Vec<u8> },
}

/// Inspects the block that begins with a HEADERS frame. `bytes` start with that frame.
pub(crate) fn inspect(bytes: &[u8], head: &FrameHead) -> Block {
    let mut length = HEAD_LENGTH + head.length as usize;
    if length > MAX_LENGTH {
        return Block::Fine;
    }
    let Some(payload) = bytes.get(HEAD_LENGTH..length) else { return Block::Incomplete };
    let Some((priority, fragment)) = fragment(head, payload) else { return Block::Fine };
    let mut block = Cow::Borrowed(fragment);
    let mut is_last = head.has(FrameHead::END_HEADERS);
    while !is_last {
        let rest = &bytes[length..];
        let Some(next) = rest.first_chunk().map(FrameHead::parse) else {
            return Block::Incomplete;
        };
        length += HEAD_LENGTH + next.length as usize;
        if next.kind != FrameHead::CONTINUATION || next.stream != head.stream || length > MAX_LENGTH
        {
            return Block::Fine;
        }
        let Some(fragment) = rest.get(HEAD_LENGTH..HEAD_LENGTH + next.length as usize) else {
            return Block::Incomplete;
        };
        block.to_mut().extend_from_slice(fragment);
        is_last = next.has(FrameHead::END_HEADERS);
    }
    match hpack::mend(&block) {
        Some(block) => Block::Mended { length, frames: frames(head, priority, &block) },
        None => Block::Fine,
    }
}

/// Splits the payload of a HEADERS frame into its priority fields (empty if it has none) and its
/// fragment of the block. Returns `None` if the frame is malformed.
fn fragment<'a>(head: &FrameHead, payload: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    const PRIORITY_LENGTH: usize = 5;
    let (padding, payload) = if head.has(FrameHead::PADDED) {
        let (padding, payload) = payload.split_first()?;
        (usize::from(*padding), payload)
    } else {
        (0, payload)
    };
    let priority = if head.has(FrameHead::PRIORITY_FIELDS) { PRIORITY_LENGTH } else { 0 };
    let (priority, rest) = payload.split_at_checked(priority)?;
    let length = rest.len().checked_sub(padding)?;
    Some((priority, &rest[..length]))
}

/// Splits a block into frames without padding.
fn frames(head: &FrameHead, priority: &[u8], block: &[u8]) -> Vec<u8> {
    let mut frames = Vec::with_capacity(block.len() + 2 * HEAD_LENGTH);
    let (first, mut rest) = block.split_at(block.len().min(MAX_FRAME as usize - priority.len()));
    let mut push = |kind, flags, parts: [&[u8]; 2], is_last| {
        let end = if is_last { FrameHead::END_HEADERS } else { 0 };
        let length = (parts[0].len() + parts[1].len()) as u32;
        let head = FrameHead { length, kind, flags: flags | end, stream: head.stream };
        frames.extend_from_slice(&head.bytes());
        parts.iter().for_each(|part| frames.extend_from_slice(part));
    };
    let flags = head.flags & (FrameHead::END_STREAM | FrameHead::PRIORITY_FIELDS);
    push(FrameHead::HEADERS, flags, [priority, first], rest.is_empty());
    while !rest.is_empty() {
        let (next, more) = rest.split_at(rest.len().min(MAX_FRAME as usize));
        rest = more;
        push(FrameHead::CONTINUATION, 0, [next, &[]], rest.is_empty());
    }
    frames
}
