//! The data folder of a new server, made once for all servers of a process: a copy takes a tenth of the
//! time of `initdb`.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use crate::binaries;

/// Makes `data` in a folder, and removes the folder once nobody holds standard input any more.
const SCRIPT: &str = r#"
set -eu
bin=$1 folder=$2
as=
if [ "$(id -u)" = 0 ]; then
    as='setpriv --reuid=postgres --regid=postgres --init-groups'
    chown -R postgres "$folder"
fi
cd "$folder"
if $as "$bin/initdb" -D data -U gantry --auth-local=trust --auth-host=scram-sha-256 -E UTF8 \
    --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US --no-sync >log 2>&1
then
    sed -i '1i local all locked scram-sha-256' data/pg_hba.conf
    echo made
fi
cat >/dev/null
rm -rf "$folder"
"#;

/// Folder with the data of a new server.
#[derive(Debug)]
pub(crate) struct Template {
    folder: PathBuf,
    /// Shell that removes the folder when its input ends, at the latest with this process.
    _keeper: Child,
}

impl Template {
    /// Returns the template of this process, which is made at the first call.
    pub(crate) fn of_this_process() -> &'static Self {
        static TEMPLATE: OnceLock<Template> = OnceLock::new();
        TEMPLATE.get_or_init(Self::make)
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let mut keeper = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .args([&binaries(), &folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the tests, as with a server.
            .process_group(0)
            .spawn()
            .unwrap();
        let made = BufReader::new(keeper.stdout.take().unwrap()).lines().next();
        if !made.is_some_and(|line| line.is_ok_and(|line| line == "made")) {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("PostgreSQL makes no data folder: {log}");
        }
        Self { folder, _keeper: keeper }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}
