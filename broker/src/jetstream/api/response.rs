//! The envelope of every answer: a type, and either an error or the members of the type.

use serde::Serialize;

use crate::jetstream::error_code::ApiError;

/// The members of one kind of answer.
pub(crate) trait Body: Serialize {
    /// Kind of the answer without its prefix and suffix, such as `stream_info`.
    const KIND: &'static str;
    /// Members that even an error carries, as JSON with a leading comma: strict decoders miss them otherwise.
    const ERROR_MEMBERS: &'static str = "";
}

/// What goes back to the requester.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    pub(crate) is_error: bool,
}

#[derive(Serialize)]
struct Envelope<B> {
    r#type: String,
    #[serde(flatten)]
    body: B,
}

fn kind<B: Body>() -> String {
    format!("io.nats.jetstream.api.v1.{}_response", B::KIND)
}

/// Writes an answer.
pub(crate) fn answer<B: Body>(result: Result<B, ApiError>) -> Answer {
    let error = match result {
        Ok(body) => {
            let envelope = Envelope {
                r#type: kind::<B>(),
                body,
            };
            return Answer {
                body: serde_json::to_vec(&envelope).expect("answers are plain data"),
                is_error: false,
            };
        }
        Err(error) => serde_json::to_string(&error).expect("an error is plain data"),
    };
    let kind = kind::<B>();
    let members = B::ERROR_MEMBERS;
    Answer {
        body: format!(r#"{{"type":"{kind}","error":{error}{members}}}"#).into_bytes(),
        is_error: true,
    }
}

/// Which part of a long list an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Page {
    pub(crate) total: usize,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

impl Page {
    /// What an error answer of a paged kind carries.
    pub(crate) const EMPTY: &'static str = r#","total":0,"offset":0,"limit":0"#;

    /// The page that begins at `offset`; one beyond the end is empty and begins there.
    pub(crate) fn new(total: usize, offset: i64, limit: usize) -> Self {
        let offset = usize::try_from(offset).unwrap_or(0).min(total);
        Self {
            total,
            offset,
            limit,
        }
    }

    /// The items of this page.
    pub(crate) fn of<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let end = self.offset.saturating_add(self.limit).min(all.len());
        all.get(self.offset..end).unwrap_or_default()
    }
}

/// A call that either worked or did not.
macro_rules! success_body {
    ($name:ident, $kind:literal) => {
        #[doc = concat!("`", $kind, "`.")]
        #[derive(Debug, serde::Serialize)]
        pub(crate) struct $name {
            pub(crate) success: bool,
        }

        impl $crate::jetstream::api::response::Body for $name {
            const KIND: &'static str = $kind;
        }
    };
}
pub(crate) use success_body;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::error_code as code;

    #[derive(Serialize)]
    struct Sample {
        #[serde(flatten)]
        page: Page,
        names: Vec<u8>,
    }

    impl Body for Sample {
        const KIND: &'static str = "sample";
        const ERROR_MEMBERS: &'static str = Page::EMPTY;
    }

    #[test]
    fn an_answer_has_its_type_and_no_null_error() {
        let sample = Sample {
            page: Page::new(3, 1, 5),
            names: vec![7],
        };
        assert_eq!(
            String::from_utf8(answer(Ok(sample)).body).expect("text"),
            r#"{"type":"io.nats.jetstream.api.v1.sample_response","total":3,"offset":1,"limit":5,"names":[7]}"#
        );
    }

    #[test]
    fn an_error_keeps_the_zero_members_of_its_type() {
        let error = answer::<Sample>(Err(code::BAD_REQUEST.into()));
        assert!(error.is_error);
        assert_eq!(
            String::from_utf8(error.body).expect("text"),
            r#"{"type":"io.nats.jetstream.api.v1.sample_response","error":{"code":400,"err_code":10003,"description":"bad request"},"total":0,"offset":0,"limit":0}"#
        );
    }

    #[test]
    fn pages_end_where_the_list_ends() {
        let all = [1, 2, 3, 4];
        assert_eq!(Page::new(4, 0, 3).of(&all), [1, 2, 3]);
        assert_eq!(Page::new(4, 3, 3).of(&all), [4]);
        assert_eq!(Page::new(4, -1, 1).of(&all), [1]);
        let beyond = Page::new(4, 9, 3);
        assert_eq!((beyond.offset, beyond.of(&all)), (4, &[][..]));
    }
}
