//! Statuses of errors as callers see them.

use std::time::Duration;

use gantry_contract::{
    CallContext, Caller, Failure, FieldPath, GantryReason, Reason, Validate, Violations,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

enum Shop {
    EmailTaken,
}

impl Reason for Shop {
    fn reason(&self) -> &'static str {
        "EMAIL_TAKEN"
    }

    fn domain(&self) -> &'static str {
        "shop"
    }
}

fn failure() -> Failure {
    Failure::new(Code::AlreadyExists, Shop::EmailTaken, "a user with this address exists")
}

/// Returns the length of the header with the details.
fn details_header(status: &Status) -> usize {
    status.details().len().div_ceil(3) * 4
}

#[test]
fn a_status_always_has_a_reason() {
    let status = Status::from(failure());
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(status.message(), "a user with this address exists");
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("EMAIL_TAKEN", "shop"));
}

#[tokio::test]
async fn an_internal_error_names_only_the_request_id() {
    let call = CallContext { deadline: None, request_id: "r-1".into(), caller: Caller::Anonymous };
    let status = call.scope(async { Status::from(Failure::internal()) }).await;
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    assert!(GantryReason::Internal.is_given_by(&status));
    assert_eq!(status.get_details_request_info().unwrap().request_id, "r-1");
    assert_eq!(status.get_error_details_vec().len(), 2, "{status:?}");
    assert!(Status::from(Failure::internal()).get_details_request_info().is_none());
}

#[test]
fn a_reason_matches_by_word_and_domain() {
    let status = Status::from(failure());
    assert!(Shop::EmailTaken.is_given_by(&status));
    assert!(!GantryReason::ValidationFailed.is_given_by(&status));

    let malformed = Status::with_details(Code::AlreadyExists, "", vec![0xff; 9].into());
    assert!(!Shop::EmailTaken.is_given_by(&malformed));
    assert!(!Shop::EmailTaken.is_given_by(&Status::already_exists("no details")));
}

#[test]
fn a_status_has_all_details() {
    let status = Status::from(
        failure()
            .metadata("email", "a@b.c")
            .violation("email", "is taken")
            .resource("shop.user.v1.User", "u1", "has this address")
            .precondition("STATUS", "u1", "activate the user")
            .retry_after(Duration::from_millis(1500))
            .request_id("r1"),
    );
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["email"], "a@b.c");
    let violation = &details.bad_request().unwrap().field_violations[0];
    assert_eq!((violation.field.as_str(), violation.description.as_str()), ("email", "is taken"));
    let resource = details.resource_info().unwrap();
    assert_eq!(
        (resource.resource_type.as_str(), resource.resource_name.as_str()),
        ("shop.user.v1.User", "u1")
    );
    assert_eq!(resource.description, "has this address");
    let precondition = &details.precondition_failure().unwrap().violations[0];
    assert_eq!((precondition.r#type.as_str(), precondition.subject.as_str()), ("STATUS", "u1"));
    assert_eq!(precondition.description, "activate the user");
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_millis(1500)));
    assert_eq!(details.request_info().unwrap().request_id, "r1");
}

#[test]
fn the_message_names_the_first_five_violations() {
    let status = Status::from(Violations::one("name", "is required"));
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "name is required"));
    assert!(GantryReason::ValidationFailed.is_given_by(&status));

    let mut many = Violations::one("name", "is required");
    many.push("email", "must be an e-mail address");
    assert_eq!(many.to_string(), "name is required; email must be an e-mail address");
    many.push("", "only one of a, b may be given");
    many.push("choice", "only one of c, d may be given");
    many.push("", "must not be empty");
    let five = "name is required; email must be an e-mail address; only one of a, b may be given; \
                choice: only one of c, d may be given; the request must not be empty";
    assert_eq!(Status::from(many.clone()).message(), five);
    many.push("six", "is required");
    many.push("seven", "is required");
    assert_eq!(Status::from(many).message(), format!("{five}; and 2 more"));
}

#[test]
fn long_violations_are_not_all_named() {
    let mut violations = Violations::default();
    (0..5).for_each(|_| violations.push("k".repeat(500), "is required"));
    let message = Status::from(violations).message().to_owned();
    assert!(message.len() < 1100 && message.ends_with("; and 3 more"), "{message}");
    let one = Violations::one("k".repeat(5000), "is required");
    assert_eq!(one.to_string(), "1 fields violate rules");
}

#[test]
fn details_of_a_million_violations_stay_within_4_kib() {
    let mut violations = Violations::default();
    for index in 0..1_000_000 {
        violations.push(format_args!("items[{index}].sku"), "must have at least 1 character");
    }
    assert_eq!(violations.len(), 1_000_000);

    let status = Status::from(violations);
    assert!(details_header(&status) <= 4096, "{}", details_header(&status));
    let bad_request = status.get_details_bad_request().unwrap();
    let (last, kept) = bad_request.field_violations.split_last().unwrap();
    assert!(kept.len() > 30, "only {} kept", kept.len());
    assert_eq!(kept[0].field, "items[0].sku");
    assert_eq!(last.description, format!("and {} more", 1_000_000 - kept.len()));
}

#[test]
fn noted_violations_keep_their_order_and_number() {
    let wrong = |count: usize| {
        let mut violations = Violations::default();
        (0..count).for_each(|index| violations.push(format_args!("[{index}]"), "is required"));
        violations
    };
    let mut violations = Violations::one("id", "must be a UUID");
    assert_eq!(violations.note(Ok::<_, Violations>(7)), Some(7));
    assert_eq!(violations.note(Err::<(), _>(wrong(2))), None);
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["id", "[0]", "[1]"]);
    violations.note(Err::<(), _>(wrong(1000)));
    violations.note(Err::<(), _>(wrong(1000)));
    assert_eq!(violations.len(), 2003);
    assert!(violations.iter().count() < 200);
}

#[test]
fn other_details_leave_less_room_for_violations() {
    let mut failure = failure().resource("t", "n".repeat(1000), "d".repeat(1000));
    for index in 0..100 {
        failure = failure.violation(format_args!("items[{index}]"), "is required");
    }
    let status = Status::from(failure);
    assert!(details_header(&status) <= 4096, "{}", details_header(&status));
    let details = status.get_error_details();
    assert_eq!(details.resource_info().unwrap().description.len(), 1000);
    let violations = &details.bad_request().unwrap().field_violations;
    let (last, kept) = violations.split_last().unwrap();
    assert_eq!(last.description, format!("and {} more", 100 - kept.len()));
}

#[test]
fn long_metadata_is_truncated_between_characters() {
    let status = Status::from(failure().metadata("skus", "ä".repeat(600)));
    let value = &status.get_details_error_info().unwrap().metadata["skus"];
    assert!(value.len() <= 1024 && value.ends_with("ä…"), "{value}");
}

#[test]
fn a_path_leads_through_messages_lists_and_maps() {
    let root = FieldPath::ROOT;
    let (items, labels) = (root.field("items"), root.field("labels"));
    assert_eq!(items.to_string(), "items");
    let second = items.index(1);
    assert_eq!(second.field("sku").to_string(), "items[1].sku");
    assert_eq!(labels.text_key("a \"b\"").field("name").to_string(), r#"labels["a \"b\""].name"#);
    let long = "k".repeat(1000);
    assert_eq!(labels.key(&7).to_string(), "labels[7]");
    assert!(labels.text_key(&long).to_string().len() < 80);
}

#[test]
fn googles_messages_have_no_rules() {
    assert_eq!(().check(), Ok(()));
    assert_eq!(prost_types::Timestamp { seconds: -1, nanos: -1 }.check(), Ok(()));
}
