//! Who is calling, proven by signed tokens.
//!
//! Two kinds of token, told apart by the key that signed them and by nothing
//! the token says of itself:
//!
//! | | signed by | `iss` | `aud` | lives | stands for |
//! |---|---|---|---|---|---|
//! | user token | [`UserSigner`] | `gantry` | `gantry` | minutes | a user |
//! | service token | [`ServiceSigner`] | the service | the callee | 60 s | a service, for itself or for a user |
//!
//! A [`Verifier`] holds the list of keys it trusts, each with the issuer it may
//! speak for; no other service is asked. Keys that rotate can also be fetched from who
//! publishes them ([`PublishedKeys`]): those known stay while it is away. The rules:
//!
//! - the algorithm is EdDSA over Ed25519 and is not read from the token;
//! - `kid`, `typ`, `iss`, `aud`, `iat`, `exp` and `nbf` are required and checked; `typ` is `at+jwt`
//!   for users (RFC 9068) and `gantry-service+jwt` for services;
//! - a service token is valid for at most 65 s from its `iat`, a user token for at most
//!   [`MAX_USER_TTL`]; an `iat` in the future is refused. Clocks may differ by 5 s;
//! - a token is for one audience, and may be used by whoever has it until it expires:
//!   presented to another service it is refused, presented again to the same one within its
//!   60 s it is believed. That nobody else comes to have it is the wire's affair (TLS), that
//!   a repeated mutation does nothing twice is `request_id`'s;
//! - an unknown key makes the verifier ask who publishes keys, at most once in 10 s;
//! - a token never appears in a `Debug`, an error or a log;
//! - a signature is checked once: the verifier keeps what it learnt, under the
//!   token's hash, and still checks the times at every call.
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

mod claimed;
mod claims;
mod error;
mod jwk;
mod kept;
mod keys;
mod known;
mod published;
mod settings;
mod sign;
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
