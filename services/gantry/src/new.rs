//! `gantry new`: makes a service as a workspace of its own, which calls services of the suite.
//!
//! The files come from `templates/service`, a package of this workspace. `new` renames the service in
//! them and removes the parts for services that it does not call.

mod source;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use gantry_files::shell_word;
use gantry_identity::{KeyError, SigningKey};

use self::source::Source;
use crate::{
    cli::NewArgs,
    keys::{quoted, settings},
    suite::SERVICES,
    up::Keys,
};

/// Services that the template calls, each with the permission that it needs there.
pub const CALLEES: &[(&str, &str)] =
    &[("user", "users:list"), ("order", "orders:read"), ("inventory", "products:read")];

/// Files of the template.
const FILES: &[(&str, &str)] = &[
    (".gitignore", "/target\n"),
    ("Cargo.toml", include_str!("../templates/manifest.toml")),
    ("build.rs", include_str!("../templates/service/build.rs")),
    ("config/default.toml", include_str!("../templates/service/config/default.toml")),
    ("src/get_summary.rs", include_str!("../templates/service/src/get_summary.rs")),
    ("src/lib.rs", include_str!("../templates/service/src/lib.rs")),
    ("src/main.rs", include_str!("../templates/service/src/main.rs")),
    ("src/service.rs", include_str!("../templates/service/src/service.rs")),
    ("src/settings.rs", include_str!("../templates/service/src/settings.rs")),
    ("template/v1/template.proto", include_str!("../templates/service/template/v1/template.proto")),
    ("tests/first_call.rs", include_str!("../templates/service/tests/first_call.rs")),
];

/// Error of `gantry new`.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The service's key cannot be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file cannot be written, or the folder exists already.
    #[error("cannot make the service: {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// `--path` names no checkout of Gantry.
    #[error("{}: not a checkout of Gantry, which has a package gantry-process", .0.display())]
    NotCheckout(PathBuf),
    /// Neither flag names a source, and no checkout was found.
    #[error(
        "cannot find a checkout of Gantry around the working folder or this program: name one with \
         --path DIR, or a repository with --git URL"
    )]
    NoCheckout,
    /// The working folder is unknown, or standard output is closed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes the service, its key, and the settings by which the service and the suite trust each other.
///
/// # Errors
/// [`NewError`]
pub fn run(args: &NewArgs) -> Result<(), NewError> {
    let NewArgs { name, calls, .. } = args;
    let source = Source::find(&args.source)?;
    let folder = args.into.clone().unwrap_or_else(|| PathBuf::from(name));
    fs::create_dir(&folder).map_err(at(&folder))?;
    for (path, text) in FILES {
        let text = with_dependencies(&render(text, name, calls), &source);
        write(&folder.join(render(path, name, calls).trim_end()), &text)?;
    }
    if let Source::Checkout(checkout) = &source {
        // The checkout's tests ran with these versions.
        let (from, to) = (checkout.join("Cargo.lock"), folder.join("Cargo.lock"));
        fs::copy(&from, to).map_err(at(&from))?;
    }
    let keys = Keys::new(&std::path::absolute(&args.data_dir)?, SERVICES);
    SigningKey::load_or_create(&keys.private(name))?;
    let grants = |callee: &str| {
        CALLEES.iter().filter(|(name, _)| *name == callee).map(|(_, needed)| *needed).collect()
    };
    write(&folder.join("gantry.toml"), &settings(name, &keys, calls, grants))?;
    write(&folder.join("local.toml"), &local(name, &keys))?;
    let folder = shell_word(&folder);
    let data_dir = shell_word(&args.data_dir);
    let steps = format!(
        "made {folder}. Start the suite with the settings that trust it, then the service, and call it:\n\n  \
         gantry up --data-dir {data_dir} --config {folder}/gantry.toml\n  \
         (cd {folder} && cargo test && cargo run -- --config local.toml)\n  \
         grpcurl -plaintext 127.0.0.1:50060 {}\n",
        render("template.v1.TemplateService/GetSummary", name, calls),
    );
    Ok(io::stdout().lock().write_all(steps.as_bytes())?)
}

/// Returns settings of the service as a process of its own, with the keys of the suite.
fn local(name: &str, keys: &Keys) -> String {
    format!(
        "# {name}-service with the keys of `gantry up`. The first `gantry up` makes the key of users' tokens.\n\n\
         [{name}.identity]\n\
         key_file = {}\n\n\
         [[{name}.identity.trusted]]\n\
         issuer = \"gantry\"\n\
         issues = \"users\"\n\
         key_file = {}\n",
        quoted(&keys.private(name)),
        quoted(&keys.users_tokens_public()),
    )
}

/// Renames the service in a text of the template, and removes the parts of services that it does not
/// call: lines that end in `[CALLEE]`, and lines from a comment `[CALLEE]` to `[/CALLEE]`.
fn render(text: &str, name: &str, calls: &[String]) -> String {
    let mut rendered = String::new();
    let mut left_out = None;
    for line in text.lines() {
        let (code, mark) = marked(line);
        match mark {
            Some(mark) if mark.starts_with('/') => {
                left_out = left_out.filter(|callee| Some(*callee) != mark.strip_prefix('/'));
                continue;
            }
            Some(callee) if !calls.iter().any(|call| call == callee) => {
                left_out = left_out.or(code.is_empty().then_some(callee));
                continue;
            }
            Some(_) if code.is_empty() => continue,
            _ if left_out.is_some() => continue,
            _ => rendered.push_str(&named(code, name)),
        }
        rendered.push('\n');
    }
    rendered
}

/// Splits a line into its code and its mark.
fn marked(line: &str) -> (&str, Option<&str>) {
    let mark = line.trim_end().strip_suffix(']').and_then(|line| line.rsplit_once('['));
    let mark = mark.and_then(|(code, mark)| {
        let code = code.trim_end();
        let code = code.strip_suffix("//").or_else(|| code.strip_suffix('#'))?;
        let callee = mark.strip_prefix('/').unwrap_or(mark);
        CALLEES.iter().any(|(name, _)| *name == callee).then(|| (code.trim_end(), Some(mark)))
    });
    mark.unwrap_or((line, None))
}

fn named(text: &str, name: &str) -> String {
    let (first, rest) = name.split_at(1);
    text.replace("template", name)
        .replace("Template", &(first.to_uppercase() + rest))
        .replace("TEMPLATE", &name.to_uppercase())
}

/// Replaces each `SOURCE:FOLDER` of the manifest.
fn with_dependencies(text: &str, source: &Source) -> String {
    let mut parts = text.split("SOURCE:");
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (folder, rest) = part.split_once(' ').unwrap_or((part, ""));
        written.push_str(&format!("{} {rest}", source.dependency(folder)));
    }
    written
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    fs::write(path, text).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> NewError {
    let path = path.to_owned();
    move |source| NewError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::permissions;

    fn calls(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Every choice of callees but the empty one.
    fn choices() -> impl Iterator<Item = Vec<String>> {
        (1..1 << CALLEES.len()).map(|bits: u32| {
            let chosen = (0..).zip(CALLEES).filter(move |(at, _)| bits >> at & 1 == 1);
            calls(&chosen.map(|(_, (name, _))| *name).collect::<Vec<_>>())
        })
    }

    #[test]
    fn only_the_parts_of_called_services_are_left() {
        for (path, text) in FILES {
            let rendered = render(text, "loyalty", &calls(&["user"]));
            assert!(!rendered.to_lowercase().contains("template"), "{path}:\n{rendered}");
            assert!(!rendered.contains("[user]") && !rendered.contains("[/user]"), "{path}");
            for other in ["inventory", "order"] {
                assert!(!rendered.contains(other), "{path}:\n{rendered}");
            }
        }
    }

    #[test]
    fn every_choice_of_callees_makes_whole_files() {
        for calls in choices() {
            for (path, text) in FILES {
                let rendered = render(text, "loyalty", &calls);
                if path.ends_with(".rs") {
                    let file = syn::parse_file(&rendered);
                    assert!(file.is_ok(), "{path}: {:?}\n{rendered}", file.err());
                } else if path.ends_with(".toml") {
                    let source = Source::Checkout("/src".into());
                    let table = with_dependencies(&rendered, &source).parse::<toml::Table>();
                    assert!(table.is_ok(), "{path}: {:?}\n{rendered}", table.err());
                }
            }
            let file = |name: &str| {
                let file = FILES.iter().find(|(path, _)| *path == name).unwrap();
                render(file.1, "loyalty", &calls)
            };
            for (callee, _) in CALLEES {
                let called = calls.iter().any(|call| call == callee);
                let channel = format!("base.channel({callee:?})");
                assert_eq!(file("src/service.rs").contains(&channel), called, "{calls:?}");
                let call = format!("failed({callee:?}");
                assert_eq!(file("src/get_summary.rs").contains(&call), called, "{calls:?}");
                let address = format!("\n{callee} = [");
                assert_eq!(file("config/default.toml").contains(&address), called, "{calls:?}");
            }
        }
    }

    #[test]
    fn the_permission_for_each_callee_is_one_of_its_own() {
        for (callee, permission) in CALLEES {
            assert!(permissions(&gantry_proto::CONTRACT, callee).contains(permission), "{callee}");
        }
    }

    #[test]
    fn the_manifest_has_the_dependencies_of_the_template() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let source = Source::Checkout("/src".into());
        let manifest = with_dependencies(include_str!("../templates/manifest.toml"), &source);
        let made = table(&manifest);
        let workspace = table(include_str!("../../../Cargo.toml"));
        let workspace = workspace["workspace"]["dependencies"].as_table().unwrap();
        let template = table(include_str!("../templates/service/Cargo.toml"));
        for part in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let (made, template) =
                (made[part].as_table().unwrap(), template[part].as_table().unwrap());
            assert!(made.keys().eq(template.keys()), "{part}");
            for (name, dependency) in made.iter().filter(|(name, _)| !name.starts_with("gantry-")) {
                assert_eq!(*dependency, workspace[name], "{name}");
            }
        }
    }
}
