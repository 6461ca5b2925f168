//! Frame filter between a transport and h2, for clients and servers alike.
//!
//! Some limits of h2 cannot be configured, and some floods it does not count. [`FrameFilter`] reads
//! the head of every frame (RFC 9113, section 4.1) before h2 does, and a [`FramePolicy`] decides if
//! h2 sees the frame. Payloads pass through in the reader's own buffer, uncopied.
//!
//! [`EmptyDataPolicy`] is the policy that every connection needs.
//!
//! The filter also replaces malformed header fields for which h2 would close the connection. For
//! the replacements h2 resets only the stream, as RFC 9113, section 8.1.1, requires.

mod empty_data;
mod filter;
mod frame;
mod headers;
mod hpack;
mod huffman;

pub use self::{
    empty_data::EmptyDataPolicy,
    filter::{FrameFilter, FramePolicy, Verdict},
    frame::FrameHead,
};
