use super::*;

fn read(text: &str) -> (Vec<(String, String)>, Vec<BadLine>) {
    let outer = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
    let (entries, bad) = parse(text, |name| name.starts_with("GANTRY_"), outer);
    (entries.into_iter().map(|entry| (entry.name, entry.value)).collect(), bad)
}

#[test]
fn values_are_parsed_like_docker_compose_does() {
    for (text, value) in [
        ("GANTRY_X=a", "a"),
        ("GANTRY_X=a\r\n", "a"),
        ("  export\tGANTRY_X = a b \t", "a b"),
        ("export GANTRY_X=a", "a"),
        ("GANTRY_X: a", "a"),
        ("GANTRY_X=", ""),
        ("GANTRY_X=  # nothing", ""),
        ("GANTRY_X=\t# nothing", ""),
        ("GANTRY_X=''", ""),
        ("GANTRY_X=a # comment", "a"),
        ("GANTRY_X=a\t# comment", "a"),
        ("GANTRY_X=a#b", "a#b"),
        ("GANTRY_X=http://h/#frag", "http://h/#frag"),
        ("GANTRY_X=a=b=c", "a=b=c"),
        ("GANTRY_X=a\"b", "a\"b"),
        ("GANTRY_X=it's", "it's"),
        (r"GANTRY_X=C:\new\table", r"C:\new\table"),
        ("GANTRY_X='a # b' # comment", "a # b"),
        ("GANTRY_X=\"a # b\"\t# comment", "a # b"),
        ("GANTRY_X=' a '", " a "),
        ("GANTRY_X='$HOME ${A} \\n'", "$HOME ${A} \\n"),
        (r"GANTRY_X='it\'s'", "it's"),
        (r#"GANTRY_X="a\nb\tc\\d\"e\$f\'g""#, "a\nb\tc\\d\"e$f'g"),
        (r#"GANTRY_X="ends with \\""#, r"ends with \"),
        ("GANTRY_X='one\ntwo\r\nthree'", "one\ntwo\nthree"),
        ("GANTRY_X=\"one\n# two\nthree\" # comment", "one\n# two\nthree"),
        ("# comment\n\n \t\n#GANTRY_X=b\nGANTRY_X=a\n", "a"),
        ("GANTRY_X=[\"a\", \"b\"]", "[\"a\", \"b\"]"),
        ("GANTRY_X=ä€😀", "ä€😀"),
        ("OTHER=b\nGANTRY_X=$OTHER-${OTHER}", "b-b"),
        ("GANTRY_X=\"$HOME/${HOME}x\"", "/home/me//home/mex"),
        ("HOME=mine\nGANTRY_X=$HOME", "/home/me"),
        ("GANTRY_X=${NONE:-a}", "a"),
        ("GANTRY_X=${NONE-a b}", "a b"),
        ("NONE=\nGANTRY_X=[${NONE:-a}${NONE-b}]", "[a]"),
        ("GANTRY_X=${NONE:-${ALSO:-x}}", "x"),
        ("GANTRY_X=a${NONE:+b}${HOME:+c}", "ac"),
        // A value of another program may have a syntax of its own.
        ("OTHER=pa$$word\nGANTRY_X=a", "a"),
        ("OTHER\nGANTRY_X=a", "a"),
    ] {
        let expected = vec![("GANTRY_X".to_owned(), value.to_owned())];
        assert_eq!(read(text), (expected, Vec::new()), "{text:?}");
    }
}

#[test]
fn the_last_of_two_values_wins() {
    let (values, bad) = read("GANTRY_X=a\nGANTRY_X=b");
    assert_eq!((values.last().unwrap().1.as_str(), bad.len()), ("b", 0));
}

#[test]
fn an_ambiguous_form_is_an_error_with_its_line() {
    for (text, line, why) in [
        ("\nGANTRY_X", 2, "expected GANTRY_X=VALUE"),
        ("this is none", 1, "expected NAME=VALUE"),
        ("=a", 1, "expected NAME=VALUE"),
        ("GANTRY X=a", 1, "expected NAME=VALUE"),
        ("export GANTRY_X", 1, "expected GANTRY_X=VALUE"),
        ("A='1\n2'\nGANTRY_X='open\nB=1", 3, "no closing '"),
        ("GANTRY_X=\"open", 1, "no closing \""),
        ("GANTRY_X='a' b", 1, "after the closing '"),
        ("GANTRY_X='a'b", 1, "after the closing '"),
        ("GANTRY_X=\"a\"#b", 1, "after the closing \""),
        ("GANTRY_X=`a`", 1, "backquotes"),
        ("GANTRY_X=#a", 1, "starts with #"),
        ("GANTRY_X=a\rGANTRY_Y=b", 1, "control character"),
        ("GANTRY_X=a\u{1b}[0m", 1, "control character"),
        (r#"GANTRY_X="C:\data""#, 1, "unknown escape"),
        ("GANTRY_X=\"a\\\nb\"", 1, "ends with \\"),
        ("GANTRY_X=pa$$word", 1, "without a name"),
        ("GANTRY_X=cost: 5$", 1, "without a name"),
        ("GANTRY_X=$(id)", 1, "without a name"),
        (r"GANTRY_X=a\$b", 1, "single quotes"),
        ("GANTRY_X=pa$word", 1, "word is unset"),
        ("GANTRY_X=${NONE:?}", 1, "NONE is required"),
        ("GANTRY_X=${NONE", 1, "without a }"),
        ("GANTRY_X=${HOME/a/b}", 1, "after the name"),
        ("OTHER=a$$b\nGANTRY_X=$OTHER", 2, "it refers to OTHER"),
    ] {
        let (values, bad) = read(text);
        assert!(values.is_empty(), "{text:?}: {values:?}");
        assert_eq!((bad.len(), bad[0].line), (1, line), "{text:?}: {bad:?}");
        assert!(bad[0].why.contains(why), "{text:?}: {bad:?}");
    }
}

#[test]
fn bad_lines_are_reported_and_good_ones_parsed() {
    let (values, bad) = read("GANTRY_A=$\nGANTRY_B=b\nnot one\nGANTRY_C='c'");
    assert_eq!(values.len(), 2, "{values:?}");
    assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn values_built_from_each_other_are_bounded() {
    let mut text = "A=xxxxxxxxxxxxxxxx\n".to_owned();
    for _ in 0..40 {
        text.push_str("A=$A$A\n");
    }
    let (_, bad) = read(&(text + "GANTRY_X=$A"));
    assert_eq!(bad.len(), 1, "{bad:?}");
    let deep = format!("GANTRY_X={}x{}", "${A:-".repeat(100_000), "}".repeat(100_000));
    let (_, bad) = read(&deep);
    assert!(bad[0].why.contains("levels"), "{bad:?}");
}

#[test]
fn no_text_causes_a_panic() {
    let parts = ["GANTRY_X", "=", "'", "\"", "\\", "$", "{", "}", "#", "\n", "\r", " ", "é", ":-"];
    for _ in 0..20_000 {
        let text: String =
            (0..fastrand::usize(..12)).map(|_| fastrand::choice(parts).unwrap()).collect();
        read(&text);
    }
}
