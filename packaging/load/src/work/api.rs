//! Requests to the JetStream API, just enough for what is measured.

use serde_json::{Value, json};

use super::new_inbox;
use crate::Error;
use crate::connection::{CHUNK_BYTES, Connection};
use crate::frames::Frames;
use crate::target::Target;

/// JetStream's number for a stream that does not exist.
const STREAM_NOT_FOUND: u64 = 10_059;

/// A stream to be made.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// Its name; `KV_<bucket>` for a bucket.
    pub name: String,
    /// What it captures.
    pub subjects: String,
    /// In memory instead of files.
    pub in_memory: bool,
    /// Copies in a cluster.
    pub replicas: usize,
    /// A key-value bucket with a history of one.
    pub is_bucket: bool,
}

impl StreamSettings {
    fn to_json(&self) -> Value {
        let mut settings = json!({
            "name": self.name,
            "subjects": [self.subjects],
            "storage": if self.in_memory { "memory" } else { "file" },
            "retention": "limits",
            "num_replicas": self.replicas,
            "allow_direct": true,
        });
        if self.is_bucket {
            // ADR-8
            settings["max_msgs_per_subject"] = 1.into();
            settings["discard"] = "new".into();
            settings["allow_rollup_hdrs"] = true.into();
            settings["deny_delete"] = true.into();
        }
        settings
    }
}

/// A client of the JetStream API.
#[derive(Debug)]
pub struct Api {
    pub(crate) frames: Frames,
}

impl Api {
    /// Connects.
    ///
    /// # Errors
    /// Nobody is there, or the client is not let in.
    pub fn connect(target: &Target) -> Result<Self, Error> {
        let inbox = new_inbox();
        let connection = Connection::open(target, &format!("SUB {inbox}.* 1\r\n"))?;
        Ok(Self {
            frames: Frames::new(connection, inbox, CHUNK_BYTES),
        })
    }

    /// Asks `$JS.API.<name>`.
    ///
    /// # Errors
    /// Nobody answers, or the answer is a refusal.
    pub fn call(&mut self, name: &str, body: &Value) -> Result<Value, Error> {
        let answer = self.ask(name, body)?;
        let Some(error) = answer.get("error") else {
            return Ok(answer);
        };
        let text = error["description"].as_str().unwrap_or_default();
        Err(Error::JetStream {
            call: name.to_owned(),
            text: text.to_owned(),
        })
    }

    fn ask(&mut self, name: &str, body: &Value) -> Result<Value, Error> {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let (inbox, len) = (&self.frames.inbox, body.len());
        let request = format!("PUB $JS.API.{name} {inbox}.api {len}\r\n{body}\r\n");
        self.frames.send(request.as_bytes())?;
        let answer = self.frames.wait()?;
        if self.frames.status(&answer) == Some(b"503") {
            return Err(Error::NoResponders(format!(
                "$JS.API.{name} (is JetStream on?)"
            )));
        }
        let payload = self.frames.payload(&answer);
        serde_json::from_slice(payload)
            .map_err(|_| Error::Malformed(String::from_utf8_lossy(payload).into_owned()))
    }

    /// Makes a stream, or takes the one that is there.
    ///
    /// # Errors
    /// The server refuses, for example because there is one with another configuration.
    pub fn create_stream(&mut self, settings: &StreamSettings) -> Result<(), Error> {
        let name = format!("STREAM.CREATE.{}", settings.name);
        self.call(&name, &settings.to_json()).map(drop)
    }

    /// Removes a stream; one that is not there is fine.
    ///
    /// # Errors
    /// The server refuses.
    pub fn delete_stream(&mut self, stream: &str) -> Result<(), Error> {
        let name = format!("STREAM.DELETE.{stream}");
        let answer = self.ask(&name, &Value::Null)?;
        match answer.get("error") {
            Some(error) if error["err_code"] != STREAM_NOT_FOUND => Err(Error::JetStream {
                call: name,
                text: error["description"].as_str().unwrap_or_default().to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Removes every message of a stream.
    ///
    /// # Errors
    /// The server refuses.
    pub fn purge_stream(&mut self, stream: &str) -> Result<(), Error> {
        self.call(&format!("STREAM.PURGE.{stream}"), &Value::Null)
            .map(drop)
    }

    /// A number of a stream's state: `messages`, `last_seq` or another.
    ///
    /// # Errors
    /// There is no such stream.
    pub fn stream_state(&mut self, stream: &str, field: &str) -> Result<u64, Error> {
        let info = self.call(&format!("STREAM.INFO.{stream}"), &Value::Null)?;
        Ok(info["state"][field].as_u64().unwrap_or(0))
    }
}
