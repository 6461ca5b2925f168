//! Several processes of each service on one PostgreSQL and one Consul.

mod books;
mod outage;
mod refusals;
mod repeats;
mod sagas;

use std::path::PathBuf;

use gantry::up::ADMIN_EMAIL;
use gantry_client::ClientSettings;
use gantry_consul_agent::Agent;
use gantry_sql_testing::Server;
use sqlx::PgConnection;

use crate::{
    cluster::{Cluster, SERVICES, Through, at_consul, listing},
    pages::get,
    shop::{PASSWORD, Shop},
};

/// Processes that share a database for each service.
struct Replicas {
    cluster: Cluster,
    /// Clients of all replicas, logged in as the admin.
    shop: Shop,
    /// Databases by service.
    databases: Vec<(&'static str, String)>,
    _agent: Agent,
}

impl Replicas {
    /// Starts one process for each name, with settings of the services in the environment.
    async fn start(server: &Server, services: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut databases = Vec::new();
        for service in SERVICES {
            databases.push((*service, server.database().await.postgres.url));
        }
        let own = databases.iter().flat_map(|(service, url)| on(service, url));
        let own: Vec<_> = own.chain(bootstrap()).collect();
        let own = own.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let variables: Vec<_> = own.chain(settings.iter().copied()).collect();
        let agent = Agent::start().await;
        let cluster = Cluster::find_through(Through::Consul(&agent), services, &variables);
        let shop = Shop::of(&at_consul(&agent), &ClientSettings::default());
        let shop = shop.for_admin(PASSWORD).await;
        Self { cluster, shop, databases, _agent: agent }
    }

    /// Returns clients of one replica of each service, or of the first if a service has fewer.
    fn through(&mut self, replica: usize) -> Shop {
        let list = SERVICES.iter().map(|service| {
            let replica = replica.min(self.cluster.replicas(service) - 1);
            ((*service).to_owned(), vec![self.cluster.address(service, replica).to_string()])
        });
        let registry = listing(list.collect());
        let admin = self.shop.admin.clone();
        Shop { admin, ..Shop::of(&registry, &ClientSettings::default()) }
    }

    /// Returns the status line and the body of a replica's readiness.
    fn readiness(&mut self, service: &str, replica: usize) -> (String, String) {
        get(&self.cluster.admin_address(service, replica), "/readyz")
    }

    /// Connects to the database of a service.
    async fn connect(&self, server: &Server, service: &str) -> PgConnection {
        let (_, url) = self.databases.iter().find(|(of, _)| *of == service).unwrap();
        server.connect(url.rsplit_once('/').unwrap().1).await
    }

    fn key(&self, service: &str) -> PathBuf {
        self.cluster.keys().join(format!("{service}.pem"))
    }
}

/// Returns the settings with which a service uses a PostgreSQL database.
fn on(service: &str, url: &str) -> [(String, String); 2] {
    let key = |key: &str| format!("GANTRY_{}__DATABASE__{key}", service.to_uppercase());
    [(key("KIND"), "postgres".to_owned()), (key("POSTGRES__URL"), url.to_owned())]
}

/// Returns the settings that create the administrator.
fn bootstrap() -> [(String, String); 2] {
    [("EMAIL", ADMIN_EMAIL), ("PASSWORD", PASSWORD)]
        .map(|(key, value)| (format!("GANTRY_USER__BOOTSTRAP__ADMIN_{key}"), value.to_owned()))
}
