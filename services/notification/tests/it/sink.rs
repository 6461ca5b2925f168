//! The SMTP server of `tests/sink/sink.py`.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use gantry_common_testing::eventually;
use gantry_test_authority::Issued;
use serde_json::Value;
use tempfile::TempDir;

/// Running SMTP server. It ends when it is dropped.
pub(crate) struct Sink {
    process: Child,
    folder: TempDir,
    pub(crate) port: u16,
}

/// A mail that the server has received.
#[derive(Debug)]
pub(crate) struct Received(pub(crate) Value);

impl Received {
    /// Returns the content without the line breaks that fold headers.
    pub(crate) fn content(&self) -> String {
        self.0["content"].as_str().unwrap().replace("\r\n", "\n").replace("\n ", " ")
    }

    /// Returns the values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        let content = self.content();
        let headers = content.split("\n\n").next().unwrap().to_owned();
        let values = headers.lines().filter_map(|line| line.split_once(": "));
        values.filter(|(header, _)| *header == name).map(|(_, value)| value.to_owned()).collect()
    }
}

impl Sink {
    /// Starts a server, with TLS if there is a certificate.
    pub(crate) fn start(certificate: Option<&Issued>) -> Self {
        let python = std::env::var_os("FOREIGN_PYTHON").expect(
            "FOREIGN_PYTHON names a Python with services/gantry/tests/foreign/requirements.txt \
             installed; `./test setup` makes one at target/venv/bin/python",
        );
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mode"), "take").unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sink/sink.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder.path());
        if let Some(issued) = certificate {
            command.arg(&issued.cert_file).arg(&issued.key_file);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, folder, port: port.trim().parse().expect("a port") }
    }

    /// Sets the behaviour from the next command on.
    pub(crate) fn behave(&self, mode: &str) {
        let new = self.folder.path().join("new-mode");
        fs::write(&new, mode).unwrap();
        fs::rename(new, self.folder.path().join("mode")).unwrap();
    }

    /// Returns the received mails.
    pub(crate) fn mails(&self) -> Vec<Received> {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|file| file.extension().is_some_and(|kind| kind == "json")).collect();
        files.sort();
        let read = |file: &std::path::PathBuf| {
            Received(serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap())
        };
        files.iter().map(read).collect()
    }

    /// Waits until this number of mails has come.
    pub(crate) async fn received(&self, number: usize) -> Vec<Received> {
        eventually("mails", async || Some(self.mails()).filter(|all| all.len() >= number)).await
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}
