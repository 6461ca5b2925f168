//! Signed tokens that prove the identity of a caller.
//!
//! There are two kinds of token. The key that signed a token determines its kind; nothing that the
//! token states about itself does.
//!
//! | | signed by | `iss` | `aud` | lifetime | identifies |
//! |---|---|---|---|---|---|
//! | user token | [`UserSigner`] | `gantry` | `gantry` | minutes | a user |
//! | service token | [`ServiceSigner`] | the service | the callee | 60 s | a service, for itself or for a user |
//!
//! A [`Verifier`] has a list of trusted keys, each with the issuer that it may sign for. It
//! verifies tokens without calling another service. Keys that rotate can be fetched from their
//! publisher ([`PublishedKeys`]); fetched keys stay in use while the publisher is down. The rules:
//!
//! - The algorithm is EdDSA with Ed25519. It is not read from the token.
//! - `kid`, `typ`, `iss`, `aud`, `iat`, `exp` and `nbf` are required and checked. `typ` is `at+jwt`
//!   for users (RFC 9068) and `gantry-service+jwt` for services.
//! - A service token is valid for at most 65 s from its `iat`, a user token for at most
//!   [`MAX_USER_TTL`]. An `iat` in the future is rejected. Clocks may differ by 5 s.
//! - A token is a bearer token for one audience: any holder can use it there until it expires.
//!   Every other audience rejects it. TLS protects tokens from third parties; `request_id` prevents
//!   a repeated mutation from executing twice.
//! - An unknown key makes the verifier fetch the published keys, at most once in 10 s.
//! - A token never appears in a `Debug` output, an error or a log.
//! - A signature is verified once per token. The verifier caches the result under the token's hash,
//!   and checks the times at every call.
//!
//! ```
//! use gantry_contract::access::{Actor, Caller};
//! use gantry_identity::{Acting, Issues, ServiceSigner, SigningKey, TrustedKey, Verifier};
//!
//! let key = SigningKey::generate();
//! let trusted = TrustedKey { issuer: "order".into(), issues: Issues::Service, key: key.public() };
//! let order = ServiceSigner::new("order", key);
//! let inventory = Verifier::new("inventory", vec![trusted]);
//!
//! let ann = Actor { subject: "ann".into(), roles: vec!["user".into()] };
//! let token = order.token("inventory", Acting::For(ann.clone()));
//! let caller = inventory.verify(&token).unwrap();
//! assert_eq!(caller, Caller::Delegate { service: "order".into(), actor: ann });
//! ```

mod cache_file;
mod claimed;
mod claims;
mod error;
mod jwk;
mod keys;
mod published;
mod settings;
mod sign;
mod verified_tokens;
mod verify;

pub use claimed::Claimed;
pub use claims::{Acting, MAX_USER_TTL, USERS};
pub use error::KeyError;
pub use jwk::Jwk;
pub use keys::{PublicKey, SigningKey, load_or_create_secret};
pub use published::{KeySource, KeysReport, PublishedKeys};
pub use settings::{InvalidSetting, Settings, TrustedKeySettings};
pub use sign::{AccessToken, ServiceSigner, UserClaims, UserSigner};
pub use verify::{Issues, TokenError, TrustedKey, Verifier};
