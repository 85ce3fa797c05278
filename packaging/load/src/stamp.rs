//! The time that some payloads carry, so that their way can be measured also between two processes of one machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a payload with a time begins with. Others are made of letters.
const MARK: [u8; 4] = *b"\x00nj\x01";
/// Mark and time, in bytes: shorter payloads carry none.
pub(crate) const STAMP_BYTES: usize = 12;

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Writes the time to the beginning of a payload that is long enough.
pub(crate) fn write(payload: &mut [u8]) {
    if let Some(place) = payload.get_mut(..STAMP_BYTES) {
        place[..4].copy_from_slice(&MARK);
        place[4..].copy_from_slice(&now().to_le_bytes());
    }
}

/// How long ago a payload was stamped, if it was.
#[inline]
pub(crate) fn age(payload: &[u8]) -> Option<Duration> {
    let (mark, rest) = payload.split_first_chunk()?;
    if *mark != MARK {
        return None;
    }
    let then = u64::from_le_bytes(*rest.first_chunk()?);
    Some(Duration::from_nanos(now().saturating_sub(then)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stamped_payloads_have_an_age() {
        let mut payload = [b'x'; 16];
        assert_eq!(age(&payload), None);
        write(&mut payload);
        assert!(age(&payload).unwrap() < Duration::from_secs(60));
        assert_eq!(age(&payload[..8]), None);
        write(&mut payload[..3]);
        assert!(age(&payload).is_some());
    }
}
