//! Tests of an agent whose ACLs deny everything without a token.

use std::{fs, path::PathBuf, time::Duration};

use gantry_consul_agent::{Agent, DENY};
use gantry_discovery::Registry;
use serde_json::json;

use super::{
    NeverEmpty, agent::Reached, is_live, is_pending, is_stale, registry, serving::Serving,
};
use crate::contract::{ports, sees};

const RULES: &str = r#"service "user" { policy = "write" } node_prefix "" { policy = "read" }"#;
const NODES: &str = r#"node_prefix "" { policy = "read" }"#;
const SERVICE: &str = r#"service "user" { policy = "write" }"#;

struct Guarded {
    agent: Agent,
    folder: tempfile::TempDir,
    /// Token that may register and find the user service.
    token: String,
    policy: String,
}

impl Guarded {
    async fn start() -> Self {
        Self::allowing(RULES).await
    }

    async fn allowing(rules: &str) -> Self {
        let agent = Agent::start_with(DENY).await;
        let policy = json!({"Name": "user", "Rules": rules});
        let policy = agent.send("PUT", "/v1/acl/policy", Some(policy)).await;
        let policy = policy["ID"].as_str().unwrap().to_owned();
        let token = json!({"Policies": [{"ID": policy}]});
        let token = agent.send("PUT", "/v1/acl/token", Some(token)).await;
        let token = token["SecretID"].as_str().unwrap().to_owned();
        Self { agent, folder: tempfile::tempdir().unwrap(), token, policy }
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Returns the error for a missing permission of the token.
    fn denied(&self, what: &str) -> String {
        let file = self.token_file();
        format!("consul's ACLs deny {what} to the token in {}", file.display())
    }

    async fn rule(&self, rules: &str) {
        let policy = json!({"ID": self.policy, "Name": "user", "Rules": rules});
        self.agent.send("PUT", &format!("/v1/acl/policy/{}", self.policy), Some(policy)).await;
    }

    /// Creates the registry of a process with this content of its token file.
    fn registry(&self, token: &str) -> Registry {
        fs::write(self.token_file(), token).unwrap();
        let settings = self.agent.settings().token_file(self.token_file());
        registry(settings.wait(Duration::from_secs(1)))
    }
}

#[tokio::test]
async fn a_token_allows_registration_and_lookup() {
    let guarded = Guarded::start().await;
    let registry = guarded.registry(&guarded.token);
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    registration.deregister().await;
    sees(&mut watch, &[]).await;

    // The token is valid for one service only.
    let error = registry.registrar.register(server.instance("order")).await.unwrap_err();
    let expected = "the registry refuses service order: consul answered 403: \
                    Permission denied: Missing service:write on order";
    assert_eq!(error.to_string(), expected);
    let why = is_pending(&registry.resolver.watch("order")).await;
    assert_eq!(why, guarded.denied("service:read on order"));
}

#[tokio::test]
async fn without_a_token_the_missing_permission_is_reported() {
    let guarded = Guarded::start().await;
    let registry = registry(guarded.agent.settings());
    let server = Serving::start().await;
    let why = is_pending(&registry.resolver.watch("user")).await;
    let expected = "consul's ACLs deny service:read on user without a token: set token_file";
    assert_eq!(why, expected);
    let error = registry.registrar.register(server.instance("user")).await.unwrap_err();
    assert!(error.to_string().contains("consul answered 403"), "{error}");
}

#[tokio::test]
async fn a_token_can_be_replaced_and_is_never_shown() {
    let guarded = Guarded::start().await;
    let unknown = "deadbeef-0000-0000-0000-000000000000";
    let registry = guarded.registry(unknown);
    let server = Serving::start().await;
    let error = registry.registrar.register(server.instance("user")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the registry refuses service user: consul answered 403: ACL not found"
    );
    let mut watch = registry.resolver.watch("user");
    let why = is_pending(&watch).await;
    assert_eq!(why, "consul answered 403: ACL not found");

    fs::write(guarded.token_file(), &guarded.token).unwrap();
    is_live(&watch).await;
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    let shown = format!("{registry:?} {registration:?} {watch:?} {error:?} {why}");
    assert!(!shown.contains(&guarded.token) && !shown.contains(unknown), "{shown}");
}

#[tokio::test]
async fn a_lost_permission_or_token_file_removes_no_endpoint() {
    let guarded = Guarded::start().await;
    let registry = guarded.registry(&guarded.token);
    let server = Serving::start().await;
    let mut watch = registry.resolver.watch("user");
    let _registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);

    guarded.rule(NODES).await;
    assert_eq!(is_stale(&watch).await, guarded.denied("service:read on user"));
    guarded.rule(RULES).await;
    is_live(&watch).await;

    fs::remove_file(guarded.token_file()).unwrap();
    let why = is_stale(&watch).await;
    assert!(why.starts_with("the token cannot be read: "), "{why}");
    assert_eq!(ports(&watch.current()), [server.port()]);
    fs::write(guarded.token_file(), &guarded.token).unwrap();
    is_live(&watch).await;
    never_empty.end().await;
}

/// Consul answers this token with `200 []`, too.
#[tokio::test]
async fn a_token_without_node_read_is_reported() {
    let guarded = Guarded::allowing(SERVICE).await;
    let registry = guarded.registry(&guarded.token);
    let mut watch = registry.resolver.watch("user");
    assert_eq!(is_pending(&watch).await, guarded.denied("node:read on every node"));
    let server = Serving::start().await;
    let _registration = registry.registrar.register(server.instance("user")).await.unwrap();
    guarded.rule(RULES).await;
    sees(&mut watch, &[server.port()]).await;
}

#[tokio::test]
async fn a_token_for_some_nodes_can_see_an_empty_service() {
    let nodes = r#"node "node-127.0.0.1" { policy = "read" }"#;
    let guarded = Guarded::allowing(&format!("{SERVICE} {nodes}")).await;
    let registry = guarded.registry(&guarded.token);
    let mut watch = registry.resolver.watch("user");
    is_live(&watch).await;
    let server = Serving::start().await;
    let registration = registry.registrar.register(server.instance("user")).await.unwrap();
    sees(&mut watch, &[server.port()]).await;
    registration.deregister().await;
    sees(&mut watch, &[]).await;
}

#[tokio::test]
async fn a_lost_permission_on_an_empty_service_is_noticed() {
    let guarded = Guarded::start().await;
    let registry = guarded.registry(&guarded.token);
    let watch = registry.resolver.watch("user");
    is_live(&watch).await;
    guarded.rule(NODES).await;
    assert_eq!(is_stale(&watch).await, guarded.denied("service:read on user"));
}
