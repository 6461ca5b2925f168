//! Source of Gantry's crates for a new service: a checkout or a Git repository.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::NewError;
use crate::{cli::SourceArgs, keys::quoted};

/// File that every checkout has, relative to its root, and a line of it.
const MARK: (&str, &str) = ("shared/process/Cargo.toml", "name = \"gantry-process\"");

/// Source of Gantry's crates.
#[derive(Debug)]
pub(super) enum Source {
    /// Root of a checkout, as an absolute path.
    Checkout(PathBuf),
    /// Git repository.
    Git {
        /// URL of the repository.
        url: String,
        /// Key and value of the revision in a manifest; `None` is the default branch.
        revision: Option<(&'static str, String)>,
    },
}

impl Source {
    /// Returns the source that the flags name. Without flags, returns the checkout around the working
    /// folder, or else around this program, which is usually in the target folder of a checkout.
    ///
    /// # Errors
    /// - [`NewError::NotCheckout`] if `--path` names no checkout.
    /// - [`NewError::NoCheckout`] without flags and without a checkout.
    pub(super) fn find(args: &SourceArgs) -> Result<Self, NewError> {
        if let Some(url) = &args.git {
            let named = [("rev", &args.rev), ("tag", &args.tag), ("branch", &args.branch)];
            let revision = named.into_iter().find_map(|(key, value)| Some((key, value.clone()?)));
            return Ok(Self::Git { url: url.clone(), revision });
        }
        let Some(path) = &args.path else {
            let starts = [env::current_dir(), env::current_exe()];
            let mut roots = starts.iter().flatten().filter_map(|start| checkout_around(start));
            return roots.next().map(Self::Checkout).ok_or(NewError::NoCheckout);
        };
        match path.canonicalize() {
            Ok(root) if is_checkout(&root) => Ok(Self::Checkout(root)),
            _ => Err(NewError::NotCheckout(path.clone())),
        }
    }

    /// Returns the keys of a dependency on the crate in `folder` of the source.
    pub(super) fn dependency(&self, folder: &str) -> String {
        match self {
            Self::Checkout(root) => format!("path = {}", quoted(&root.join(folder))),
            Self::Git { url, revision } => {
                let git = format!("git = {}", quoted(Path::new(url)));
                revision.iter().fold(git, |git, (key, value)| {
                    format!("{git}, {key} = {}", quoted(Path::new(value)))
                })
            }
        }
    }
}

fn checkout_around(start: &Path) -> Option<PathBuf> {
    start.ancestors().find(|folder| is_checkout(folder)).map(Path::to_owned)
}

fn is_checkout(folder: &Path) -> bool {
    let (file, line) = MARK;
    fs::read_to_string(folder.join(file)).is_ok_and(|text| text.lines().any(|one| one == line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(args: SourceArgs) -> String {
        Source::find(&args).unwrap().dependency("shared/client")
    }

    #[test]
    fn a_git_dependency_has_its_revision() {
        let git = SourceArgs { git: Some("https://example.org/g".into()), ..Default::default() };
        assert_eq!(source(git.clone()), "git = \"https://example.org/g\"");
        let tag = SourceArgs { tag: Some("v1".into()), ..git };
        assert_eq!(source(tag), "git = \"https://example.org/g\", tag = \"v1\"");
    }

    #[test]
    fn a_path_dependency_is_absolute() {
        // Tests run in the folder of their package.
        let path = SourceArgs { path: Some("../..".into()), ..Default::default() };
        let root = Path::new("../..").canonicalize().unwrap();
        let expected = format!("path = {}", quoted(&root.join("shared/client")));
        assert_eq!(source(path), expected);
        assert_eq!(source(SourceArgs::default()), expected);
    }

    #[test]
    fn a_folder_without_the_crates_is_no_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let path = SourceArgs { path: Some(folder.path().to_owned()), ..Default::default() };
        assert!(matches!(Source::find(&path), Err(NewError::NotCheckout(_))));
        assert_eq!(checkout_around(folder.path()), None);
    }
}
