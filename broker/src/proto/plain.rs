//! The quick way through the arguments of a publish: most lines by far have the plainest form there is, and reading those
//! with as much care as the others took a fifth of a publisher's time.

use super::parse::SIZE_DIGITS_MAX;

/// The arguments of a `PUB` with exactly one blank between them and a size without leading zeros.
#[derive(Debug)]
pub(super) struct Plain<'a> {
    pub(super) subject: &'a [u8],
    /// Empty where there is none.
    pub(super) reply: &'a [u8],
    pub(super) size: usize,
    /// Where in the arguments what follows the subject begins.
    pub(super) tail: usize,
}

/// `None`: the line is to be read with care, and may be fine.
#[inline]
pub(super) fn arguments(args: &[u8]) -> Option<Plain<'_>> {
    let mut digits = args.len();
    let (mut size, mut unit) = (0, 1);
    while let Some(digit) = args[..digits].last()
        && digit.is_ascii_digit()
    {
        if args.len() - digits == SIZE_DIGITS_MAX {
            return None;
        }
        size += usize::from(digit - b'0') * unit;
        unit *= 10;
        digits -= 1;
    }
    let number = &args[digits..];
    if number.is_empty() || (number[0] == b'0' && number.len() > 1) {
        return None;
    }
    let names = args[..digits].strip_suffix(b" ")?;
    // Below the blank are tab and line ends: those, and a second blank, are for the careful way.
    let (subject, reply) = match names.iter().position(|byte| *byte <= b' ') {
        None => (names, &names[..0]),
        Some(end) => {
            let reply = names[end..].strip_prefix(b" ")?;
            if reply.is_empty() || reply.iter().any(|byte| *byte <= b' ') {
                return None;
            }
            (&names[..end], reply)
        }
    };
    (!subject.is_empty()).then_some(Plain {
        subject,
        reply,
        size,
        tail: subject.len() + 1,
    })
}
