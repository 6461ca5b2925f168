//! No public certificate authorities.
//!
//! sqlx trusts the authorities of the crate `webpki-roots` beside those of the file that it is given, and
//! has no option against it. This crate replaces `webpki-roots` in the workspace, so that a database
//! server is verified by exactly the authorities that the settings name. A dependency that relies on
//! public authorities finds none, and refuses its servers.

use rustls::pki_types::TrustAnchor;

/// Trusted public authorities: none.
pub const TLS_SERVER_ROOTS: &[TrustAnchor<'static>] = &[];
