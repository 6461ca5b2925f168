//! Admin page `/log-filter`: shows the filter of the log, and changes it.
//!
//! A web page cannot change it: browsers ask for permission before they send PUT or JSON to another
//! origin, and no page of the admin server gives it.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) const PATH: &str = "/log-filter";

/// Longest request body, in bytes.
const MAX_BODY: usize = 4096;

/// Access to the filter of the log.
#[derive(Clone)]
pub(crate) struct LogFilterPage {
    pub(crate) current: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) change: Arc<dyn Fn(String) -> Result<(), String> + Send + Sync>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Body {
    filter: String,
}

impl LogFilterPage {
    pub(crate) fn router(self) -> Router {
        let page = get(show).put(change);
        Router::new().route(PATH, page).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(self)
    }
}

async fn show(State(page): State<LogFilterPage>) -> Json<Body> {
    Json(Body { filter: (page.current)() })
}

async fn change(
    State(page): State<LogFilterPage>,
    body: Result<Json<Body>, JsonRejection>,
) -> Response {
    let changed = match body {
        Ok(Json(Body { filter })) => {
            (page.change)(filter).map_err(|why| (StatusCode::BAD_REQUEST, why))
        }
        Err(rejected) => Err((rejected.status(), rejected.body_text())),
    };
    match changed {
        Ok(()) => show(State(page)).await.into_response(),
        Err((status, why)) => (status, Json(json!({ "error": why }))).into_response(),
    }
}
