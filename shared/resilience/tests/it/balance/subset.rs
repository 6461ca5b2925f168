//! Subsets of endpoints.

use gantry_resilience::balance::{Labelled, Otherwise, Subset};

#[derive(Debug)]
struct Labels(&'static str, Vec<String>);

impl Labelled for Labels {
    fn version(&self) -> &str {
        self.0
    }

    fn tags(&self) -> &[String] {
        &self.1
    }
}

fn labels() -> Vec<Labels> {
    [("1.9", "stable eu"), ("2.1.0", "stable"), ("2.10.3", "canary eu"), ("", "")]
        .map(|(version, tags)| Labels(version, tags.split(' ').map(str::to_owned).collect()))
        .into()
}

fn versions(subset: &Subset) -> Vec<&'static str> {
    subset.of(&labels()).iter().map(|endpoint| endpoint.0).collect()
}

fn tagged(tags: &[&str]) -> Subset {
    Subset { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..Subset::default() }
}

#[test]
fn a_subset_says_what_its_endpoints_have() {
    let version = Some("2.1".to_owned());
    let both = Subset { version: version.clone(), ..tagged(&["a", "b"]) };
    let only = Subset { version, ..Subset::default() };
    let said = [only, tagged(&["a"]), both].map(|subset| subset.to_string());
    assert_eq!(said, ["version 2.1", "the tags a", "version 2.1 and the tags a, b"]);
}

#[test]
fn no_subset_matches_all() {
    assert_eq!(versions(&Subset::default()), ["1.9", "2.1.0", "2.10.3", ""]);
}

#[test]
fn a_version_is_itself_and_what_it_begins_with_whole_parts_of() {
    let of = |version: &str| {
        versions(&Subset { version: Some(version.to_owned()), ..Subset::default() })
    };
    assert_eq!(of("2"), ["2.1.0", "2.10.3"]);
    assert_eq!(of("2.1"), ["2.1.0"]);
    assert_eq!(of("2.1.0"), ["2.1.0"]);
    assert!(of("2.1.0.1").is_empty());
    assert!(of("10").is_empty());
}

#[test]
fn all_tags_must_be_there() {
    assert_eq!(versions(&tagged(&["eu"])), ["1.9", "2.10.3"]);
    assert_eq!(versions(&tagged(&["eu", "canary"])), ["2.10.3"]);
    assert!(versions(&tagged(&["eu", "us"])).is_empty());
}

#[test]
fn an_unmet_preference_is_dropped_and_a_demand_is_not() {
    let mut subset = tagged(&["us"]);
    assert!(versions(&subset).is_empty());
    subset.otherwise = Otherwise::Everybody;
    assert_eq!(versions(&subset).len(), 4);
    subset.tags = vec!["canary".to_owned()];
    assert_eq!(versions(&subset), ["2.10.3"]);
}
