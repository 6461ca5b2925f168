//! `deploy/local/run` on SQLite and on PostgreSQL: it becomes ready, serves and leaves no process.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    architecture::root,
    cluster::{SERVICES, binary},
    pages::get,
    process::{Process, free_offset, gantry},
};

/// A running script in a working folder of its own.
struct Local {
    process: Process,
    folder: TempDir,
    offset: u16,
}

impl Local {
    fn start(forms: &[&str]) -> Self {
        for service in SERVICES {
            binary(&format!("{service}-service"));
        }
        let folder = tempfile::tempdir().unwrap();
        // Root starts PostgreSQL as another user, and that user needs access to its folder.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let offset = offset();
        let profile = Path::new(env!("CARGO_BIN_EXE_gantry")).parent().unwrap();
        let mut command = Command::new(root().join("deploy/local/run"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GANTRY_")) {
            command.env_remove(name);
        }
        command.args(forms).current_dir(folder.path());
        command.env("CARGO_TARGET_DIR", profile.parent().unwrap());
        command.env("PROFILE", profile.file_name().unwrap());
        command.env("PORT_OFFSET", offset.to_string());
        command.env("PG_FOLDER", folder.path().join("postgres"));
        command.process_group(0);
        let process = Process::start(&mut command, &folder.path().join("log"));
        Self { process, folder, offset }
    }

    /// Walks through the shop as its README does.
    fn demo(&self) {
        let mut demo = gantry();
        demo.args(["demo", "--port-offset", &self.offset.to_string()]);
        let output = demo.current_dir(self.folder.path()).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && text.contains("done:"), "{text}\n{}", self.logs());
    }

    /// Stops the script with SIGTERM. Panics unless it succeeds and all of its processes have ended.
    fn stop(mut self) {
        assert!(!self.processes().is_empty());
        self.process.send_term();
        assert!(self.process.wait().success(), "{}", self.logs());
        let left = self.processes();
        assert!(left.is_empty(), "{left:?}");
    }

    /// Returns the command lines of the processes whose working folder is that of the script, or below.
    fn processes(&self) -> Vec<String> {
        let folder = self.folder.path().canonicalize().unwrap();
        let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
        let own = all.filter(|process| {
            fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder))
        });
        own.filter_map(|process| fs::read_to_string(process.join("cmdline")).ok()).collect()
    }

    /// Returns the output of the script and of its processes.
    fn logs(&self) -> String {
        let folder = fs::read_dir(self.folder.path().join(".gantry")).into_iter().flatten();
        let files = folder.filter_map(Result::ok).map(|entry| entry.path());
        let logs = files.filter(|path| path.extension().is_some_and(|it| it == "log"));
        let logs = logs.map(|path| format!("{}:\n{}", path.display(), read(&path)));
        [self.process.log()].into_iter().chain(logs).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Local {
    /// Kills what a failed test leaves.
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Returns an offset at which the ports of the suite, of PostgreSQL and of Consul are free.
fn offset() -> u16 {
    const SERVERS: [u16; 5] = [5432, 8300, 8301, 8302, 8500];
    let is_free = |offset: &u16| {
        SERVERS.iter().all(|port| TcpListener::bind(("127.0.0.1", port + offset)).is_ok())
    };
    std::iter::repeat_with(free_offset).find(is_free).unwrap()
}

#[test]
fn the_local_suite_on_sqlite_serves_and_stops() {
    let mut local = Local::start(&[]);
    local.process.until_logged("ready");
    assert!(local.process.log().contains("service     address"), "{}", local.process.log());
    local.demo();
    local.stop();
}

#[test]
fn the_local_suite_on_postgresql_serves_and_stops() {
    let mut local = Local::start(&["postgres"]);
    let ready = local.folder.path().join(".gantry/ready.json");
    local.process.until("keys, schema and administrator", || ready.exists());
    local.process.until_logged("ready: two replicas of each service");
    for port in [9101, 9102, 9103, 9201, 9202, 9203] {
        let (head, body) = get(&format!("127.0.0.1:{}", port + local.offset), "/readyz");
        assert!(head.contains("200"), "{head} {body}");
    }
    local.demo();
    local.stop();
}

#[test]
fn an_unknown_form_is_refused() {
    let mut local = Local::start(&["mysql"]);
    assert_eq!(local.process.wait().code(), Some(1));
    let log = local.process.log();
    assert!(log.contains("mysql is not known: use sqlite or postgres"), "{log}");
    assert!(local.processes().is_empty());
}
