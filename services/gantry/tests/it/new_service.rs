//! `gantry new` makes a workspace that builds, passes its test and answers its first call.

mod features;

use std::{
    env,
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::{body::Body, transport::Channel};
use tower::ServiceExt;

use self::features::like_the_workspace;
use crate::{
    architecture::root,
    cluster::binary,
    process::{Process, free_address, free_offset, gantry},
};

/// GetSummaryResponse of the template.
#[derive(Message)]
struct Summary {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(message, repeated, tag = "2")]
    counts: Vec<Count>,
}

/// Count of the template.
#[derive(Message)]
struct Count {
    #[prost(string, tag = "1")]
    what: String,
    #[prost(int32, tag = "2")]
    total: i32,
}

/// Calls a method without a request body and returns its response.
async fn call(address: &str, path: &str) -> Summary {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::from(vec![0; 5])));
    let channel = channel.connect().await.unwrap();
    let response = channel.oneshot(request.unwrap()).await.unwrap();
    assert!(!response.headers().contains_key("grpc-status"), "{response:?}");
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    Summary::decode(body.to_bytes().slice(5..)).unwrap()
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn text(Output { stdout, stderr, .. }: &Output) -> String {
    String::from_utf8_lossy(&[&stdout[..], stderr].concat()).into_owned()
}

fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

/// Writes a package without code and without dependencies.
fn write_package(folder: &Path, manifest: &str) {
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), "").unwrap();
}

/// Makes a Git repository of this checkout's crates and returns its URL. The same files give the same
/// commit, which Cargo compiles once.
fn repository(folder: &Path) -> String {
    let added = folder.join("added");
    let git = |tree: &Path, args: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(tree)
            .arg("--git-dir")
            .arg(folder.join(".git"))
            .arg("--work-tree")
            .arg(tree);
        for (variable, value) in [("NAME", "test"), ("EMAIL", "test"), ("DATE", "@0 +0000")] {
            git.env(format!("GIT_AUTHOR_{variable}"), value);
            git.env(format!("GIT_COMMITTER_{variable}"), value);
        }
        succeeds(git.args(args));
    };
    write_package(&added.join("empty"), "[package]\nname = \"empty\"\n");
    git(folder, &["init", "--quiet", "--initial-branch", "trunk"]);
    git(&root(), &["add", "--", "Cargo.toml", "proto", "shared"]);
    git(&added, &["add", "--", "empty"]);
    git(&added, &["commit", "--quiet", "--no-gpg-sign", "--message", "test"]);
    format!("file://{}", folder.display())
}

/// Lets Cargo fetch a repository, which it does not do offline. The crates' own dependencies are not
/// resolved here, since that may need the network.
fn fetch(folder: &Path, repository: &str) {
    let dependency = format!("empty = {{ git = \"{repository}\", branch = \"trunk\" }}");
    let package = "[package]\nname = \"fetch\"\n[workspace]\n[dependencies]";
    write_package(folder, &format!("{package}\n{dependency}\n"));
    succeeds(cargo(folder).arg("fetch").env("CARGO_NET_OFFLINE", "false"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_service_builds_passes_its_test_and_answers() {
    // Artifacts are reused only at the same path.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-service");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let (data, made) = (folder.join("data"), folder.join("loyalty"));
    let source = folder.join("gantry");
    fs::create_dir_all(&source).unwrap();
    let url = repository(&source);
    fetch(&folder.join("fetch"), &url);
    let mut new = gantry();
    new.args(["new", "loyalty", "--calls", "user,order,inventory"]);
    new.args(["--git", &url, "--branch", "trunk"]);
    succeeds(new.arg("--into").arg(&made).arg("--data-dir").arg(&data));

    like_the_workspace(&made);
    let target = gantry().get_program().to_owned();
    let target = Path::new(&target).ancestors().nth(2).unwrap().to_owned();
    let mut test = cargo(&made);
    test.args(["test", "--offline", "--package", "loyalty-service", "--package", "features"]);
    let output = succeeds(test.env("CARGO_TARGET_DIR", target));
    assert!(output.contains("2 passed"), "{output}");

    let offset = free_offset();
    let offset_text = offset.to_string();
    let mut up = gantry();
    up.args(["up", "--port-offset", &offset_text, "--config"]).arg(made.join("gantry.toml"));
    up.arg("--data-dir").arg(&data);
    let mut suite = Process::start(&mut up, &folder.join("suite.log"));
    suite.until_logged("ready");
    let mut demo = gantry();
    succeeds(demo.args(["demo", "--port-offset", &offset_text, "--data-dir"]).arg(&data));

    let address = free_address();
    let mut service = binary("loyalty-service");
    service.arg("--config").arg(made.join("local.toml"));
    service.env("GANTRY_LISTEN", address.to_string()).env("GANTRY_ADMIN__LISTEN", "127.0.0.1:0");
    for row in gantry::suite::SERVICES {
        let address = row.address(0, offset).unwrap().to_string();
        let variable = format!("GANTRY_DISCOVERY__STATIC__{}", row.name.to_uppercase());
        service.env(variable, format!("{:?}", [address]));
    }
    let mut service = Process::start(&mut service, &folder.join("service.log"));
    service.until("a listener", || TcpStream::connect(address).is_ok());
    let summary = call(&address.to_string(), "/loyalty.v1.LoyaltyService/GetSummary").await;
    assert_eq!(summary.title, "The shop today", "{}", service.log());
    // The admin and the demo's user; the demo's two orders of two products.
    let counts: Vec<_> = summary.counts.iter().map(|one| (&*one.what, one.total)).collect();
    assert_eq!(counts, [("users", 2), ("orders", 2), ("products", 2)]);
    service.send_term();
    assert!(service.wait().success());
}

/// Folders of the packages of a new workspace and its dependencies, by name.
fn resolved(made: &Path) -> Vec<(String, PathBuf)> {
    let json = succeeds(cargo(made).args(["metadata", "--offline", "--format-version", "1"]));
    let metadata = cargo_metadata::MetadataCommand::parse(&json).unwrap();
    let packages = metadata.packages.into_iter();
    let folder = |manifest: cargo_metadata::camino::Utf8PathBuf| manifest.parent().unwrap().into();
    packages.map(|package| (package.name.to_string(), folder(package.manifest_path))).collect()
}

#[test]
fn without_flags_the_checkout_around_is_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("loyalty");
    let mut new = gantry();
    new.current_dir(root().join("services")).args(["new", "loyalty", "--calls", "order"]);
    succeeds(new.arg("--into").arg(&made).arg("--data-dir").arg(folder.path()));
    let resolved = resolved(&made);
    for (name, place) in [("gantry-process", "shared/process"), ("gantry-proto", "proto")] {
        let expected = (name.to_owned(), root().canonicalize().unwrap().join(place));
        assert!(resolved.contains(&expected), "{expected:?}: {resolved:#?}");
    }
}

#[test]
fn without_a_checkout_the_error_names_both_flags() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (elsewhere, program) = (folder.join("elsewhere"), folder.join("target/debug/gantry"));
    for folder in [&elsewhere, program.parent().unwrap()] {
        fs::create_dir_all(folder).unwrap();
    }
    // Not by this process: a program that is open for writing cannot be started.
    succeeds(Command::new("cp").arg(gantry().get_program()).arg(&program));
    let mut new = Command::new(&program);
    new.current_dir(&elsewhere).args(["new", "loyalty", "--calls", "user"]);
    let output = new.output().unwrap();
    assert!(!output.status.success());
    let error = text(&output);
    assert!(error.contains("--path DIR") && error.contains("--git URL"), "{error}");
    assert!(!elsewhere.join("loyalty").exists());

    write_package(&folder.join("shared/process"), "[package]\nname = \"gantry-process\"\n");
    fs::write(folder.join("Cargo.lock"), "").unwrap();
    succeeds(&mut new);
    let manifest = fs::read_to_string(elsewhere.join("loyalty/Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("{folder:?}").replace('\"', "")), "{manifest}");
}
