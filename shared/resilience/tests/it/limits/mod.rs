//! What a server does not take on.

mod concurrency;
mod overload;
mod rates;
