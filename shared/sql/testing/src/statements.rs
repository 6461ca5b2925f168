//! Statements in the source of a crate, prepared on both engines.
//!
//! A suite of a repository runs statements; this finds those that no suite runs, and those that one engine
//! refuses. It collects the argument of every call `.query(...)` and the field `statement` of every
//! `Purge`: literals, constants, `concat!`, matches and macros that take literals.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use gantry_sql::{Database, Migrations, Settings};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{
    Expr, Lit, Pat, Token,
    punctuated::Punctuated,
    visit::{self, Visit},
};

use crate::Server;

/// A statement in the source.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Text, as it is passed to `Connection::query`.
    pub text: String,
    /// File.
    pub at: PathBuf,
}

/// Asserts that both engines can prepare each statement in the source folder of a crate, on a database with
/// these migrations.
pub async fn assert_prepared(source: &str, migrations: &Migrations) {
    let statements = statements(Path::new(source));
    assert!(!statements.is_empty(), "no statement in {source}");
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Settings::sqlite_file(folder.path().join("test.db"));
    let mut refused = refused(&sqlite, migrations, &statements).await;
    let postgres = Server::shared().database().await;
    refused.extend(self::refused(&postgres, migrations, &statements).await);
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// Prepares the statements on a new database. Returns the refusals.
pub async fn refused(
    settings: &Settings,
    migrations: &Migrations,
    statements: &[Statement],
) -> Vec<String> {
    let database = Database::open(settings, migrations).await.unwrap();
    let mut refused = Vec::new();
    for (number, Statement { text, at }) in statements.iter().enumerate() {
        // Neither executes the statement.
        let prepare = match database.is_shared() {
            true => format!("PREPARE statement_{number} AS {text}"),
            false => format!("EXPLAIN {text}"),
        };
        let mut conn = database.reader().await.unwrap();
        if let Err(error) = conn.query(prepare.leak()).execute().await {
            refused.push(format!("{}: {error}: {text}", at.display()));
        }
    }
    database.close().await;
    refused
}

/// Returns the statements in the source folder of a crate, without those of its unit tests.
pub fn statements(source: &Path) -> Vec<Statement> {
    let mut files = Vec::new();
    find(source, &mut files);
    let parse = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let files: Vec<_> = files.iter().map(|path| (path, parse(path))).collect();
    let mut macros = Macros::default();
    for (_, file) in &files {
        macros.visit_file(file);
    }
    let mut found = Vec::new();
    for (path, file) in &files {
        let mut names = Names::default();
        names.visit_file(file);
        let mut calls = Calls { path, macros: &macros, names: &names, found: Vec::new() };
        calls.visit_file(file);
        found.extend(calls.found);
    }
    found
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

/// Macros of a crate whose parameters are literals, by name.
#[derive(Default)]
struct Macros(BTreeMap<String, Vec<Rule>>);

/// Parameters and body of a macro.
type Rule = (Vec<String>, TokenStream);

impl<'ast> Visit<'ast> for Macros {
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let Some(name) = &item.ident else { return };
        let tokens: Vec<_> = item.mac.tokens.clone().into_iter().collect();
        let rules = tokens.split(|token| is_punct(token, ';')).filter_map(|rule| match rule {
            [TokenTree::Group(pattern), _, _, TokenTree::Group(body)] => {
                Some((parameters(pattern.stream())?, body.stream()))
            }
            _ => None,
        });
        let before = self.0.insert(name.to_string(), rules.collect());
        assert!(before.is_none(), "two macros of the name {name}");
    }
}

fn is_punct(token: &TokenTree, punct: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == punct)
}

/// Returns the names of the parameters, if all are literals: `$name:literal, $other:literal`.
fn parameters(pattern: TokenStream) -> Option<Vec<String>> {
    let tokens: Vec<_> = pattern.into_iter().collect();
    let parameters = tokens.split(|token| is_punct(token, ','));
    let parameters = parameters.filter(|tokens| !tokens.is_empty());
    let name = |tokens: &[TokenTree]| match tokens {
        [_, TokenTree::Ident(name), _, TokenTree::Ident(kind)] if kind == "literal" => {
            Some(name.to_string())
        }
        _ => None,
    };
    parameters.map(name).collect()
}

/// Replaces the parameters of a macro by its arguments.
fn substituted(body: TokenStream, arguments: &BTreeMap<&String, TokenTree>) -> TokenStream {
    let mut tokens = body.into_iter().peekable();
    let mut substituted = Vec::new();
    while let Some(token) = tokens.next() {
        let argument = match tokens.peek() {
            Some(TokenTree::Ident(name)) if is_punct(&token, '$') => {
                arguments.get(&name.to_string()).cloned()
            }
            _ => None,
        };
        substituted.push(match (argument, token) {
            (Some(argument), _) => {
                tokens.next();
                argument
            }
            (None, TokenTree::Group(group)) => {
                let inner = self::substituted(group.stream(), arguments);
                proc_macro2::Group::new(group.delimiter(), inner).into()
            }
            (None, token) => token,
        });
    }
    substituted.into_iter().collect()
}

/// Constants and variables of a file by name, each with its values: functions may use one name.
#[derive(Default)]
struct Names(BTreeMap<String, Vec<Expr>>);

impl<'ast> Visit<'ast> for Names {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.0.entry(item.ident.to_string()).or_default().push((*item.expr).clone());
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (Pat::Ident(name), Some(init)) = (&local.pat, &local.init) {
            self.0.entry(name.ident.to_string()).or_default().push((*init.expr).clone());
        }
        visit::visit_local(self, local);
    }
}

/// Calls of a file that make statements.
struct Calls<'a> {
    path: &'a Path,
    macros: &'a Macros,
    names: &'a Names,
    found: Vec<Statement>,
}

impl Calls<'_> {
    fn add(&mut self, expr: &Expr) {
        let name = match expr {
            Expr::Path(path) => path.path.get_ident(),
            Expr::Macro(call) => call.mac.path.get_ident(),
            _ => None,
        };
        let name = name.map_or("an expression".to_owned(), ToString::to_string);
        let unknown = || panic!("{}: which statement is {name}?", self.path.display());
        let texts = self.texts(expr).unwrap_or_else(unknown).into_iter();
        self.found.extend(texts.map(|text| Statement { text, at: self.path.to_owned() }));
    }

    /// Returns the values of an expression. None: they are unknown.
    fn texts(&self, expr: &Expr) -> Option<Vec<String>> {
        let all = |exprs: Vec<&Expr>| {
            let texts: Option<Vec<_>> = exprs.into_iter().map(|expr| self.texts(expr)).collect();
            Some(texts?.concat())
        };
        match expr {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(vec![text.value()]),
                _ => None,
            },
            Expr::Path(path) => {
                all(self.names.0.get(&path.path.get_ident()?.to_string())?.iter().collect())
            }
            Expr::Match(choice) => all(choice.arms.iter().map(|arm| &*arm.body).collect()),
            Expr::Macro(call) if call.mac.path.is_ident("concat") => {
                let parts = Punctuated::<Expr, Token![,]>::parse_terminated;
                let parts = call.mac.parse_body_with(parts).ok()?;
                parts.iter().try_fold(vec![String::new()], |texts, part| {
                    let parts = self.texts(part)?;
                    let joined = texts
                        .iter()
                        .flat_map(|text| parts.iter().map(move |part| format!("{text}{part}")));
                    Some(joined.collect())
                })
            }
            Expr::Macro(call) => self.texts(&self.expanded(&call.mac)?),
            _ => None,
        }
    }

    /// Returns the body of the macro of this crate that takes these literals.
    fn expanded(&self, call: &syn::Macro) -> Option<Expr> {
        let rules = self.macros.0.get(&call.path.get_ident()?.to_string())?;
        let arguments = call.tokens.clone().into_iter().filter(|token| !is_punct(token, ','));
        let arguments: Vec<_> = arguments.collect();
        let (parameters, body) =
            rules.iter().find(|(parameters, _)| parameters.len() == arguments.len())?;
        let arguments = parameters.iter().zip(arguments).collect();
        syn::parse2(substituted(body.clone(), &arguments)).ok()
    }
}

/// Returns true if there is a call `.query(...)` with an argument among the tokens.
fn has_query(tokens: TokenStream) -> bool {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is_query = |three: &[TokenTree]| match three {
        [dot, TokenTree::Ident(name), TokenTree::Group(arguments)] => {
            is_punct(dot, '.')
                && name == "query"
                && arguments.delimiter() == Delimiter::Parenthesis
                && !arguments.stream().is_empty()
        }
        _ => false,
    };
    let is_inside = |token: &TokenTree| match token {
        TokenTree::Group(group) => has_query(group.stream()),
        _ => false,
    };
    tokens.windows(3).any(is_query) || tokens.iter().any(is_inside)
}

impl<'ast> Visit<'ast> for Calls<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "query"
            && let Some(text) = call.args.first()
        {
            // The one of a purge, which is added where the purge is made.
            let is_field = matches!(text, Expr::Field(field)
                if matches!(&field.member, syn::Member::Named(name) if name == "statement"));
            if !is_field {
                self.add(text);
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_struct(&mut self, made: &'ast syn::ExprStruct) {
        if made.path.segments.last().is_some_and(|name| name.ident == "Purge") {
            let statement = made.fields.iter().find(
                |field| matches!(&field.member, syn::Member::Named(name) if name == "statement"),
            );
            self.add(&statement.unwrap().expr);
        }
        visit::visit_expr_struct(self, made);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let is_hidden = has_query(call.tokens.clone());
        assert!(!is_hidden, "{}: no statement is found within a macro", self.path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lib.rs"), source).unwrap();
        statements(folder.path()).into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn literals_constants_macros_and_matches_are_collected() {
        let source = r#"
            macro_rules! clock { () => { "now()" }; }
            macro_rules! rows {
                ($more:literal, $rest:literal) => { concat!("SELECT a", $more, " FROM t ", $rest) };
                ($rest:literal) => { rows!("", $rest) };
            }
            const ALL: &str = concat!("SELECT ", clock!());
            const OLD: Purge = Purge { rows: "r", statement: "DELETE" };
            fn f(conn: C, uri: U) {
                conn.query("1").bind(1);
                let two = match x { 0 => "2", _ => "3" };
                g(conn.query(two), || conn.query(ALL), uri.query());
                conn.query(rows!("WHERE b")).query(rows!(", c", "WHERE d"));
            }
            #[cfg(test)]
            mod tests { fn f() { conn.query("none"); } }"#;
        let mut found = texts(source);
        found.sort();
        let expected = [
            "1",
            "2",
            "3",
            "DELETE",
            "SELECT a FROM t WHERE b",
            "SELECT a, c FROM t WHERE d",
            "SELECT now()",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    #[should_panic(expected = "which statement is")]
    fn a_statement_made_at_run_time_is_named() {
        texts("fn f(conn: C, text: &'static str) { conn.query(text); }");
    }

    #[test]
    #[should_panic(expected = "no statement is found within a macro")]
    fn a_statement_within_a_macro_is_named() {
        texts("fn f(conn: C) { select! { a = conn.query(\"1\").execute() => {} } }");
    }
}
