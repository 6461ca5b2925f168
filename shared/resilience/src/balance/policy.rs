//! The ways to choose.

/// How a balancer chooses among the endpoints that are fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The cheaper of two by time to response headers and calls in flight.
    #[default]
    PeakEwma,
    /// The one of two with fewer calls in flight.
    LeastRequest,
    /// One after the other.
    RoundRobin,
}
