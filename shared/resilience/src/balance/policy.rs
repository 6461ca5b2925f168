//! Policies of the choice.

/// Policy by which a balancer chooses among the fit endpoints.
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
