//! Subject transforms: from what a source pattern matched to another subject.
//!
//! The language is nats-server's. A destination is a list of tokens; a whole token may be `$n` or a function in double
//! braces, which look at what the wildcards of the source matched:
//!
//! | token | becomes |
//! | --- | --- |
//! | `$n`, `{{wildcard(n)}}` | what the n-th wildcard matched |
//! | `{{partition(p)}}`, `{{partition(p,n,...)}}` | a number below `p`, the same for the same subject (or the same tokens) |
//! | `{{random(p)}}` | a random number below `p` |
//! | `{{split(n,separator)}}` | the token, with dots in place of the separator |
//! | `{{splitfromleft(n,k)}}`, `{{splitfromright(n,k)}}` | the token with one dot, `k` bytes from that end |
//! | `{{slicefromleft(n,k)}}`, `{{slicefromright(n,k)}}` | the token in slices of `k` bytes, counted from that end |
//! | `{{left(n,k)}}`, `{{right(n,k)}}` | the first or last `k` bytes of the token |
//!
//! A final `>` stands on both sides or on neither, and what it matched is carried over.

use bytes::Bytes;

use crate::subject::is_filter;

/// Why a transform is not one. The texts are nats-server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransformError {
    /// The source is no subject pattern.
    #[error("invalid subject {subject}")]
    Source { subject: String },
    /// The two do not fit together: a `>` on one side only, or a `*` in the destination.
    #[error("invalid subject")]
    Mismatch,
    /// The destination is no subject.
    #[error("invalid mapping destination: invalid transform")]
    Destination,
    #[error("invalid mapping destination: unknown function in {token}")]
    UnknownFunction { token: String },
    #[error("invalid mapping destination: not enough arguments passed to the function in {token}")]
    TooFewArguments { token: String },
    #[error("invalid mapping destination: too many arguments passed to the function in {token}")]
    TooManyArguments { token: String },
    #[error(
        "invalid mapping destination: function argument is invalid or in the wrong format in {token}"
    )]
    Argument { token: String },
    #[error("invalid mapping destination: wildcard index out of range in {token}: [{index}]")]
    Index { token: String, index: usize },
    /// A wildcard of the source is lost.
    #[error("invalid mapping destination: not using all of the token wildcard(s) in {destination}")]
    UnusedWildcard { destination: String },
    /// The source has no wildcard at all.
    #[error("invalid mapping destination: wildcard index out of range in {token}")]
    NoWildcard { token: String },
}

/// A checked transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transform {
    source: Box<str>,
    destination: Box<str>,
    parts: Vec<Part>,
    /// Tokens of the source before its `>`; `None` where it has none.
    fixed_tokens: Option<usize>,
}

/// What one token of the destination becomes. Tokens of the subject are named by their place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Wildcard(usize),
    /// `None`: the whole subject decides.
    Partition(u32, Option<Vec<usize>>),
    Random(u32),
    Split(usize, Box<str>),
    Cut(Cut, usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    SplitFromLeft,
    SplitFromRight,
    SliceFromLeft,
    SliceFromRight,
    Left,
    Right,
}

impl Transform {
    /// Checks a transform; an empty source is `>`.
    ///
    /// # Errors
    /// Says in nats-server's words what is wrong with it.
    pub(crate) fn parse(source: &str, destination: &str) -> Result<Self, TransformError> {
        let source = if source.is_empty() { ">" } else { source };
        if !is_pattern(source) {
            return Err(TransformError::Source {
                subject: source.to_owned(),
            });
        }
        if !is_pattern(&without_functions(destination)) {
            return Err(TransformError::Destination);
        }
        let tokens: Vec<&str> = source.split('.').collect();
        let wildcards: Vec<usize> = (0..tokens.len())
            .filter(|index| tokens[*index] == "*")
            .collect();
        let is_literal = wildcards.is_empty() && tokens.last() != Some(&">");
        let mut parts = Vec::new();
        let mut is_open = false;
        for token in destination.split('.') {
            match token {
                ">" => is_open = true,
                "*" => return Err(TransformError::Mismatch),
                token => {
                    let context = Context {
                        token,
                        wildcards: &wildcards,
                        is_literal,
                    };
                    parts.push(Part::parse(&context)?);
                }
            }
        }
        let fixed_tokens = (tokens.last() == Some(&">")).then(|| tokens.len() - 1);
        if is_open != fixed_tokens.is_some() {
            return Err(TransformError::Mismatch);
        }
        Ok(Self {
            source: source.into(),
            destination: destination.into(),
            parts,
            fixed_tokens,
        })
    }

    /// The transformed subject, or `None` where the source does not match.
    pub(crate) fn apply(&self, subject: &[u8]) -> Option<Bytes> {
        self.apply_with(subject, |below| rand::random_range(..below))
    }

    fn apply_with(&self, subject: &[u8], random: impl Fn(u32) -> u32) -> Option<Bytes> {
        if !crate::subject::matches(self.source.as_bytes(), subject) {
            return None;
        }
        let tokens: Vec<&[u8]> = subject.split(|byte| *byte == b'.').collect();
        let mut out = Vec::with_capacity(self.destination.len() + subject.len());
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                out.push(b'.');
            }
            part.write(&tokens, subject, &random, &mut out);
        }
        if let Some(fixed) = self.fixed_tokens {
            for token in &tokens[fixed..] {
                if !out.is_empty() {
                    out.push(b'.');
                }
                out.extend_from_slice(token);
            }
        }
        Some(out.into())
    }
}

impl Part {
    fn parse(context: &Context<'_>) -> Result<Self, TransformError> {
        let token = context.token;
        if let Some(number) = token.strip_prefix('$').and_then(|text| text.parse().ok()) {
            return Ok(Self::Wildcard(context.place(number)?));
        }
        let Some(call) = function(token) else {
            return Ok(Self::Literal(token.into()));
        };
        let Some((name, arguments)) = call
            .trim()
            .strip_suffix(')')
            .and_then(|call| call.split_once('('))
        else {
            return Err(context.unknown());
        };
        context.call(name.trim(), arguments)
    }

    fn write(
        &self,
        tokens: &[&[u8]],
        subject: &[u8],
        random: impl Fn(u32) -> u32,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Self::Wildcard(place) => out.extend_from_slice(tokens[*place]),
            Self::Partition(partitions, None) => {
                write_number(partition(*partitions, [subject]), out);
            }
            Self::Partition(partitions, Some(places)) => {
                let keys = places.iter().map(|place| tokens[*place]);
                write_number(partition(*partitions, keys), out);
            }
            Self::Random(0) => out.push(b'0'),
            Self::Random(below) => write_number(random(*below), out),
            Self::Split(place, separator) => split(tokens[*place], separator, out),
            Self::Cut(cut, place, len) => cut.write(tokens[*place], *len, out),
        }
    }
}

/// The token that is being read, for messages, and where the wildcards of the source are.
struct Context<'a> {
    token: &'a str,
    wildcards: &'a [usize],
    /// The source has no wildcard of any kind.
    is_literal: bool,
}

impl Context<'_> {
    fn call(&self, name: &str, arguments: &str) -> Result<Part, TransformError> {
        const CUTS: [(&[&str], Cut); 6] = [
            (&["split", "from", "left"], Cut::SplitFromLeft),
            (&["split", "from", "right"], Cut::SplitFromRight),
            (&["slice", "from", "left"], Cut::SliceFromLeft),
            (&["slice", "from", "right"], Cut::SliceFromRight),
            (&["left"], Cut::Left),
            (&["right"], Cut::Right),
        ];
        let arguments: Vec<&str> = match arguments {
            "" => Vec::new(),
            // The separator of `split` may be blank, so only what stands before an argument is dropped.
            some => some.split(',').map(str::trim_start).collect(),
        };
        if is_called(name, &["wildcard"]) {
            let [place] = self.exactly(&arguments)?;
            return Ok(Part::Wildcard(self.place(self.number(place)?)?));
        }
        if is_called(name, &["partition"]) {
            return self.partition(&arguments);
        }
        if is_called(name, &["random"]) {
            let below = arguments.first().ok_or_else(|| self.bad_argument())?;
            return Ok(Part::Random(self.small_number(below)?));
        }
        if is_called(name, &["split"]) {
            let [place, separator] = self.exactly(&arguments)?;
            if separator.contains([' ', '.']) {
                return Err(self.bad_argument());
            }
            let place = self.place(self.number(place)?)?;
            return Ok(Part::Split(place, separator.into()));
        }
        let cut = CUTS.iter().find(|(words, _)| is_called(name, words));
        let (_, cut) = cut.ok_or_else(|| self.unknown())?;
        let [place, len] = self.exactly(&arguments)?;
        let place = self.place(self.number(place)?)?;
        Ok(Part::Cut(*cut, place, self.number(len)?))
    }

    fn partition(&self, arguments: &[&str]) -> Result<Part, TransformError> {
        let Some((partitions, places)) = arguments.split_first() else {
            return Err(self.bad_argument());
        };
        let partitions = self.small_number(partitions)?;
        if self.is_literal {
            // Whatever is named, the whole subject decides.
            return Ok(Part::Partition(partitions, None));
        }
        let places: Result<Vec<usize>, _> = places
            .iter()
            .map(|place| self.place(self.number(place)?))
            .collect();
        let places = places?;
        Ok(Part::Partition(
            partitions,
            (!places.is_empty()).then_some(places),
        ))
    }

    fn exactly<'a, const N: usize>(
        &self,
        arguments: &[&'a str],
    ) -> Result<[&'a str; N], TransformError> {
        let token = self.token.to_owned();
        match arguments.len() {
            len if len < N => Err(TransformError::TooFewArguments { token }),
            len if len > N => Err(TransformError::TooManyArguments { token }),
            _ => Ok(std::array::from_fn(|index| arguments[index])),
        }
    }

    /// A negative number is 0, as there.
    fn number(&self, text: &str) -> Result<usize, TransformError> {
        let number: i64 = text.trim().parse().map_err(|_| self.bad_argument())?;
        Ok(usize::try_from(number).unwrap_or(0))
    }

    fn small_number(&self, text: &str) -> Result<u32, TransformError> {
        u32::try_from(self.number(text)?).map_err(|_| self.bad_argument())
    }

    /// Where in the subject the n-th wildcard is. Number 0 is the first token, as there.
    fn place(&self, number: usize) -> Result<usize, TransformError> {
        if self.is_literal {
            let token = self.token.to_owned();
            return Err(TransformError::NoWildcard { token });
        }
        let Some(index) = number.checked_sub(1) else {
            return Ok(0);
        };
        let place = self.wildcards.get(index).copied();
        place.ok_or_else(|| TransformError::Index {
            token: self.token.to_owned(),
            index: number,
        })
    }

    fn unknown(&self) -> TransformError {
        TransformError::UnknownFunction {
            token: self.token.to_owned(),
        }
    }

    fn bad_argument(&self) -> TransformError {
        TransformError::Argument {
            token: self.token.to_owned(),
        }
    }
}

impl Cut {
    fn write(self, token: &[u8], len: usize, out: &mut Vec<u8>) {
        if len == 0 || len >= token.len() {
            out.extend_from_slice(token);
            return;
        }
        let rest = token.len() - len;
        match self {
            Self::Left => out.extend_from_slice(&token[..len]),
            Self::Right => out.extend_from_slice(&token[rest..]),
            Self::SplitFromLeft => write_joined([&token[..len], &token[len..]], out),
            Self::SplitFromRight => write_joined([&token[..rest], &token[rest..]], out),
            Self::SliceFromLeft => write_joined(token.chunks(len), out),
            Self::SliceFromRight => {
                let odd = token.len() % len;
                let head = (odd > 0).then_some(&token[..odd]);
                write_joined(head.into_iter().chain(token[odd..].chunks(len)), out);
            }
        }
    }
}

/// What stands in the braces, where the whole token is a function.
fn function(token: &str) -> Option<&str> {
    token.strip_prefix("{{")?.strip_suffix("}}")
}

/// The destination with every function replaced by a plain word: what its shape is judged by.
fn without_functions(destination: &str) -> String {
    let plain = |token| {
        if function(token).is_some() {
            "f"
        } else {
            token
        }
    };
    let tokens: Vec<&str> = destination.split('.').map(plain).collect();
    tokens.join(".")
}

fn is_pattern(text: &str) -> bool {
    is_filter(text.as_bytes()) && !text.contains([' ', '\t', '\r', '\n', '\x0c'])
}

/// Whether a function is meant: each word of its name may start with a capital.
fn is_called(name: &str, words: &[&str]) -> bool {
    let mut rest = name;
    for word in words {
        let Some((head, tail)) = rest.split_at_checked(word.len()) else {
            return false;
        };
        if !head.eq_ignore_ascii_case(word) || head[1..] != word[1..] {
            return false;
        }
        rest = tail;
    }
    rest.is_empty()
}

/// FNV-1a over all keys, as nats-server does it: partitions agree with what its users have.
fn partition<'a>(partitions: u32, keys: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let bytes = keys.into_iter().flatten();
    let hash = bytes.fold(2_166_136_261_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(16_777_619)
    });
    hash.checked_rem(partitions).unwrap_or(0)
}

fn split(token: &[u8], separator: &str, out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(token);
    let parts = text.split(separator).filter(|part| !part.is_empty());
    write_joined(parts.map(str::as_bytes), out);
}

fn write_joined<'a>(parts: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(part);
    }
}

fn write_number(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apply(source: &str, destination: &str, subject: &str) -> Option<String> {
        let transform = Transform::parse(source, destination).expect("a transform");
        let applied = transform.apply_with(subject.as_bytes(), |below| below - 1)?;
        Some(String::from_utf8(applied.to_vec()).expect("text in, text out"))
    }

    #[track_caller]
    fn check(source: &str, destination: &str, subject: &str, expected: &str) {
        let applied = apply(source, destination, subject);
        assert_eq!(applied.as_deref(), Some(expected), "{subject}");
    }

    #[track_caller]
    fn check_refused(source: &str, destination: &str, text: &str) {
        let refused = Transform::parse(source, destination).expect_err("refused");
        assert_eq!(refused.to_string(), text);
    }

    #[test]
    fn wildcards_are_carried_over() {
        check("a.*", "b.$1", "a.x", "b.x");
        check("a.*", "b.{{wildcard(1)}}.$1", "a.x", "b.x.x");
        check("a.*.*", "x.$2.{{ Wildcard ( 1 ) }}", "a.b.c", "x.c.b");
        check("a.*", "x.{{wildcard(0)}}", "a.b", "x.a");
        check("", "x.>", "a.b", "x.a.b");
        check(">", "x.>", "a", "x.a");
        check("x.>", ">", "x.a.b", "a.b");
        check("a.*.>", "y.{{wildcard(1)}}.>", "a.b.c.d", "y.b.c.d");
        check("a.*.>", "y.>", "a.b.c.d", "y.c.d");
        assert_eq!(apply("a.>", "x.>", "b.c"), None);
        assert_eq!(apply("a.>", "x.>", "a"), None);
    }

    #[test]
    fn only_whole_tokens_are_functions() {
        check("a.*", "pre$1", "a.b", "pre$1");
        check("a.*", "x.$", "a.b", "x.$");
        check("a.*", "x.{{wildcard(1)}}y", "a.b", "x.{{wildcard(1)}}y");
        check("a.*", "{{", "a.b", "{{");
        check("a.*", "x.{{split(1,.)}}", "a.b", "x.{{split(1,.)}}");
    }

    /// The numbers are what nats-server 2.15 gives.
    #[test]
    fn partitions_agree_with_nats_server() {
        check("a.*.*", "x.{{partition(1000)}}", "a.b.c", "x.311");
        check(
            "a.*.*",
            "{{partition(1000,1,2)}}.{{partition(1000,2,1)}}",
            "a.b.c",
            "946.88",
        );
        check("a.*.>", "y.{{partition(1000)}}.>", "a.b.c.d", "y.701.c.d");
        check("a.*", "x.{{partition(10,1)}}", "a.abcdefgh", "x.7");
        check("a", "b.{{partition(10)}}", "a", "b.0");
        check("o.bcd", "m.{{partition(1000,7)}}", "o.bcd", "m.497");
        check("a.*", "x.{{partition(0,1)}}", "a.b", "x.0");
        check("a.*", "x.{{random(10)}}", "a.b", "x.9");
        check("a.*", "x.{{random(0)}}", "a.b", "x.0");
    }

    #[test]
    fn tokens_are_cut() {
        check("a.*", "x.{{split(1,-)}}", "a.-a--b-", "x.a.b");
        check("a.*", "x.{{split(1,ab)}}", "a.abcdefgh", "x.cdefgh");
        check("a.*", "x.{{split(1, )}}", "a.abc", "x.a.b.c");
        for (function, long, exact) in [
            ("splitfromleft(1,3)", "abc.defgh", "abc"),
            ("splitfromright(1,3)", "abcde.fgh", "abc"),
            ("slicefromleft(1,3)", "abc.def.gh", "abc"),
            ("slicefromright(1,3)", "ab.cde.fgh", "abc"),
            ("SliceFromRight(1,4)", "abcd.efgh", "abc"),
            ("left(1,3)", "abc", "abc"),
            ("right(1,3)", "fgh", "abc"),
            ("right(1,0)", "abcdefgh", "abc"),
            ("left(1,-1)", "abcdefgh", "abc"),
        ] {
            let destination = format!("{{{{{function}}}}}");
            check("a.*", &destination, "a.abcdefgh", long);
            check("a.*", &destination, "a.abc", exact);
        }
    }

    #[test]
    fn mistakes_are_named_as_nats_server_names_them() {
        let head = "invalid mapping destination: ";
        for (destination, text) in [
            ("b.$2", "wildcard index out of range in $2: [2]"),
            (
                "x.{{partition(3,2)}}",
                "wildcard index out of range in {{partition(3,2)}}: [2]",
            ),
            ("b.{{foo(1)}}", "unknown function in {{foo(1)}}"),
            ("b.{{SPLIT(1,-)}}", "unknown function in {{SPLIT(1,-)}}"),
            ("x.{{wildcard(1}}", "unknown function in {{wildcard(1}}"),
            (
                "x.{{split(1)}}",
                "not enough arguments passed to the function in {{split(1)}}",
            ),
            (
                "x.{{wildcard()}}",
                "not enough arguments passed to the function in {{wildcard()}}",
            ),
            (
                "x.{{split(1,-,3)}}",
                "too many arguments passed to the function in {{split(1,-,3)}}",
            ),
            (
                "x.{{left(1,x)}}",
                "function argument is invalid or in the wrong format in {{left(1,x)}}",
            ),
            (
                "x.{{partition()}}",
                "function argument is invalid or in the wrong format in {{partition()}}",
            ),
            (
                "x.{{random()}}",
                "function argument is invalid or in the wrong format in {{random()}}",
            ),
            (
                "x.{{split( 1 , - )}}",
                "function argument is invalid or in the wrong format in {{split( 1 , - )}}",
            ),
            ("x..y", "invalid transform"),
            ("x y", "invalid transform"),
            ("", "invalid transform"),
        ] {
            check_refused("a.*", destination, &format!("{head}{text}"));
        }
        for token in ["$1", "$0", "{{wildcard(1)}}", "{{left(1,2)}}"] {
            let text = format!("{head}wildcard index out of range in {token}");
            check_refused("a.b", &format!("x.{token}"), &text);
        }
        check_refused("a.>", "b", "invalid subject");
        check_refused("a.*", "b.>", "invalid subject");
        check_refused("a.*", "b.*", "invalid subject");
        check_refused("a..b", "x", "invalid subject a..b");
    }

    fn token() -> impl Strategy<Value = String> {
        "[a-c*$>{}()1-3,-]{1,12}"
    }

    fn subject() -> impl Strategy<Value = String> {
        prop::collection::vec(token(), 1..4).prop_map(|tokens| tokens.join("."))
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_can_be_applied(
            source in subject(),
            destination in subject(),
            published in subject(),
        ) {
            if let Ok(transform) = Transform::parse(&source, &destination) {
                let is_match = crate::subject::matches(source.as_bytes(), published.as_bytes());
                prop_assert_eq!(transform.apply(published.as_bytes()).is_some(), is_match);
            }
        }

        #[test]
        fn moving_a_prefix_and_back_changes_nothing(tail in "[a-z]{1,5}(\\.[a-z]{1,5}){0,3}") {
            let there = apply("from.>", "to.{{wildcard(0)}}.>", &format!("from.{tail}"));
            prop_assert_eq!(there.as_deref(), Some(&*format!("to.from.{tail}")));
            prop_assert_eq!(apply("to.from.>", "from.>", &there.unwrap_or_default()), Some(format!("from.{tail}")));
        }

        #[test]
        fn cutting_loses_no_byte(word in "[a-z]{1,20}", len in 0_usize..8) {
            for function in ["splitfromleft", "splitfromright", "slicefromleft", "slicefromright"] {
                let destination = format!("{{{{{function}(1,{len})}}}}");
                let cut = apply("a.*", &destination, &format!("a.{word}")).unwrap_or_default();
                prop_assert_eq!(cut.replace('.', ""), word.clone());
                prop_assert!(!cut.starts_with('.') && !cut.ends_with('.') && !cut.contains(".."));
            }
        }
    }
}
