//! The service's process, killed while it sends.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
};

use gantry_common_testing::{Folder, Serving, eventually};
use gantry_discovery::Registry;
use gantry_notification::{
    Service,
    outbound::sql::{MIGRATIONS, SqlJobs},
};
use gantry_sql::{Database, Settings};

use crate::{
    sink::Sink,
    support::{ANN, FakeUsers, State, serve_users, smtp, state, welcome, write},
};

/// Process of the service. Killed with SIGKILL when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Folder of the process, with one mail to be sent, and a user service.
struct Stage {
    folder: Folder,
    _users: Serving,
}

impl Stage {
    async fn new(sink: &Sink) -> Self {
        let folder = Folder::new::<Service>(&[], &smtp(sink.port));
        let users = FakeUsers::default();
        users.put(ANN, "Ann", "ann@example.org");
        let serving = serve_users(&folder, &users, &Registry::memory()).await;
        let address = format!("discovery.static.user = [\"{}\"]", serving.address());
        folder.change_settings("discovery.kind = \"memory\"", &address);
        let stage = Self { folder, _users: serving };
        fs::create_dir_all(stage.folder.database().parent().unwrap()).unwrap();
        let database = stage.database().await;
        let jobs = SqlJobs::open(database.clone()).await.unwrap();
        write(&database, &jobs, welcome(1)).await;
        database.close().await;
        stage
    }

    async fn database(&self) -> Database {
        Database::open(&Settings::sqlite_file(self.folder.database()), &MIGRATIONS).await.unwrap()
    }

    fn start(&self) -> Process {
        let log = File::create(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_notification-service"));
        command.arg("--config").arg(self.folder.path().join("settings.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Process(command.spawn().unwrap())
    }

    /// Waits until the running process has logged this text, and kills the process.
    async fn kill_after(&self, process: Process, text: &str) {
        eventually(text, async || {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            log.contains(text).then_some(())
        })
        .await;
        drop(process);
    }

    async fn state(&self) -> State {
        let database = self.database().await;
        let state = state(&database, 1).await;
        database.close().await;
        state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_sending_makes_two_copies() {
    let sink = Sink::start(None);
    let stage = Stage::new(&sink).await;
    sink.behave("hang");
    let process = stage.start();
    sink.received(1).await;
    // The server has the mail, and the service no answer.
    drop(process);
    sink.behave("take");
    let process = stage.start();
    stage.kill_after(process, "mail sent").await;
    assert_eq!(stage.state().await.0, "sent");
    let mails = sink.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_crash_makes_no_third_copy() {
    let sink = Sink::start(None);
    let stage = Stage::new(&sink).await;
    sink.behave("hang");
    for copies in 1..=2 {
        let process = stage.start();
        sink.received(copies).await;
        drop(process);
    }
    sink.behave("take");
    let process = stage.start();
    stage.kill_after(process, "mail failed for good").await;
    assert_eq!(stage.state().await.0, "failed");
    assert_eq!(sink.mails().len(), 2);
}
