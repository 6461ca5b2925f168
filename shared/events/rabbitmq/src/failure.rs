//! Errors of the client library and the broker as errors of the bus.

use std::io;

use gantry_events::BusError;
use lapin::{ErrorKind, protocol::AMQPError};

use crate::settings::Endpoint;

/// Reply codes of AMQP 0-9-1 that the adapter tells apart.
mod code {
    pub(super) const ACCESS_REFUSED: u16 = 403;
    pub(super) const NOT_FOUND: u16 = 404;
    pub(super) const PRECONDITION_FAILED: u16 = 406;
    pub(super) const NOT_ALLOWED: u16 = 530;
}

/// Returns the broker's reply, if the broker refused the request or closed the channel or connection.
fn reply(error: &lapin::Error) -> Option<&AMQPError> {
    match error.kind() {
        ErrorKind::ProtocolError(reply) => Some(reply),
        _ => None,
    }
}

fn has_code(error: &lapin::Error, code: u16) -> bool {
    reply(error).is_some_and(|reply| reply.get_id() == code)
}

/// Returns true if the user may not do this.
pub(crate) fn is_forbidden(error: &lapin::Error) -> bool {
    has_code(error, code::ACCESS_REFUSED)
}

/// Returns true if there is no such queue or exchange.
pub(crate) fn is_missing(error: &lapin::Error) -> bool {
    has_code(error, code::NOT_FOUND)
}

/// Returns the broker's limit, in bytes, if it refused a message that is larger.
pub(crate) fn size_limit(error: &lapin::Error) -> Option<usize> {
    let reply = reply(error).filter(|reply| reply.get_id() == code::PRECONDITION_FAILED)?;
    let text = reply.get_message().as_str();
    let (_, limit) = text.split_once("larger than configured max size ")?;
    limit.trim().parse().ok()
}

/// Returns the broker's words, or the library's.
fn text(error: &lapin::Error) -> String {
    match reply(error) {
        Some(reply) => reply.get_message().to_string(),
        None => error.to_string(),
    }
}

/// Returns the failure to reach a broker.
pub(crate) fn of_stream(error: &io::Error, endpoint: &Endpoint) -> BusError {
    let at = endpoint.address();
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => BusError::Misconfigured(format!(
            "the certificate of the broker at {at} is not trusted ({why}): see \
             events.rabbitmq.ca_file, and the host in events.rabbitmq.url"
        )),
        Some(rustls::Error::AlertReceived(alert)) => {
            refused_certificate(&at, &format!("{alert:?}"))
        }
        _ => BusError::Unavailable(format!("no connection to the broker at {at}: {error}")),
    }
}

fn refused_certificate(at: &str, why: &str) -> BusError {
    BusError::Misconfigured(format!(
        "the broker at {at} ends the TLS handshake ({why}): see events.rabbitmq.cert_file and \
         events.rabbitmq.key_file"
    ))
}

/// Returns the failure of a broker to open a connection.
pub(crate) fn of_opening(error: &lapin::Error, endpoint: &Endpoint) -> BusError {
    let Endpoint { user, vhost, .. } = endpoint;
    let (at, text) = (endpoint.address(), text(error));
    if let ErrorKind::IOError(cause) = error.kind() {
        // In TLS 1.3 a client learns after the handshake that its certificate is refused.
        let tls = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = tls {
            return refused_certificate(&at, &format!("{alert:?}"));
        }
    }
    if has_code(error, code::ACCESS_REFUSED) {
        return BusError::Misconfigured(format!(
            "the broker at {at} refuses the user {user:?} or its password ({text}): see \
             events.rabbitmq.url and events.rabbitmq.password_file"
        ));
    }
    // A limit of connections has the same code, and passes.
    if has_code(error, code::NOT_ALLOWED) && !text.contains("limit") {
        return BusError::Misconfigured(format!(
            "the broker at {at} refuses the virtual host {vhost:?} to the user {user:?} ({text}): see \
             events.rabbitmq.url, and create the virtual host and the user's permissions in it"
        ));
    }
    BusError::Unavailable(format!("the broker at {at} does not open a connection: {text}"))
}

/// Returns the failure to declare or bind `what`, such as `the queue "user"`.
pub(crate) fn of_declaring(error: &lapin::Error, what: &str) -> BusError {
    let text = text(error);
    if has_code(error, code::PRECONDITION_FAILED) {
        return BusError::Misconfigured(format!(
            "{what} exists with other properties ({text}): move its messages and delete it, so that it \
             is created anew"
        ));
    }
    if is_forbidden(error) {
        return BusError::Misconfigured(format!(
            "the user of events.rabbitmq.url may not declare or use {what} ({text}): set its \
             permissions in the virtual host"
        ));
    }
    BusError::Unavailable(format!("{what} is not ready: {text}"))
}

/// Returns the failure of an open channel or connection.
pub(crate) fn of_channel(error: &lapin::Error, doing: &str) -> BusError {
    let text = text(error);
    if is_forbidden(error) {
        return BusError::Misconfigured(format!(
            "the user of events.rabbitmq.url may not {doing} ({text}): set its permissions and topic \
             permissions in the virtual host"
        ));
    }
    BusError::Unavailable(format!("the broker cannot {doing}: {text}"))
}
