//! Conditions of `buf.validate.FieldMaskRules`.

/// `field_mask.in`: returns true if every path is in `allowed` or below a path in it.
pub fn paths_within(paths: &[String], allowed: &[&str]) -> bool {
    paths.iter().all(|path| allowed.iter().any(|root| is_within(path, root)))
}

/// `field_mask.not_in`, negated: returns true if any path is in `refused` or below a path in it.
pub fn any_path_within(paths: &[String], refused: &[&str]) -> bool {
    paths.iter().any(|path| refused.iter().any(|root| is_within(path, root)))
}

fn is_within(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
