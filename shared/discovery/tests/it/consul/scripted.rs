//! An agent that answers questions for a service's health as it is told.

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

/// What it answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) index: u64,
    pub(super) led: bool,
    pub(super) body: &'static str,
    /// How long it takes, as if it waited for a change.
    pub(super) after: Duration,
}

impl Answer {
    pub(super) fn new(index: u64, body: &'static str) -> Self {
        Self { status: 200, index, led: true, body, after: Duration::ZERO }
    }

    /// Late enough for what was before it to be seen.
    pub(super) fn late(self) -> Self {
        Self { after: Duration::from_secs(1), ..self }
    }

    pub(super) fn never(self) -> Self {
        Self { after: Duration::from_secs(3600), ..self }
    }
}

/// Ends with its connections when dropped.
pub(super) struct Scripted {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Answers the questions in turn, and the last answer to all further ones.
    pub(super) async fn start<const N: usize>(answers: [Answer; N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let questions = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let questions = Arc::clone(&questions);
                // A caller that goes away ends its connection.
                connections.spawn(async move { serve(connection, &questions, &answers).await });
            }
        });
        Self { url, asked, task }
    }

    pub(super) fn settings(&self) -> Settings {
        Settings { url: self.url.clone(), ..Settings::default() }
    }

    /// What it was asked so far, without the waiting times.
    pub(super) fn asked(&self) -> Vec<String> {
        let without_wait = |path: &String| path.split("&wait=").next().unwrap().to_owned();
        self.asked.lock().unwrap().iter().map(without_wait).collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut connection: TcpStream,
    questions: &Mutex<Vec<String>>,
    answers: &[Answer],
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let answer = if path.starts_with("/v1/health/service/") {
        let number = {
            let mut questions = questions.lock().unwrap();
            questions.push(path);
            questions.len() - 1
        };
        answers[number.min(answers.len() - 1)]
    } else {
        // As an agent without ACLs says to everything else asked here.
        Answer { status: 401, ..Answer::new(1, "ACL support disabled") }
    };
    sleep(answer.after).await;
    let Answer { status, index, led, body, .. } = answer;
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} Whatever\r\nx-consul-index: {index}\r\nx-consul-knownleader: {led}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    connection.write_all(text.as_bytes()).await?;
    connection.shutdown().await?;
    // Until the caller has closed as well: what it sent may not have been read yet.
    connection.read_to_end(&mut Vec::new()).await?;
    Ok(())
}
