//! Index of the admin pages, and their JSON in readable form.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::{Html, Response},
};
use http::{
    HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde_json::Value;

/// Possible pages: path, whether it is JSON, content.
const PAGES: [(&str, bool, &str); 7] = [
    ("/livez", true, "200 while the process runs"),
    ("/readyz", true, "readiness of each server and each dependency"),
    ("/metrics", false, "metrics, for Prometheus"),
    ("/endpoints", true, "endpoints of the called services, breakers and ejections"),
    ("/config", true, "settings in force, and the source of each"),
    ("/log-filter", true, "filter of the log; PUT changes it"),
    ("/healthz", true, "the same as /livez"),
];

/// Returns the page `/` with links to the pages that are served.
pub(crate) fn index(is_served: impl Fn(&str) -> bool) -> Html<String> {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Admin pages</title>\n\
         <h1>Admin pages</h1>\n<ul>\n",
    );
    for (path, is_json, content) in PAGES.into_iter().filter(|(path, ..)| is_served(path)) {
        let query = if is_json { "?pretty" } else { "" };
        page.push_str(&format!("<li><a href=\"{path}{query}\">{path}</a>: {content}\n"));
    }
    page.push_str("</ul>\n<p>JSON is on one line without <code>?pretty</code>.</html>\n");
    Html(page)
}

/// Indents a JSON page if the query requests it: `/readyz?pretty`.
pub(crate) async fn pretty(request: Request, next: Next) -> Response {
    let is_requested = request.uri().query().is_some_and(requests_pretty);
    let response = next.run(request).await;
    let is_json = response.headers().get(CONTENT_TYPE) == Some(&HeaderValue::from_static(JSON));
    if !is_requested || !is_json {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // The page is already in memory, so its size is bounded.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let indented = serde_json::from_slice::<Value>(&body)
        .and_then(|page| serde_json::to_string_pretty(&page))
        .map(|text| Body::from(text + "\n"));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, indented.unwrap_or_else(|_| Body::from(body)))
}

const JSON: &str = "application/json";

/// Returns true for `pretty`, `pretty=true`, `pretty=1`.
fn requests_pretty(query: &str) -> bool {
    query.split('&').any(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        name == "pretty" && !["false", "0", "no"].contains(&value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretty_is_requested_by_name() {
        for query in ["pretty", "pretty=", "pretty=1", "pretty=true", "a=b&pretty"] {
            assert!(requests_pretty(query), "{query}");
        }
        for query in ["", "prettier", "pretty=0", "pretty=false", "a=pretty"] {
            assert!(!requests_pretty(query), "{query}");
        }
    }
}
