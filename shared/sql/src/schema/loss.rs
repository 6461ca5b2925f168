//! Data that a script deletes, by its text: tables, columns and rows. An empty table counts as well.

/// Returns what the statements of a script delete: `table users`, `column users.name`, `rows of users`.
pub(super) fn losses(script: &str) -> Vec<String> {
    let script = without_comments(script);
    script.split(';').flat_map(|statement| of_statement(&words(statement))).collect()
}

fn of_statement(words: &[String]) -> Vec<String> {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match &words[..] {
        ["drop", "table", names @ ..] => {
            names.iter().filter(|name| is_name(name)).map(|name| format!("table {name}")).collect()
        }
        ["drop", kind @ ("schema" | "database"), names @ ..] => {
            names.iter().filter(|name| is_name(name)).map(|name| format!("{kind} {name}")).collect()
        }
        ["delete", "from", rest @ ..] | ["truncate", rest @ ..] => {
            let name = rest.iter().find(|name| is_name(name));
            name.map(|name| format!("rows of {name}")).into_iter().collect()
        }
        ["alter", "table", rest @ ..] => {
            let mut names = rest.iter().filter(|name| is_name(name));
            let Some(table) = names.next() else { return Vec::new() };
            let column = |(at, _): (usize, &&str)| {
                let column = rest.get(at + 1..)?.iter().find(|name| is_name(name))?;
                let is_kept = ["constraint", "default", "not", "expression", "identity"];
                (!is_kept.contains(column)).then(|| format!("column {table}.{column}"))
            };
            rest.iter()
                .enumerate()
                .filter(|(_, word)| **word == "drop")
                .filter_map(column)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Returns false for the words that may stand before a name, or after it.
fn is_name(word: &str) -> bool {
    let others = ["if", "exists", "only", "table", "column", "cascade", "restrict"];
    !others.contains(&word)
}

/// Returns the words in lower case, without quotes. Names in a list are words of their own.
fn words(statement: &str) -> Vec<String> {
    let words = statement.split(|c: char| c.is_whitespace() || c == ',' || c == '(' || c == ')');
    let words = words.map(|word| word.trim_matches('"').to_lowercase());
    words.filter(|word| !word.is_empty()).collect()
}

/// Returns the script without its comments `-- ...` and `/* ... */`.
fn without_comments(script: &str) -> String {
    let mut kept = String::new();
    let mut rest = script;
    while let Some(at) = rest.find("--").into_iter().chain(rest.find("/*")).min() {
        let (before, comment) = rest.split_at(at);
        kept.push_str(before);
        kept.push(' ');
        let end = if comment.starts_with("--") { "\n" } else { "*/" };
        rest = comment.split_once(end).map_or("", |(_, after)| after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_tables_columns_and_rows_are_losses() {
        let script = "-- DROP TABLE comment;\n DROP TABLE a, \"b\" CASCADE; /* DROP TABLE c; */
            drop table if exists d;
            ALTER TABLE ONLY e DROP COLUMN IF EXISTS f, DROP g;
            DELETE FROM h WHERE i = 1; TRUNCATE TABLE j;";
        let expected =
            ["table a", "table b", "table d", "column e.f", "column e.g", "rows of h", "rows of j"];
        assert_eq!(losses(script), expected);
    }

    #[test]
    fn dropped_indexes_and_constraints_lose_nothing() {
        let script = "DROP INDEX a; ALTER TABLE b DROP CONSTRAINT c;
            ALTER TABLE b ALTER COLUMN d DROP NOT NULL, ALTER e DROP DEFAULT;
            ALTER TABLE b RENAME COLUMN d TO f; CREATE TABLE g (h TEXT)";
        assert!(losses(script).is_empty(), "{:?}", losses(script));
    }
}
