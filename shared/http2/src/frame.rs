//! Heads of HTTP/2 frames.

/// Length of a frame's head, in bytes.
pub(crate) const HEAD_LENGTH: usize = 9;

/// Longest payload of a frame, in bytes: the initial SETTINGS_MAX_FRAME_SIZE (RFC 9113, section
/// 4.2). No client or server of this workspace raises it.
pub(crate) const MAX_FRAME: u32 = 16 * 1024;

/// Head of an HTTP/2 frame (RFC 9113, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Length of the payload after the head, in bytes.
    pub length: u32,
    /// Frame type, such as [`FrameHead::DATA`].
    pub kind: u8,
    /// Flags, whose meaning depends on the type.
    pub flags: u8,
    /// Stream of the frame; 0 is the connection itself.
    pub stream: u32,
}

impl FrameHead {
    /// Type of a DATA frame.
    pub const DATA: u8 = 0;
    /// Type of a HEADERS frame.
    pub const HEADERS: u8 = 1;
    /// Type of a PRIORITY frame.
    pub const PRIORITY: u8 = 2;
    /// Type of a RST_STREAM frame.
    pub const RST_STREAM: u8 = 3;
    /// Type of a SETTINGS frame.
    pub const SETTINGS: u8 = 4;
    /// Type of a PUSH_PROMISE frame.
    pub const PUSH_PROMISE: u8 = 5;
    /// Type of a PING frame.
    pub const PING: u8 = 6;
    /// Type of a GOAWAY frame.
    pub const GOAWAY: u8 = 7;
    /// Type of a WINDOW_UPDATE frame.
    pub const WINDOW_UPDATE: u8 = 8;
    /// Type of a CONTINUATION frame.
    pub const CONTINUATION: u8 = 9;

    /// Flag of PING and SETTINGS: the frame acknowledges one of the receiver's.
    pub const ACK: u8 = 0x1;
    /// Flag of DATA and HEADERS: the last frame of the stream in this direction.
    pub const END_STREAM: u8 = 0x1;
    /// Flag of HEADERS, PUSH_PROMISE and CONTINUATION: the header block ends here.
    pub const END_HEADERS: u8 = 0x4;
    /// Flag of DATA, HEADERS and PUSH_PROMISE: padding follows the payload.
    pub const PADDED: u8 = 0x8;
    /// Flag of HEADERS: five bytes of priority precede the header block.
    pub const PRIORITY_FIELDS: u8 = 0x20;

    /// Returns `true` if all of `flags` are set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Encodes the head.
    pub(crate) fn bytes(&self) -> [u8; HEAD_LENGTH] {
        let [_, l0, l1, l2] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind, self.flags, s0, s1, s2, s3]
    }

    /// Decodes a head.
    pub(crate) fn parse(bytes: &[u8; HEAD_LENGTH]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            // The first bit is reserved and ignored.
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_without_its_reserved_bit() {
        let head = FrameHead::parse(&[1, 2, 3, 0, 9, 0x80, 0, 1, 4]);
        assert_eq!(head, FrameHead { length: 0x0001_0203, kind: 0, flags: 9, stream: 260 });
        assert!(head.has(FrameHead::END_STREAM) && head.has(FrameHead::PADDED));
        assert!(!head.has(FrameHead::END_HEADERS));
    }
}
