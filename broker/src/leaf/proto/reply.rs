//! Stream messages on a link carry their own subject behind `@` in the acknowledgement subject: the message itself
//! travels on the subject that its receiver listens on.

/// Acknowledgement subjects begin with this.
const ACK: &[u8] = b"$JS.ACK.";
/// Dots before which an `@` belongs to a name.
const DOTS: usize = 8;

/// Splits a reply subject into the reply proper and the subject that the receiver is to see.
pub(crate) fn split(reply: &[u8]) -> (&[u8], Option<&[u8]>) {
    if !reply.starts_with(ACK) {
        return (reply, None);
    }
    let Some(eighth) = memchr::memchr_iter(b'.', reply).nth(DOTS - 1) else {
        return (reply, None);
    };
    match memchr::memchr(b'@', &reply[eighth..]) {
        Some(at) => {
            let (reply, subject) = reply.split_at(eighth + at);
            (
                reply,
                Some(&subject[1..]).filter(|subject| !subject.is_empty()),
            )
        }
        None => (reply, None),
    }
}

/// Whether a message with this reply takes its subject along.
pub(crate) fn takes_subject(reply: &[u8]) -> bool {
    reply.starts_with(ACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &str, proper: &str, subject: Option<&str>) {
        let expected = (proper.as_bytes(), subject.map(str::as_bytes));
        assert_eq!(split(reply.as_bytes()), expected);
    }

    #[test]
    fn the_subject_of_a_stream_message_is_cut_off_its_reply() {
        check(
            "$JS.ACK.HS.d.1.1.1.17.0@hs.1",
            "$JS.ACK.HS.d.1.1.1.17.0",
            Some("hs.1"),
        );
        check("$JS.ACK.H@S.d.1.1.1.17.0", "$JS.ACK.H@S.d.1.1.1.17.0", None);
        check(
            "$JS.ACK.S.d.1.1.1.17.0@a@b",
            "$JS.ACK.S.d.1.1.1.17.0",
            Some("a@b"),
        );
        check("$JS.ACK.S.d.1.1.1.17.0@", "$JS.ACK.S.d.1.1.1.17.0", None);
        check("_INBOX.a@b", "_INBOX.a@b", None);
        check("$JS.ACK.S.d@x", "$JS.ACK.S.d@x", None);
    }
}
