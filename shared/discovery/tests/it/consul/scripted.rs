//! A fake agent with scripted answers.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use gantry_discovery::consul::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// An answer of the agent.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) index: String,
    pub(super) led: bool,
    pub(super) body: Arc<str>,
    /// Delay of the answer, like that of a blocking query.
    pub(super) after: Duration,
    /// Time since the last contact of the server with its leader, in milliseconds.
    pub(super) last_contact: u64,
    /// True if the body never ends.
    pub(super) endless: bool,
}

impl Answer {
    pub(super) fn new(index: u64, body: impl Into<Arc<str>>) -> Self {
        Self {
            status: 200,
            index: index.to_string(),
            led: true,
            body: body.into(),
            after: Duration::ZERO,
            last_contact: 0,
            endless: false,
        }
    }

    /// Answer of an agent without ACLs to unknown requests.
    fn unknown() -> Self {
        Self { status: 401, ..Self::new(1, "ACL support disabled") }
    }

    /// Delays the answer, so that the test sees the one before it.
    pub(super) fn late(self) -> Self {
        self.after(Duration::from_secs(1))
    }

    pub(super) fn never(self) -> Self {
        self.after(Duration::from_secs(3600))
    }

    pub(super) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// A request to the agent.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) head: String,
}

type Script = dyn Fn(&Received) -> Answer + Send + Sync;

/// The running agent. Dropping it closes its connections.
pub(super) struct Scripted {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Starts an agent that gives these answers to health queries in turn, and repeats the last
    /// one. Other requests get the answer of an agent without ACLs.
    pub(super) async fn start<const N: usize>(answers: [Answer; N]) -> Self {
        let number = Mutex::new(0);
        Self::answering(move |request| {
            if !request.path.starts_with("/v1/health/service/") {
                return Answer::unknown();
            }
            let mut number = number.lock().unwrap();
            *number += 1;
            answers[answers.len().min(*number) - 1].clone()
        })
        .await
    }

    /// Starts an agent with answers from `script`.
    pub(super) async fn answering(
        script: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (requests, script) =
            (Arc::clone(&received), Arc::<Script>::from(Box::new(script) as Box<Script>));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let (requests, script) = (Arc::clone(&requests), Arc::clone(&script));
                // The task ends when the client closes the connection.
                connections.spawn(async move { serve(connection, &requests, &*script).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { url, received, task }
    }

    pub(super) fn settings(&self) -> Settings {
        Settings::default().url(self.url.clone())
    }

    /// Returns all requests so far.
    pub(super) fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Returns the health queries so far, without their waiting times.
    pub(super) fn health_queries(&self) -> Vec<String> {
        let without_wait =
            |request: &Received| request.path.split("&wait=").next().unwrap().to_owned();
        let all = self.received.lock().unwrap();
        all.iter().filter(|one| one.path.starts_with("/v1/health/")).map(without_wait).collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut connection: TcpStream,
    requests: &Mutex<Vec<Received>>,
    script: &Script,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let request = Received { method, path, head };
    requests.lock().unwrap().push(request.clone());
    let answer = script(&request);
    sleep(answer.after).await;
    let Answer { status, index, led, body, last_contact, endless, .. } = answer;
    let framing = if endless {
        "transfer-encoding: chunked".to_owned()
    } else {
        format!("content-length: {}\r\nconnection: close", body.len())
    };
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nx-consul-index: {index}\r\nx-consul-knownleader: {led}\r\n\
         x-consul-lastcontact: {last_contact}\r\n{framing}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await?;
    if endless {
        let chunk = format!("{:x}\r\n{body}\r\n", body.len());
        loop {
            connection.write_all(chunk.as_bytes()).await?;
            sleep(Duration::from_millis(20)).await;
        }
    }
    connection.write_all(body.as_bytes()).await?;
    connection.shutdown().await?;
    // Wait until the client has closed too, because it may not have read everything yet.
    connection.read_to_end(&mut Vec::new()).await?;
    Ok(())
}
