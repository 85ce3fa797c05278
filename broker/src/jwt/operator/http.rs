//! One GET without redirects, for the URL resolver: HTTP/1.0, so that an answer ends where the connection does.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::limits::JWT_BYTES_MAX;

/// Bytes of status line and headers.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header lines.
const HEADERS_MAX: usize = 64;

/// The body of a 200; `None` for any other answer, such as 404.
pub(super) async fn get(url: &Url) -> io::Result<Option<String>> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned());
    let host = url.host_str().ok_or_else(|| invalid("no host"))?;
    let port = url
        .port_or_known_default()
        .ok_or_else(|| invalid("no port"))?;
    let mut socket = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: application/jwt, text/plain\r\n\r\n",
        url.path()
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let bytes_max = (HEAD_BYTES_MAX + JWT_BYTES_MAX) as u64;
    socket.take(bytes_max).read_to_end(&mut answer).await?;
    body(&answer)
}

fn body(answer: &[u8]) -> io::Result<Option<String>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(answer)
        .map_err(|error| invalid(error.to_string()))?;
    let httparse::Status::Complete(at) = parsed else {
        return Err(invalid("the answer is cut short".to_owned()));
    };
    if response.code != Some(200) {
        return Ok(None);
    }
    let text = String::from_utf8(answer[at..].to_vec());
    text.map(Some).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_200_has_a_body() {
        let read = |text: &str| body(text.as_bytes());
        let good = read("HTTP/1.0 200 OK\r\nContent-Type: application/jwt\r\n\r\na.b.c");
        assert_eq!(good.unwrap().as_deref(), Some("a.b.c"));
        assert_eq!(read("HTTP/1.1 404 Not Found\r\n\r\nx").unwrap(), None);
        assert_eq!(
            read("HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n").unwrap(),
            None
        );
        assert!(read("HTTP/1.0 200 OK\r\nContent").is_err());
        assert!(read("").is_err());
        assert!(read("nonsense\r\n\r\n").is_err());
    }
}
