//! A complete service. The contract declares that `SayHello` is public, its timeout, and the rule
//! for a name; the server does the rest.
//!
//! `cargo run -p greeter -- 127.0.0.1:50090`

use std::{env, error::Error};

use gantry_server::{Server, shutdown_signal};
use greeter::greeter::v1::{
    SayHelloRequest, SayHelloResponse,
    greeter_service_server::{GreeterService, GreeterServiceServer},
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

struct Greeter;

#[tonic::async_trait]
impl GreeterService for Greeter {
    async fn say_hello(
        &self,
        request: Request<SayHelloRequest>,
    ) -> Result<Response<SayHelloResponse>, Status> {
        let message = format!("hello, {}", request.into_inner().name);
        Ok(Response::new(SayHelloResponse { message }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // First, so that no signal is lost as process 1.
    let shutdown = shutdown_signal();
    let _telemetry = gantry_telemetry::init(&Default::default(), "greeter")?;
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:50090".into());
    let server = Server::builder("greeter", &greeter::CONTRACT)
        .service(GreeterServiceServer::new(Greeter))
        .build()?;
    server.serve(TcpListener::bind(address).await?, shutdown).await?;
    Ok(())
}
