//! A bare NATS connection over TCP that sends exactly what a test says.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::PATIENCE;

/// What a server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// MSG or HMSG.
    Message {
        /// Subject it was published to.
        subject: String,
        /// The subscription that matched.
        sid: String,
        /// Where an answer goes.
        reply: Option<String>,
        /// Header block, empty for MSG.
        headers: String,
        /// Body.
        payload: Vec<u8>,
    },
    /// The text between the quotes of -ERR.
    Error(String),
    /// Any other line, without its end.
    Line(String),
    /// The server closed the connection.
    Closed,
}

/// A connection without manners.
#[derive(Debug)]
pub struct Raw {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    inbox: String,
    requests: u64,
}

impl Raw {
    /// Connects and reads nothing yet.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server accepts connections");
        stream
            .set_nodelay(true)
            .expect("a connected socket takes options");
        let port = stream
            .local_addr()
            .expect("a connected socket has an address")
            .port();
        let (reader, writer) = stream.into_split();
        Self {
            reader: BufReader::new(reader),
            writer,
            inbox: format!("_INBOX.rawrawrawrawraw{port:05}"),
            requests: 0,
        }
    }

    /// Sends CONNECT with a token, subscribes the private inbox, and waits until the server has taken both.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn log_in(&mut self, token: &str) {
        let connect = format!(
            "CONNECT {{\"auth_token\":\"{token}\",\"verbose\":false,\"pedantic\":false,\"headers\":true,\
             \"no_responders\":true,\"protocol\":1,\"lang\":\"raw\",\"version\":\"0\"}}\r\nSUB {}.* inbox\r\n",
            self.inbox
        );
        self.send(connect.as_bytes()).await;
        let seen = self.fence().await;
        let refused = seen
            .iter()
            .any(|frame| matches!(frame, Frame::Error(_) | Frame::Closed));
        assert!(!refused, "not let in: {seen:?}");
    }

    /// Sends bytes as they are. An error is left for the next read to find.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes).await;
    }

    /// The next thing the server sends; PING is answered and skipped, INFO is skipped.
    ///
    /// # Panics
    /// When nothing comes within [`PATIENCE`], or what comes is not the protocol.
    pub async fn next(&mut self) -> Frame {
        self.next_within(PATIENCE)
            .await
            .expect("the server says something")
    }

    /// The same with a time limit of its own; `None` when nothing came.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Frame> {
        loop {
            let frame = tokio::time::timeout(patience, self.frame()).await.ok()?;
            match &frame {
                Frame::Line(line) if line.starts_with("INFO ") => {}
                Frame::Line(line) if line == "PING" => self.send(b"PONG\r\n").await,
                _ => return Some(frame),
            }
        }
    }

    /// Everything the server has to say about what was sent so far: sends PING and reads up to PONG or the end.
    pub async fn fence(&mut self) -> Vec<Frame> {
        self.send(b"PING\r\n").await;
        let mut seen = Vec::new();
        loop {
            match self.next().await {
                Frame::Line(line) if line == "PONG" => return seen,
                Frame::Closed => {
                    seen.push(Frame::Closed);
                    return seen;
                }
                frame => seen.push(frame),
            }
        }
    }

    /// Subscribes; the error text when that is refused.
    pub async fn subscribe(&mut self, subject: &str, sid: &str) -> Option<String> {
        self.send(format!("SUB {subject} {sid}\r\n").as_bytes())
            .await;
        self.fence()
            .await
            .into_iter()
            .find_map(|frame| match frame {
                Frame::Error(text) => Some(text),
                _ => None,
            })
    }

    /// One request with a reply subject of its own; what comes back first: the answer, 503, or a refusal.
    pub async fn request(&mut self, subject: &str, payload: &[u8]) -> Frame {
        self.request_with_headers(subject, "", payload).await
    }

    /// The same with a header block such as `Nats-User: bob\r\n`.
    pub async fn request_with_headers(
        &mut self,
        subject: &str,
        headers: &str,
        payload: &[u8],
    ) -> Frame {
        self.requests += 1;
        let reply = format!("{}.{}", self.inbox, self.requests);
        let mut frame = if headers.is_empty() {
            format!("PUB {subject} {reply} {}\r\n", payload.len()).into_bytes()
        } else {
            let block = format!("NATS/1.0\r\n{headers}\r\n");
            let total = block.len() + payload.len();
            format!("HPUB {subject} {reply} {} {total}\r\n{block}", block.len()).into_bytes()
        };
        frame.extend_from_slice(payload);
        frame.extend_from_slice(b"\r\n");
        self.send(&frame).await;
        loop {
            let answer = self.next_within(PATIENCE).await;
            match answer.unwrap_or_else(|| {
                panic!(
                    "{subject} is not answered: {}",
                    String::from_utf8_lossy(payload)
                )
            }) {
                Frame::Message { subject, .. } if subject != reply => {}
                frame => return frame,
            }
        }
    }

    /// The body of an answered request.
    ///
    /// # Panics
    /// When the request is not answered.
    pub async fn ask(&mut self, subject: &str, payload: &str) -> serde_json::Value {
        match self.request(subject, payload.as_bytes()).await {
            Frame::Message {
                payload, headers, ..
            } if headers.is_empty() || !payload.is_empty() => serde_json::from_slice(&payload)
                .unwrap_or_else(|_| {
                    panic!("{subject}: not JSON: {}", String::from_utf8_lossy(&payload))
                }),
            other => panic!("{subject}: {other:?}"),
        }
    }

    async fn frame(&mut self) -> Frame {
        let mut line = String::new();
        match self.reader.read_line(&mut line).await {
            Ok(0) | Err(_) => return Frame::Closed,
            Ok(_) => {}
        }
        let line = line.trim_end_matches(['\r', '\n']);
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (subject, sid, reply, header_bytes, total) = match words.as_slice() {
            ["MSG", subject, sid, total] => (subject, sid, None, "0", total),
            ["MSG", subject, sid, reply, total] => (subject, sid, Some(reply), "0", total),
            ["HMSG", subject, sid, header, total] => (subject, sid, None, *header, total),
            ["HMSG", subject, sid, reply, header, total] => {
                (subject, sid, Some(reply), *header, total)
            }
            _ if line.starts_with("-ERR") => {
                return Frame::Error(line[4..].trim().trim_matches('\'').to_owned());
            }
            _ => return Frame::Line(line.trim_end().to_owned()),
        };
        let number = |text: &str| text.parse::<usize>().expect("sizes are numbers");
        let (header_bytes, total) = (number(header_bytes), number(total));
        let mut body = vec![0; total + 2];
        if self.reader.read_exact(&mut body).await.is_err() {
            return Frame::Closed;
        }
        body.truncate(total);
        let payload = body.split_off(header_bytes);
        Frame::Message {
            subject: (*subject).to_owned(),
            sid: (*sid).to_owned(),
            reply: reply.map(|reply| (*reply).to_owned()),
            headers: String::from_utf8_lossy(&body).into_owned(),
            payload,
        }
    }
}
