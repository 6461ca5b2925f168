//! Generated files for people and for clients in other languages.

mod common;

use common::{Made, compile, with_header};

const NOTES: &str = r#"
option (gantry.contract.v1.access) = {
  permissions: ["notes:read", "notes:write"]
  roles: [{name: "author" permissions: ["notes:read"] own: ["notes:write"]}]
};
option (gantry.contract.v1.rates) = {classes: [{name: "writing" per_second: 0.5 burst: 3}]};

// Keeps notes.
service Notes {
  // Writes one, with a <title>.
  //
  // Twice is once.
  rpc Write(Note) returns (Note) {
    option idempotency_level = IDEMPOTENT;
    option (gantry.contract.v1.policy) = {
      timeout: {seconds: 1 nanos: 500000000}
      permission: "notes:write"
      rate_class: "writing"
      retry: {max_attempts: 4 initial_backoff: {nanos: 1000000} max_backoff: {seconds: 2} backoff_multiplier: 1.5}
    };
  }
  rpc Find(Note) returns (Note) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (gantry.contract.v1.policy) = {
      timeout: {seconds: 2} permission: "notes:read" hedging: {max_attempts: 3 delay: {nanos: 30000000}}
    };
  }
  rpc Watch(Note) returns (stream Note) {
    option idempotency_level = IDEMPOTENCY_UNKNOWN;
    option (gantry.contract.v1.policy) = {timeout: {seconds: 2} public: true};
  }
}

// Something written.
message Note {
  // Its id | key.
  string request_id = 1 [(buf.validate.field).string.uuid = true];
  repeated string tags = 2 [
    (buf.validate.field).repeated.max_items = 2,
    (buf.validate.field).repeated.unique = true,
    (buf.validate.field).repeated.items.string.min_len = 1
  ];
  optional Kind kind = 3 [(buf.validate.field).required = true, (buf.validate.field).enum.defined_only = true];
  oneof body {
    option (buf.validate.oneof).required = true;
    string text = 4;
    Note note = 5;
  }
  map<string, int64> counts = 6 [(buf.validate.field).map.values.int64.gt = 0];
  google.protobuf.Timestamp due = 7 [(buf.validate.field).timestamp.gt_now = true];
  string label = 8 [
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE,
    (buf.validate.field).string.pattern = "^(a_b|<c>)*[d](e)_\\.$"
  ];
  repeated int32 sizes = 9 [
    (buf.validate.field).repeated.items.ignore = IGNORE_IF_ZERO_VALUE,
    (buf.validate.field).repeated.items.int32.gt = 4
  ];

  // Kind of a note.
  enum Kind {
    KIND_UNSPECIFIED = 0;
    // To be done.
    KIND_TASK = 1;
  }
}

// Reasons of notes.
enum Reason {
  option (gantry.contract.v1.reason_domain) = "notes";
  REASON_UNSPECIFIED = 0;
}
"#;

fn made() -> Made {
    compile(&[("t.proto", &with_header(NOTES))]).unwrap_or_else(|error| unreachable!("{error}"))
}

#[test]
fn the_service_config_has_the_policies_of_every_method() {
    let expected = r#"{
  "methodConfig": [
    {
      "name": [{"service": "t.Notes", "method": "Write"}],
      "timeout": "1.5s",
      "retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.001s", "maxBackoff": "2s", "backoffMultiplier": 1.5, "retryableStatusCodes": ["UNAVAILABLE"]}
    },
    {
      "name": [{"service": "t.Notes", "method": "Find"}],
      "timeout": "2s",
      "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.03s", "nonFatalStatusCodes": ["UNAVAILABLE"]}
    },
    {
      "name": [{"service": "t.Notes", "method": "Watch"}]
    }
  ],
  "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
}
"#;
    assert_eq!(made().service_config, expected);
}

#[test]
fn the_reference_has_all_policies_and_rules() {
    let page = made().reference;
    for expected in [
        "- [t.Notes](#tnotes)\n",
        "\n## t.Notes\n\nKeeps notes.\n",
        "\n### Write\n\nWrites one, with a &lt;title>.\n\nTwice is once.\n\n\
         - request [Note](#tnote), response [Note](#tnote)\n\
         - requires the permission `notes:write`\n\
         - idempotent by `request_id`; timeout 1.5s; up to 4 attempts, delays from 1ms, x1.5, at most 2s\n\
         - the request has at most the server's `max_message_bytes`\n\
         - rate class `writing`\n",
        "- no side effects; timeout 2s; hedged: up to 3 attempts, 30ms apart\n",
        "- request [Note](#tnote), response stream of [Note](#tnote)\n\
         - public: requires no credentials\n- not idempotent; timeout 2s; not retried\n",
        "| `author` | `notes:read` | `notes:write` |\n",
        "| `writing` | 0.5 | 3 |\n",
        "\n### t.Note\n\nSomething written.\n",
        "| `request_id` | string | is required: a UUID that you generate; must be a UUID | Its id \\| key. |\n",
        "| `tags` | list of string | must have at most 2 items; must not repeat items; \
         each item must have at least 1 character |  |\n",
        "| `kind` | optional [Note.Kind](#tnotekind) | is required; must be a value that the contract defines |  |\n",
        "| `text` | string (one of `body`, one of which is required) |  |  |\n",
        "| `counts` | map of string to int64 | each value must be greater than 0 |  |\n",
        "| `due` | google.protobuf.Timestamp | must not be in the past |  |\n",
        // As code, because Markdown would turn it into a link and emphasis.
        "| `label` | string | is optional; \
         must match the pattern `^(a_b\\|<c>)*[d](e)_\\.$` |  |\n",
        "| `sizes` | list of int32 | each item may be zero or empty; \
         each item must be greater than 4 |  |\n",
        "\n### t.Note.Kind\n\nKind of a note.\n",
        "| `KIND_TASK` | 1 | To be done. |\n",
        "\n### t.Reason\n\nReasons of notes.\n\nReasons of `google.rpc.ErrorInfo`, domain `notes`.\n",
    ] {
        assert!(page.contains(expected), "{expected}\n--- is not in ---\n{page}");
    }
}
