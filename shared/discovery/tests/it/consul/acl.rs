//! An agent that denies everything to who brings no token.

use std::{fs, path::PathBuf, time::Duration};

use gantry_discovery::{Registry, consul::Settings};
use serde_json::{Value, json};

use super::{
    NeverEmpty,
    agent::{Agent, DENY},
    is_live, is_pending, is_stale, registry,
    serving::Serving,
};
use crate::contract::{ports, sees};

const RULES: &str = r#"service "user" { policy = "write" } node_prefix "" { policy = "read" }"#;

struct Guarded {
    agent: Agent,
    folder: tempfile::TempDir,
    /// The secret of a token that may register and find the user service.
    token: String,
    policy: String,
}

impl Guarded {
    async fn start() -> Self {
        let agent = Agent::start_with(DENY).await;
        let policy = json!({"Name": "user", "Rules": RULES});
        let policy = agent.ask("PUT", "/v1/acl/policy", Some(policy)).await;
        let policy = policy["ID"].as_str().unwrap().to_owned();
        let token = json!({"Policies": [{"ID": policy}]});
        let token = agent.ask("PUT", "/v1/acl/token", Some(token)).await;
        let token = token["SecretID"].as_str().unwrap().to_owned();
        Self { agent, folder: tempfile::tempdir().unwrap(), token, policy }
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// As a process would make it whose token file says this.
    fn registry(&self, token: &str) -> Registry {
        fs::write(self.token_file(), token).unwrap();
        let (token_file, wait) = (Some(self.token_file()), Duration::from_secs(1));
        registry(Settings { token_file, wait, ..self.agent.settings() })
    }
}

#[tokio::test]
async fn with_its_token_a_service_registers_and_is_found() {
    let guarded = Guarded::start().await;
    let registry = guarded.registry(&guarded.token);
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    registration.deregister().await;
    sees(&mut watch, &[]).await;

    // It is for one service only.
    let error = registry.registrar.register(server.instance("order")).await.unwrap_err();
    let expected = "the registry refuses service order: consul says 403: \
                    Permission denied: Missing service:write on order";
    assert_eq!(error.to_string(), expected);
    let why = is_pending(&registry.resolver.watch("order")).await;
    assert_eq!(why, "consul's ACLs deny service:read on order");
}

#[tokio::test]
async fn without_a_token_an_empty_answer_is_not_taken_for_an_empty_service() {
    let guarded = Guarded::start().await;
    let registry = registry(guarded.agent.settings());
    let server = Serving::start().await;
    let why = is_pending(&registry.resolver.watch("user")).await;
    assert_eq!(why, "consul's ACLs deny service:read on user");
    let error = registry.registrar.register(server.instance("user")).await.unwrap_err();
    assert!(error.to_string().contains("consul says 403"), "{error}");
}

#[tokio::test]
async fn a_token_is_replaced_in_its_file_and_shown_nowhere() {
    let guarded = Guarded::start().await;
    let unknown = "deadbeef-0000-0000-0000-000000000000";
    let registry = guarded.registry(unknown);
    let server = Serving::start().await;
    let error = registry.registrar.register(server.instance("user")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the registry refuses service user: consul says 403: ACL not found"
    );
    let mut watch = registry.resolver.watch("user");
    let why = is_pending(&watch).await;
    assert_eq!(why, "consul says 403: ACL not found");

    fs::write(guarded.token_file(), &guarded.token).unwrap();
    is_live(&watch).await;
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    let shown = format!("{registry:?} {registration:?} {watch:?} {error:?} {why}");
    assert!(!shown.contains(&guarded.token) && !shown.contains(unknown), "{shown}");
}

#[tokio::test]
async fn a_token_that_loses_its_permission_or_its_file_costs_no_endpoint() {
    let guarded = Guarded::start().await;
    let registry = guarded.registry(&guarded.token);
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let _registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);

    let policy = format!("/v1/acl/policy/{}", guarded.policy);
    let rules = |rules: &str| -> Option<Value> {
        Some(json!({"ID": guarded.policy, "Name": "user", "Rules": rules}))
    };
    guarded.agent.ask("PUT", &policy, rules(r#"node_prefix "" { policy = "read" }"#)).await;
    assert_eq!(is_stale(&watch).await, "consul's ACLs deny service:read on user");
    guarded.agent.ask("PUT", &policy, rules(RULES)).await;
    is_live(&watch).await;

    fs::remove_file(guarded.token_file()).unwrap();
    let why = is_stale(&watch).await;
    assert!(why.starts_with("the token cannot be read: "), "{why}");
    assert_eq!(ports(&watch.current()), [server.port()]);
    fs::write(guarded.token_file(), &guarded.token).unwrap();
    is_live(&watch).await;
    never_empty.end().await;
}
