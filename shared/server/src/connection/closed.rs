//! The end of a connection that was served.

/// How a connection ended that was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Its peer closed it.
    Peer,
    /// It broke, or its peer broke the rules of HTTP/2.
    Error,
    /// There was no handshake, of TLS or of HTTP/2, or none in time.
    Handshake,
    /// It was told to end because it was old, and did.
    Age,
    /// It was told to end because the server drains, and did.
    Drain,
    /// It had no call for too long.
    Idle,
    /// It made room for another one.
    Evicted,
    /// Its peer gave no sign of life.
    Silent,
    /// Its peer took back too many calls.
    Resets,
    /// Its peer sent too many frames that are no call.
    Flood,
    /// It was told to end, did not, and was cut.
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
