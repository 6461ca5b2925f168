//! `gantry new`: makes a service as a workspace of its own, which calls services of the suite.
//!
//! The files are those of `templates/service`, a package of this workspace, with other names and
//! without the parts for services that are not called.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use gantry_files::shell_word;
use gantry_identity::{KeyError, SigningKey};

use crate::{
    cli::{Dependencies, NewArgs},
    keys::{quoted, settings},
    suite::SERVICES,
    up::Keys,
};

/// Services that the template calls, each with the permission that it needs there.
pub const CALLEES: &[(&str, &str)] = &[("user", "users:list"), ("inventory", "products:read")];

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

/// Reason for making no service.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// Its key cannot be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file cannot be written: the folder is there already, for instance.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A path is not known, or standard output is gone.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes the service, its key, and the settings with which it and the suite trust each other.
///
/// # Errors
/// [`NewError`]
pub fn run(args: &NewArgs) -> Result<(), NewError> {
    let NewArgs { name, calls, .. } = args;
    let folder = args.into.clone().unwrap_or_else(|| PathBuf::from(name));
    fs::create_dir(&folder).map_err(at(&folder))?;
    let dependencies = args.dependencies.absolute()?;
    for (path, text) in FILES {
        let text = with_dependencies(&render(text, name, calls), &dependencies);
        write(&folder.join(render(path, name, calls).trim_end()), &text)?;
    }
    if let Some(checkout) = &dependencies.path {
        // Its dependencies are known to work together.
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

/// Settings of the service by itself, on the keys of the suite.
fn local(name: &str, keys: &Keys) -> String {
    format!(
        "# {name}-service on the keys of `gantry up`, which makes that of users' tokens when it first starts.\n\n\
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

/// Names the service in a text of the template, and takes out what it does not call: lines that end
/// in `[CALLEE]`, and those from a comment `[CALLEE]` to `[/CALLEE]`.
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

/// A line without its mark, and the mark.
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
fn with_dependencies(text: &str, dependencies: &Dependencies) -> String {
    let mut parts = text.split("SOURCE:");
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (folder, rest) = part.split_once(' ').unwrap_or((part, ""));
        match (&dependencies.path, &dependencies.git) {
            (Some(checkout), _) => {
                written.push_str(&format!("path = {}", quoted(&checkout.join(folder))));
            }
            (None, git) => {
                let git = git.as_deref().unwrap_or_default();
                written.push_str(&format!("git = {}", quoted(Path::new(git))));
            }
        }
        written.push(' ');
        written.push_str(rest);
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

    fn calls(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_the_parts_of_called_services_are_left() {
        for (path, text) in FILES {
            let rendered = render(text, "loyalty", &calls(&["user"]));
            assert!(!rendered.to_lowercase().contains("template"), "{path}:\n{rendered}");
            assert!(!rendered.contains("[user]") && !rendered.contains("[/user]"), "{path}");
            assert!(!rendered.contains("inventory"), "{path}:\n{rendered}");
        }
        let summary = FILES.iter().find(|(path, _)| *path == "src/get_summary.rs").unwrap().1;
        let both = render(summary, "loyalty", &calls(&["user", "inventory"]));
        assert!(both.contains("list_users") && both.contains("list_products"), "{both}");
    }

    #[test]
    fn dependencies_come_from_a_checkout_or_from_git() {
        let text = "a = { SOURCE:shared/client }\nb = 1\n";
        let path = Dependencies { path: Some("/src/gantry".into()), git: None };
        let expected = "a = { path = \"/src/gantry/shared/client\" }\nb = 1\n";
        assert_eq!(with_dependencies(text, &path), expected);
        let git = Dependencies { path: None, git: Some("https://example.org/gantry".to_owned()) };
        let expected = "a = { git = \"https://example.org/gantry\" }\nb = 1\n";
        assert_eq!(with_dependencies(text, &git), expected);
    }

    #[test]
    fn the_manifest_has_the_dependencies_of_the_template_in_the_workspaces_versions() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let path = Dependencies { path: Some("/src".into()), git: None };
        let manifest = with_dependencies(include_str!("../templates/manifest.toml"), &path);
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
