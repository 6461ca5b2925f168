//! Data of the current call, for handlers.

use aws_lc_rs::hmac;
use gantry_contract::{Authorized, MethodPolicy, idempotency::RequestKey, ids};
use prost::Message;
use tonic::{Request, Status};

/// Returns the caller and the scope that it may act on.
///
/// # Panics
/// If the handler was not called by a [`Server`](crate::Server), whose types guarantee that it is
/// present. A test that calls a handler directly must insert an [`Authorized`] into the request's
/// extensions.
#[expect(clippy::expect_used, reason = "the server's stack always inserts it, see above")]
pub fn authorized<T>(request: &Request<T>) -> &Authorized {
    request.extensions().get().expect("the request was authorized by a gantry server")
}

/// Text under which [`Fingerprints::check_value`] is made. No fingerprint is made of it: its first bytes
/// would be the length of a longer part.
const CHECK: &[u8] = b"gantry: check value of the secret of request fingerprints";

/// Fingerprints that identify repeated mutations. A fingerprint is an HMAC-SHA-256 of the subject,
/// the method and the message under a secret of the service, so that a stored fingerprint does not
/// help to guess the request.
#[derive(Clone, Debug)]
pub struct Fingerprints {
    key: hmac::Key,
}

impl Fingerprints {
    /// Creates fingerprints under a secret. All replicas must share it, and it must survive
    /// restarts: under another secret, a repeated request looks like a different one.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &secret) }
    }

    /// Returns a value that is the same for equal secrets and does not reveal the secret, in hexadecimal
    /// digits. Replicas compare it.
    pub fn check_value(&self) -> String {
        let tag = hmac::sign(&self.key, CHECK);
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the key of this mutation. `request_id` is the request's field of that name.
    ///
    /// Messages are compared in encoded form, except for the case of UUIDs. A request with such a
    /// key must not contain a `map` field, whose order is not fixed.
    ///
    /// # Errors
    /// INVALID_ARGUMENT if `request_id` is not a UUID, or is the nil or the max UUID.
    ///
    /// # Panics
    /// Like [`authorized`].
    #[expect(
        clippy::expect_used,
        reason = "the server's stack always inserts it, see `authorized`"
    )]
    pub fn key(
        &self,
        request: &Request<impl Message>,
        request_id: &str,
    ) -> Result<RequestKey, Status> {
        let method: &'static MethodPolicy =
            request.extensions().get::<&'static MethodPolicy>().expect("the method is known");
        let subject = authorized(request).caller.subject();
        let request_id = ids::uuid("request_id", request_id)?;
        let fingerprint = self.fingerprint(&subject, method.path, request.get_ref());
        Ok(RequestKey { subject, method: method.path, request_id, fingerprint })
    }

    fn fingerprint(&self, subject: &str, method: &str, message: &impl Message) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        let mut message = message.encode_to_vec();
        ids::lower_uuids(&mut message);
        for part in [subject.as_bytes(), method.as_bytes(), &message] {
            // A length prefix keeps the boundaries of the parts unambiguous.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.sign().as_ref());
        fingerprint
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gantry_contract::{Access, Caller, Idempotency, MethodKind, Repeats, RetryPolicy, Scope};

    use tonic::Code;

    use super::*;

    static METHOD: MethodPolicy = MethodPolicy {
        path: "/test.v1.Test/Create",
        kind: MethodKind::Unary,
        timeout: Duration::from_secs(1),
        access: Access::Public,
        idempotency: Idempotency::Idempotent,
        repeats: Repeats::Retry(RetryPolicy::DEFAULT),
        rate_class: None,
        max_request_bytes: None,
    };

    const ID: &str = "0195f3a0-0000-7000-8000-000000000001";

    fn request(service: &str, message: &str) -> Request<String> {
        let mut request = Request::new(message.to_owned());
        let caller = Caller::Service { service: service.into(), cause: None };
        request.extensions_mut().insert(Authorized { caller, scope: Scope::All });
        request.extensions_mut().insert(&METHOD);
        request
    }

    #[test]
    fn a_fingerprint_depends_on_subject_message_and_secret() {
        let fingerprints = Fingerprints::new([1; 32]);
        let of = |service, message| {
            fingerprints.key(&request(service, message), ID).unwrap().fingerprint
        };
        assert_eq!(of("a", "message"), of("a", "message"));
        assert_ne!(of("a", "message"), of("b", "message"));
        assert_ne!(of("a", "message"), of("a", "Message"));
        let other = Fingerprints::new([2; 32]).key(&request("a", "message"), ID).unwrap();
        assert_ne!(of("a", "message"), other.fingerprint);
    }

    #[test]
    fn a_key_names_the_subject_the_method_and_the_request() {
        let key = Fingerprints::new([1; 32]).key(&request("a", "message"), ID).unwrap();
        assert_eq!((&*key.subject, key.method), ("service:a", METHOD.path));
        assert_eq!(key.request_id.to_string(), ID);
    }

    #[test]
    fn a_check_value_depends_on_the_secret_alone() {
        let of = |byte| Fingerprints::new([byte; 32]).check_value();
        assert_eq!((of(1), of(1).len()), (of(1), 64));
        assert_ne!(of(1), of(2));
        assert!(!of(7).contains("0707"));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let shown = format!("{:?}", Fingerprints::new([123; 32]));
        assert!(!shown.contains("123") && !shown.contains("7b"), "{shown}");
    }

    #[test]
    fn a_request_id_must_be_a_uuid_and_not_nil() {
        for id in ["1", "", "00000000-0000-0000-0000-000000000000"] {
            let status = Fingerprints::new([1; 32]).key(&request("a", "message"), id).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    }

    #[test]
    fn the_case_of_ids_does_not_change_a_request() {
        let fingerprints = Fingerprints::new([1; 32]);
        let key = |id: &str| fingerprints.key(&request("a", &format!("reserve {id}")), id).unwrap();
        let lower = "0195f3a0-abcd-7000-8000-00000000000e";
        assert_eq!(key(lower), key(&lower.to_uppercase()));
        assert_ne!(key(lower), key(ID));
    }
}
