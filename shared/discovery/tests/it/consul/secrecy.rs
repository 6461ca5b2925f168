//! The token never appears in errors, `Debug` output or logs.

use std::fs;

use gantry_discovery::{RegisterError, RegistrationState, Registry};

use super::{
    eventually, is_pending, is_stale, registry,
    scripted::{Answer, Scripted},
    watching::ONE,
};
use crate::{
    contract::{described, sees},
    output::Output,
};

const TOKEN: &str = "8d7f5c3a-secret-secret-secret-0123456789ab";

struct Guarded {
    registry: Registry,
    agent: Scripted,
    _folder: tempfile::TempDir,
}

/// Creates a registry with the token, and an agent with these answers.
async fn guarded(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Guarded {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let agent = Scripted::answering(move |request| {
        assert!(request.head.contains(&format!("x-consul-token: {TOKEN}")), "{}", request.head);
        answer(&request.path)
    })
    .await;
    let registry = registry(agent.settings().token_file(file));
    Guarded { registry, agent, _folder: folder }
}

/// A proxy in front of the agent may echo the request that it rejects.
#[tokio::test]
async fn an_answer_with_the_token_is_not_quoted() {
    let output = Output::of_this_thread();
    let mut shown = String::new();
    for (status, body) in [
        (403, format!("no: x-consul-token: {TOKEN}")),
        (500, format!("<html>{TOKEN}</html>")),
        (200, format!("\"{TOKEN}\"")),
        (200, format!("[{{\"Node\":\"{TOKEN}\"}}]")),
    ] {
        let guarded = guarded(move |_| Answer { status, ..Answer::new(1, body.as_str()) }).await;
        let watch = guarded.registry.resolver.watch("user");
        shown += &is_pending(&watch).await;
        match guarded.registry.registrar.register(described(1001)).await {
            Ok(registration) => shown += &format!("{:?}", registration.state()),
            Err(error @ RegisterError::Refused { .. }) => shown += &format!("{error} {error:?}"),
            Err(other) => panic!("{other}"),
        }
        shown += &format!("{watch:?} {:?}", guarded.registry);
    }
    assert!(shown.contains("403") && shown.contains("500"), "{shown}");
    for said in [shown, output.text()] {
        assert!(!said.contains(TOKEN), "{said}");
    }
}

#[tokio::test]
async fn the_token_is_never_logged() {
    let output = Output::of_this_thread();
    let guarded = guarded(|path| match path {
        path if path.starts_with("/v1/health/service/user") => Answer::new(10, ONE),
        path if path.starts_with("/v1/health/service/") => Answer::new(10, "<html>"),
        path if path.starts_with("/v1/agent/service/") => Answer::new(10, ""),
        _ => Answer { status: 500, ..Answer::new(1, "rpc error") },
    })
    .await;
    let (mut good, bad) =
        (guarded.registry.resolver.watch("user"), guarded.registry.resolver.watch("order"));
    sees(&mut good, &[1001]).await;
    is_pending(&bad).await;
    let registration = guarded.registry.registrar.register(described(1001)).await.unwrap();
    let doubted = async || match registration.state() {
        RegistrationState::Retrying { why } => Some(why),
        RegistrationState::Registered => None,
    };
    eventually("the registration is in doubt", doubted).await;
    drop(guarded.agent);
    is_stale(&good).await;
    registration.deregister().await;
    let text = output.text();
    for line in ["registered at consul", "not deregistered at consul", "watch failed"] {
        assert!(text.contains(line), "{line:?} is not in the log:\n{text}");
    }
    assert!(!text.contains(TOKEN), "{text}");
}
