//! The first administrator.

use gantry_common_testing::Serving;
use gantry_discovery::Registry;
use gantry_process::OpenService;
use gantry_user::{Service, application::EnsureAdminError};
use tonic::Code;

use super::{PASSWORD, Running, folder, refused};

#[tokio::test]
async fn the_first_administrator_is_created_once() {
    let running = Running::start().await;
    assert_eq!(running.admin().await.list(<_>::default()).await.unwrap().users[0].roles, ["admin"]);
    running.it.folder.change_settings("first administrator", PASSWORD);

    let running = running.restart().await;
    assert_eq!(running.admin().await.list(<_>::default()).await.unwrap().users.len(), 1);
    let other = running.login("admin@gantry.local", PASSWORD);
    refused(other, Code::Unauthenticated, "BAD_CREDENTIALS").await;
}

#[tokio::test]
async fn an_administrator_can_be_created_later() {
    let folder = folder();
    let service: OpenService<Service> = folder.open(&Registry::memory()).await;
    assert!(!service.service().ensure_admin.exists("admin@gantry.local").await.unwrap());
    service.service().ensure_admin.run("admin@gantry.local", "first administrator").await.unwrap();
    service.service().ensure_admin.run("ADMIN@gantry.local", "another password").await.unwrap();
    assert!(service.service().ensure_admin.exists("Admin@Gantry.local").await.unwrap());
    service.close().await;

    let running = Running::start_in(folder).await;
    running.admin().await;
}

#[tokio::test]
async fn an_invalid_administrator_is_refused_and_not_shown() {
    let folder = folder();
    let service: OpenService<Service> = folder.open(&Registry::memory()).await;
    for (email, password) in [("needle", PASSWORD), ("needle@gantry.local", "needle")] {
        let error = service.service().ensure_admin.run(email, password).await.unwrap_err();
        assert!(matches!(error, EnsureAdminError::Invalid(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("needle"));
    }
    assert!(service.service().ensure_admin.exists("needle").await.is_err());
    service.close().await;
}

/// The setup of `gantry up --replicas user=2`.
#[tokio::test]
async fn servers_of_one_service_share_its_users() {
    let folder = folder();
    let service: OpenService<Service> = folder.open(&Registry::memory()).await;
    service.service().ensure_admin.run("admin@gantry.local", "first administrator").await.unwrap();
    let servers = [
        Serving::start(service.server().unwrap()).await,
        Serving::start(service.server().unwrap()).await,
    ];
    let [first, second] = &servers.each_ref().map(Serving::channel);
    let pair = super::login(first, "admin@gantry.local", "first administrator").await.unwrap();
    let as_admin = |server| super::Client::new(server, Some(pair.access_token.clone()));
    let request = super::new("ann@example.org");
    let made = as_admin(first).create(request.clone()).await.unwrap();
    assert_eq!(as_admin(second).get(&made.id).await.unwrap(), made);
    assert_eq!(as_admin(second).create(request).await.unwrap(), made, "the request is recognised");
    for server in servers {
        server.stop().await;
    }
    service.close().await;
}
