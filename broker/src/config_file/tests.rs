//! The grammar as nats-server 2.15 reads it: what is accepted, what is refused and in which words.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use proptest::prelude::*;

use super::{Document, Map, Node, Surroundings, Value};

/// Files and variables of a test.
#[derive(Default)]
struct Pretended {
    files: HashMap<&'static str, &'static str>,
    variables: HashMap<&'static str, &'static str>,
}

impl Surroundings for Pretended {
    fn read(&self, path: &Path) -> io::Result<String> {
        let text = path.to_str().and_then(|path| self.files.get(path));
        text.map(|text| (*text).to_owned())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }
}

fn read(text: &str) -> Result<Map, String> {
    Document::parse("c.conf", text, &Pretended::default())
        .map(|document| document.root)
        .map_err(|error| error.to_string())
}

/// The tree as JSON without blanks, strings in single quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::String(text) => format!("'{text}'"),
        Value::Date(date) => format!("@{}", date.unix_timestamp()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(&item.value)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(map) => {
            let pairs: Vec<String> = map
                .iter()
                .map(|(key, node)| format!("{key}:{}", shown(&node.value)))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let map = read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(shown(&Value::Map(map)), expected, "{text:?}");
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let error = read(text).expect_err(text);
    assert_eq!(error, expected, "{text:?}");
}

#[test]
fn pairs_are_separated_in_three_ways() {
    check("a: 1\nb = 2\nc 3", "{a:1,b:2,c:3}");
    check("a=1;b=2, c: 3", "{a:1,b:2,c:3}");
    check("port\n4222", "{port:4222}");
    check("a\n{\n}", "{a:{}}");
    check("a:\t1;", "{a:1}");
}

#[test]
fn braces_around_the_whole_are_allowed() {
    check(
        "{ \"port\": 4222, \"jetstream\": true }",
        "{jetstream:true,port:4222}",
    );
    check("a: 1 }", "{a:1}");
    check("{a: 1\nb: 2}\nc: 3", "{a:1,b:2,c:3}");
}

#[test]
fn comments_begin_with_two_signs() {
    check("# a\na: 1 # b\n// c\nb: 2 // d\n", "{a:1,b:2}");
    check(
        "a: nats://host b#c"
            .split(' ')
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
            .as_str(),
        "{a:'nats://host'}",
    );
    check("a: [\n1 # x\n// y\n2\n]", "{a:[1,2]}");
    check("a: b#c", "{a:'b#c'}");
}

#[test]
fn maps_and_arrays_nest() {
    check(
        "accounts { A { users = [ {user: a, password: b} ]\n exports = [ {stream: \"a.>\"} \n {service: b} ] } }",
        "{accounts:{A:{exports:[{stream:'a.>'},{service:'b'}],users:[{password:'b',user:'a'}]}}}",
    );
    check("a: [a\nb # c\n \"e\", f,\n]", "{a:['a','b','e','f']}");
    check("a: [5]\nb: [1.5, x]", "{a:[5],b:[1.5,'x']}");
}

#[test]
fn strings_are_quoted_in_two_ways_bare_or_in_a_block() {
    check(r#"a: "x\t\"\\\x41\n""#, "{a:'x\t\"\\A\n'}");
    check(r"a: 'x\t'", "{a:'x\\t'}");
    check("a: \"two\nlines\"", "{a:'two\nlines'}");
    check(r"a: abc\tdef", "{a:'abc\tdef'}");
    check("a: (\nx y\n ) z\n)\nb: 1", "{a:'\nx y\n ) z\n',b:1}");
    check(
        "a: 1.2.3.4\nb: 127.0.0.1:4222\nc: a=b",
        "{a:'1.2.3.4',b:'127.0.0.1:4222',c:'a=b'}",
    );
    check("a: \"true\"\nb: TRUE", "{a:'true',b:true}");
}

#[test]
fn the_last_of_equal_keys_counts() {
    check("a: 1\na: 2\nA: 3", "{A:3,a:2}");
}

#[test]
fn what_breaks_the_grammar_is_named_with_its_place() {
    for (text, expected) in [
        (
            "port 1 host 2",
            "c.conf:1:7: Parse error on line 1: 'Expected a top-level value to end with a new line, comment or EOF, but got 'h' instead.'",
        ),
        (
            "a: \n",
            "c.conf:1:3: Parse error on line 1: 'Expected value but found new line'",
        ),
        (
            "a: {b: 1 c: 2}",
            "c.conf:1:9: Parse error on line 1: 'Expected a map value terminator \",\" or a map terminator \"}\", but got 'c' instead.'",
        ),
        (
            "a: [b c]",
            "c.conf:1:6: Parse error on line 1: 'Expected an array value terminator \",\" or an array terminator \"]\", but got 'c' instead.'",
        ),
        (
            "\na: [1,,2]",
            "c.conf:2:7: Parse error on line 2: 'Unexpected array value terminator ','.'",
        ),
        (
            ": 4",
            "c.conf:1:0: Parse error on line 1: 'Unexpected key separator ':''",
        ),
        (
            "a: \"b",
            "c.conf:1:5: Parse error on line 1: 'Unexpected EOF.'",
        ),
        (
            "a: (\nb",
            "c.conf:2:2: Parse error on line 2: 'Unexpected EOF processing block.'",
        ),
        (
            "a: {b: 1",
            "c.conf:1:8: Parse error on line 1: 'Unexpected EOF processing map.'",
        ),
        (
            "a: {b}",
            "c.conf:1:6: Parse error on line 1: 'Unexpected EOF processing map key.'",
        ),
        ("port", "config is invalid (c.conf:1:4)"),
        (
            "a: 99999999999999999999",
            "c.conf:1:0: integer '99999999999999999999' is out of the range",
        ),
    ] {
        check_refused(text, expected);
    }
    let error = read(r#"a: "\q""#).unwrap_err();
    assert!(
        error.contains("Invalid escape character 'q'. Only the following"),
        "{error}"
    );
    assert!(read(r#"a: "\xff""#).unwrap_err().contains("not UTF-8"));
}

#[test]
fn variables_are_keys_of_enclosing_maps_then_the_environment() {
    let machine = Pretended {
        variables: HashMap::from([
            ("PORT", "4223"),
            ("NAME", "\"a b\""),
            ("SELF", "$SELF"),
            ("EMPTY", ""),
        ]),
        ..Pretended::default()
    };
    let read = |text: &str| {
        Document::parse("c.conf", text, &machine).map(|document| shown(&Value::Map(document.root)))
    };
    assert_eq!(
        read("X: 1\na: {X: 2, b: $X}\nc: $X").unwrap(),
        "{X:1,a:{X:2,b:2},c:1}"
    );
    assert_eq!(read("a: $PORT\nb: [$NAME]").unwrap(), "{a:4223,b:['a b']}");
    assert_eq!(read("a: $EMPTY").unwrap(), "{a:''}");
    assert_eq!(
        read("a: \"$PORT\"\nb: $2a$11$x").unwrap(),
        "{a:'$PORT',b:'$2a$11$x'}"
    );
    let refused = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(
        refused("\na: $NONE"),
        "c.conf:2:1: variable reference for 'NONE' on line 2 can not be found"
    );
    assert_eq!(
        refused("a: $SELF"),
        "c.conf:1:0: variable reference cycle for 'SELF'"
    );
    assert!(refused("A: $A\nb: $A").contains("can not be found"));
}

#[test]
fn a_key_that_was_used_as_a_variable_is_marked() {
    let map = read("X: 1\nY: 1\na: $X").unwrap();
    assert!(map.get("X").is_some_and(|node| node.is_variable));
    assert!(map.get("Y").is_some_and(|node| !node.is_variable));
}

#[test]
fn included_files_lie_beside_the_one_that_names_them() {
    let files = HashMap::from([
        (
            "etc/c.conf",
            "a: 1\ninclude \"d/e.conf\"\nm { include f.conf }",
        ),
        ("etc/d/e.conf", "b: 2\ninclude '../f.conf'"),
        ("etc/d/../f.conf", "c: 3"),
        ("etc/f.conf", "c: 4\n"),
        ("loop.conf", "include loop.conf"),
        ("none.conf", "\n include gone.conf"),
        ("empty.conf", "# nothing\n"),
    ]);
    let machine = Pretended {
        files,
        ..Pretended::default()
    };
    let load =
        |path: &str| Document::load(Path::new(path), &machine).map_err(|error| error.to_string());
    let document = load("etc/c.conf").unwrap();
    assert_eq!(
        shown(&Value::Map(document.root.clone())),
        "{a:1,b:2,c:3,m:{c:4}}"
    );
    let place = &document.root.get("b").unwrap().position;
    assert_eq!(place.to_string(), "etc/d/e.conf:1:0");
    assert!(
        load("loop.conf")
            .unwrap_err()
            .contains("include one another")
    );
    let missing = "none.conf:2:2: error parsing include file 'gone.conf', open gone.conf: no such file or directory";
    assert_eq!(load("none.conf").unwrap_err(), missing);
    assert_eq!(
        load("empty.conf").unwrap_err(),
        "empty.conf: config has no values or is empty"
    );
    assert_eq!(
        load("gone.conf").unwrap_err(),
        "open gone.conf: no such file or directory"
    );
}

#[test]
fn columns_count_as_in_nats_server() {
    let map = read("  a: 1\n  b: 2\nc: [ 5 ]").unwrap();
    let place = |key: &str| map.get(key).unwrap().position.to_string();
    assert_eq!(
        (place("a"), place("b")),
        ("c.conf:1:2".to_owned(), "c.conf:2:3".to_owned())
    );
    let Value::Array(items) = &map.get("c").unwrap().value else {
        panic!("an array")
    };
    assert_eq!(items[0].position.to_string(), "c.conf:3:6");
}

#[test]
fn digest_is_that_of_nats_server() {
    for (text, expected) in [
        (
            "port: 4222",
            "797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e",
        ),
        (
            "port=4222;host=1.2.3.4",
            "025563ef249183c7aeaa66073bdea69f89e860eecac7fbc77146563044d22fc2",
        ),
        (
            "X: 1\nport: $X",
            "a84e304a53d25878b9378b95c097aff98fcef32b36cbd33c30b10dd552be4eed",
        ),
        (
            "server_name: (\nhello\n)\n",
            "273b06e2b6435e9e0e0d1c4003f85179de94a0bf111a9486243a467196082f8a",
        ),
        (
            "jetstream: {\nmax_mem\n1\n}",
            "603eea6dafa90e07dcc127392f42dac0da149969beedafcabd7e9dff6380b578",
        ),
        (
            "max_payload: 1MB",
            "805e8fcac4b17c72405e5f4bef5d73b2dd137a8b3f920d23191ff59feb44d80e",
        ),
    ] {
        let document = Document::parse("c.conf", text, &Pretended::default()).unwrap();
        assert_eq!(document.digest, format!("sha256:{expected}"), "{text:?}");
    }
}

#[test]
fn nothing_grows_without_limit() {
    let deep = format!("a: {}", "[".repeat(100_000));
    assert!(read(&deep).unwrap_err().contains("nested deeper"));
    let mut laughs = String::from("a: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for letter in 'b'..='k' {
        let before = char::from(letter as u8 - 1);
        laughs.push_str(&format!(
            "{letter}: [{}]\n",
            vec![format!("${before}"); 10].join(",")
        ));
    }
    assert!(read(&laughs).unwrap_err().contains("values"));
}

/// A tree without variables, and ways to write it.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        "[ -~\n\té]{0,12}".prop_map(Value::String),
    ];
    let place = super::Position {
        file: "t".into(),
        line: 1,
        column: 0,
    };
    leaf.prop_recursive(4, 32, 5, move |inner| {
        let place = place.clone();
        let at = place.clone();
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(move |items| Value::Array(
                items
                    .into_iter()
                    .map(|item| Node::new(item, at.clone()))
                    .collect()
            )),
            prop::collection::vec(("[a-z_.*>$-]{1,6}", inner), 0..5).prop_map(move |pairs| {
                let mut map = Map::default();
                for (key, value) in pairs {
                    map.set(key, Node::new(value, place.clone()));
                }
                Value::Map(map)
            }),
        ]
    })
}

/// Writes a value; `style` picks among the spellings.
fn write(value: &Value, style: &mut u64, out: &mut String) {
    let mut pick = |ways: u64| {
        *style = style
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*style >> 33) % ways
    };
    match value {
        Value::Bool(truth) => out.push_str(match (truth, pick(3)) {
            (true, 0) => "true",
            (true, 1) => "YES",
            (true, _) => "on",
            (false, 0) => "false",
            (false, 1) => "No",
            (false, _) => "off",
        }),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::String(text) if pick(2) == 0 && !text.contains('\'') => {
            out.push('\'');
            out.push_str(text);
            out.push('\'');
        }
        Value::String(text) => {
            out.push('"');
            out.push_str(
                &text
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\t', "\\t"),
            );
            out.push('"');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(&item.value, style, out);
                out.push_str([",", "\n", " , ", " # x\n"][usize::try_from(*style % 4).unwrap()]);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (key, node) in map.iter() {
                let quote = if style.is_multiple_of(2) { "\"" } else { "" };
                let separator = [": ", "=", " ", "\n", " : "][usize::try_from(*style % 5).unwrap()];
                out.push_str(&format!("{quote}{key}{quote}{separator}"));
                write(&node.value, style, out);
                out.push_str([",", "\n", ";", " // y\n"][usize::try_from(*style % 4).unwrap()]);
            }
            out.push('}');
        }
        Value::Float(_) | Value::Date(_) => unreachable!("not made above"),
    }
}

proptest! {
    /// However a tree is written, it is the tree that is read.
    #[test]
    fn what_is_written_is_read(value in tree(), mut style in any::<u64>()) {
        let mut text = String::from("key ");
        write(&value, &mut style, &mut text);
        let map = read(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(shown(&map.get("key").unwrap().value), shown(&value), "{}", text);
    }

    /// Whatever is written, reading it ends, and without a panic.
    #[test]
    fn any_text_is_read_or_refused(text in "[a-c0-9$.:={}\\[\\]()'\"#/,; \n\\\\-]{0,200}") {
        let _ = read(&text);
    }
}
