//! `$JS.API.CONSUMER.>`.

use serde::{Deserialize, Serialize};

use super::Asked;
use super::decode::decode_json;
use super::response::{Answer, Body, Page, answer, success_body};
use crate::jetstream::error_code::{self as code, ApiError};
use crate::jetstream::limits::NAMES_PAGE;

success_body!(ConsumerDeleted, "consumer_delete");

#[derive(Debug, Serialize)]
struct ConsumerNames {
    #[serde(flatten)]
    page: Page,
    consumers: Vec<String>,
}

impl Body for ConsumerNames {
    const KIND: &'static str = "consumer_names";
    const ERROR_MEMBERS: &'static str = r#","total":0,"offset":0,"limit":0,"consumers":null"#;
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListRequest {
    offset: i64,
}

/// Does what is asked; the tokens follow `CONSUMER`. `None`: there is no such call.
pub(super) async fn answer_call(asked: Asked<'_>, call: &[&str]) -> Option<Answer> {
    match call {
        ["NAMES", stream] => Some(answer(names(asked, stream))),
        ["DELETE", stream, name] => Some(answer(delete(asked, stream, name).await)),
        _ => None,
    }
}

/// The answer to a call that is refused before it is looked at.
pub(super) fn refusal(call: &[&str], error: ApiError) -> Option<Answer> {
    match call {
        ["NAMES", _] => Some(answer::<ConsumerNames>(Err(error))),
        ["DELETE", _, _] => Some(answer::<ConsumerDeleted>(Err(error))),
        _ => None,
    }
}

fn names(asked: Asked<'_>, stream: &str) -> Result<ConsumerNames, ApiError> {
    let stream = asked.stream(stream)?;
    let request: ListRequest = decode_json(&asked.request.payload, asked.strict())?;
    let names = stream.consumers().names();
    let page = Page::new(names.len(), request.offset, NAMES_PAGE);
    Ok(ConsumerNames {
        consumers: page.of(&names).to_vec(),
        page,
    })
}

async fn delete(asked: Asked<'_>, stream: &str, name: &str) -> Result<ConsumerDeleted, ApiError> {
    let stream = asked.stream(stream)?;
    if !stream.consumers().remove(name).await? {
        return Err(code::CONSUMER_NOT_FOUND.into());
    }
    Ok(ConsumerDeleted { success: true })
}
