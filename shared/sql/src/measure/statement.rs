//! Operation and table of a statement.

/// Returns the operation of a statement (`select`, `insert`, `update`, `delete`, `commit`, otherwise
/// `other`) and the first table that it names, if it names one.
pub(super) fn kind_of(text: &'static str) -> (&'static str, Option<&'static str>) {
    let mut words = text.split_ascii_whitespace();
    let mut first = words.next().unwrap_or_default();
    if first == "WITH" {
        // The operation follows the named queries, which may have FOR UPDATE.
        let mut rest = words.clone();
        let mut before = first;
        let operation = rest.find(|word| {
            let last = std::mem::replace(&mut before, word);
            matches!(*word, "INSERT" | "UPDATE" | "DELETE") && last != "FOR"
        });
        first = operation.unwrap_or("SELECT");
        if operation.is_some() {
            words = rest;
        }
    }
    let (operation, before) = match first {
        "SELECT" => ("select", "FROM"),
        "INSERT" => ("insert", "INTO"),
        "UPDATE" => return ("update", words.next().and_then(table)),
        "DELETE" => ("delete", "FROM"),
        "COMMIT" => ("commit", ""),
        _ => ("other", ""),
    };
    // A word after FROM that is no table belongs to a function, such as `extract(epoch FROM now())`,
    // or to a nested query.
    while words.by_ref().any(|word| word == before) {
        if let Some(table) = words.clone().next().and_then(table) {
            return (operation, Some(table));
        }
    }
    (operation, None)
}

/// Returns the table that a word names, if it is a name.
fn table(word: &'static str) -> Option<&'static str> {
    let name = word.trim_end_matches([',', ')', ';']);
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_name && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_an_operation_and_a_table() {
        for (text, kind) in [
            ("SELECT a FROM users WHERE b = $1 FOR UPDATE", ("select", Some("users"))),
            ("SELECT a, (SELECT count(*) FROM lines) FROM orders", ("select", Some("lines"))),
            (
                "SELECT (extract(epoch FROM now()) * 1000000)::bigint FROM sagas",
                ("select", Some("sagas")),
            ),
            (
                "INSERT INTO users\n (a) VALUES ($1) ON CONFLICT DO NOTHING",
                ("insert", Some("users")),
            ),
            ("UPDATE users SET a = 1", ("update", Some("users"))),
            ("DELETE FROM users WHERE a IN (SELECT a FROM b)", ("delete", Some("users"))),
            (
                "WITH free AS (SELECT id FROM a FOR UPDATE) UPDATE sagas SET b = 1 FROM free",
                ("update", Some("sagas")),
            ),
            ("WITH page AS (SELECT id FROM orders) SELECT a FROM page", ("select", Some("orders"))),
            ("COMMIT", ("commit", None)),
            ("SELECT pg_advisory_xact_lock(1)", ("select", None)),
            ("PRAGMA user_version", ("other", None)),
            ("", ("other", None)),
        ] {
            assert_eq!(kind_of(text), kind, "{text}");
        }
    }
}
