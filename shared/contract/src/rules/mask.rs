//! Conditions of `buf.validate.FieldMaskRules`.

/// `field_mask.in`: whether every path is one of `allowed` or leads on from one.
pub fn paths_within(paths: &[String], allowed: &[&str]) -> bool {
    paths.iter().all(|path| allowed.iter().any(|root| is_within(path, root)))
}

/// `field_mask.not_in`, the other way round: whether a path is one of `refused` or
/// leads on from one.
pub fn any_path_within(paths: &[String], refused: &[&str]) -> bool {
    paths.iter().any(|path| refused.iter().any(|root| is_within(path, root)))
}

fn is_within(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
