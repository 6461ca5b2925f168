//! Calls to the service while the services that it calls are absent.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::pending;

use gantry_client::Channel;
use gantry_discovery::Registry;
use gantry_identity::SigningKey;
use gantry_process::{OpenService, ProcessSettings, Service as _};
use template_service::{
    CONTRACT, Service,
    template::v1::{GetSummaryRequest, template_service_client::TemplateServiceClient},
};
use tokio::net::TcpListener;
use tonic::Code;

/// Returns the default settings with a key in `folder` and this title.
fn settings(folder: &std::path::Path, title: &str) -> Result<ProcessSettings<Service>, String> {
    let key = folder.join("template.pem");
    SigningKey::load_or_create(&key).unwrap();
    let key = key.display().to_string();
    let trusted = format!(
        "[{{issuer = 'gantry', issues = 'users', key_file = '{folder}/template.pub.pem'}}]",
        folder = folder.display()
    );
    let variables = [
        ("GANTRY_TEMPLATE__IDENTITY__KEY_FILE", key.as_str()),
        ("GANTRY_TEMPLATE__IDENTITY__TRUSTED", trusted.as_str()),
    ];
    let sources = ProcessSettings::<Service>::sources().variables(variables);
    let sources = sources.set("template.title", title, "the test");
    gantry_config::load(sources).map_err(|error| error.to_string())
}

#[test]
fn an_empty_title_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    assert!(settings(folder.path(), "").unwrap_err().contains("template.title: expected a text"));
}

#[tokio::test]
async fn it_is_unavailable_without_the_services_that_it_calls() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "Today").unwrap();
    let registry = Registry::memory();
    let service = OpenService::open(settings.service, registry.clone(), None).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tokio::spawn(service.server().unwrap().serve(listener, pending()));
    let channel = Channel::builder(Service::NAME).contract(&CONTRACT).registry(registry);
    let mut client = TemplateServiceClient::new(channel.build().unwrap());
    let status = client.get_summary(GetSummaryRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("failed"), "{status}");
}
