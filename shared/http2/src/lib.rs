//! Frame filter between a transport and h2, for clients and servers alike.
//!
//! h2 decides alone what each frame means and what too many of them cost. Some of its limits
//! cannot be set, and some floods it does not count. [`FrameFilter`] reads the head of every
//! frame (RFC 9113, section 4.1) before h2 does and asks a [`FramePolicy`] whether h2 is to
//! see the frame. Payloads pass through in the reader's own buffer, uncopied.
//!
//! [`EmptyDataPolicy`] is the policy that every connection needs.
//!
//! Malformed header fields that h2 would end the connection for are replaced by ones for which
//! it ends the stream, as RFC 9113, section 8.1.1, asks.

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
