//! Reasons for the end of a connection.

/// Reason for the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The peer closed it.
    Peer,
    /// It was interrupted, or the peer violated HTTP/2.
    Error,
    /// The handshake of TLS or HTTP/2 failed or timed out.
    Handshake,
    /// It reached its maximum age and closed after a GOAWAY.
    Age,
    /// The server drained, and it closed after a GOAWAY.
    Drain,
    /// It had no call for the idle timeout.
    Idle,
    /// It was closed to admit another connection.
    Evicted,
    /// The peer did not respond to a keepalive ping.
    Silent,
    /// The peer reset too many calls.
    Resets,
    /// The peer sent too many control frames.
    Flood,
    /// It did not close within its grace period after a GOAWAY.
    Cut,
}

impl Closed {
    pub(crate) const ALL: [Self; 11] = [
        Self::Peer,
        Self::Error,
        Self::Handshake,
        Self::Age,
        Self::Drain,
        Self::Idle,
        Self::Evicted,
        Self::Silent,
        Self::Resets,
        Self::Flood,
        Self::Cut,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Error => "error",
            Self::Handshake => "handshake",
            Self::Age => "max_age",
            Self::Drain => "drain",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Silent => "keep_alive",
            Self::Resets => "max_resets",
            Self::Flood => "flood",
            Self::Cut => "cut",
        }
    }
}
