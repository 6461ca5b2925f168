//! Policies of the choice.

/// Policy by which a balancer chooses among the fit endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Cheaper of two by time to response headers and calls in flight.
    #[default]
    PeakEwma,
    /// One of two with fewer calls in flight.
    LeastRequest,
    /// One after the other.
    RoundRobin,
}
