//! Headers of every request to the collector.

use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::{settings::InvalidSetting, variables};

const KEY: &str = "otlp.headers_file";

/// Reads the headers of the file, or those of OpenTelemetry's variable if there is no file.
///
/// # Errors
/// [`InvalidSetting`] with the line, and without its content.
pub(super) fn load(file: Option<&Path>) -> Result<HeaderMap, InvalidSetting> {
    match file {
        Some(path) => {
            let text = gantry_files::read_secret(path).map_err(|error| {
                InvalidSetting::new(KEY, format!("cannot read {}: {error}", path.display()))
            })?;
            of_file(&text)
        }
        None => of_variable(&variables::headers().unwrap_or_default()),
    }
}

/// Parses lines of the form `name: value`.
fn of_file(text: &str) -> Result<HeaderMap, InvalidSetting> {
    let mut headers = HeaderMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = line.split_once(':').and_then(|(name, value)| header(name, value));
        let (name, value) = parsed.ok_or_else(|| {
            let number = number + 1;
            InvalidSetting::new(KEY, format!("line {number}: expected `name: value`"))
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Parses `name=value,name=value` with percent-encoded values.
fn of_variable(text: &str) -> Result<HeaderMap, InvalidSetting> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let parsed = pair.split_once('=').and_then(|(name, value)| {
            header(name, &percent_decode_str(value.trim()).decode_utf8().ok()?)
        });
        let (name, value) = parsed.ok_or_else(|| {
            let why = "OTEL_EXPORTER_OTLP_HEADERS: expected name=value,name=value";
            InvalidSetting::new(KEY, why)
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_file_stand_one_a_line() {
        let headers = of_file("Authorization: Basic YTpiPQ==\n\nx-tenant:blue\n").unwrap();
        assert_eq!(headers["authorization"], "Basic YTpiPQ==");
        assert_eq!(headers["x-tenant"], "blue");
        assert!(headers.values().all(HeaderValue::is_sensitive));
    }

    #[test]
    fn headers_of_the_variable_are_percent_encoded() {
        let headers = of_variable("authorization=Basic%20YTpi, x-tenant=blue,").unwrap();
        assert_eq!(headers["authorization"], "Basic YTpi");
        assert_eq!(headers["x-tenant"], "blue");
    }

    #[test]
    fn an_invalid_header_is_an_error_without_its_content() {
        for error in [
            of_file("x: y\nhunter2").unwrap_err(),
            of_file("hunter2 x: y").unwrap_err(),
            of_variable("a=b,hunter2").unwrap_err(),
            of_variable("a=hunter2%0ab").unwrap_err(),
        ] {
            assert_eq!(error.key, "otlp.headers_file");
            assert!(!error.why.contains("hunter2"), "{error}");
        }
    }
}
