//! Sealed messages of the auth callout: `xkv1`, a nonce of 24 bytes, a NaCl box (X25519, XSalsa20-Poly1305).

use crypto_box::aead::Aead;
use crypto_box::{Nonce, SalsaBox};

use super::nkey::{CurveKeyPair, KeyKind, PublicKey};

/// First bytes of a sealed message, with its version.
const VERSION: &[u8] = b"xkv1";
/// Bytes of the nonce behind the version.
const NONCE_LEN: usize = 24;

/// A message that cannot be sealed or opened: cut, forged, or for somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed message cannot be opened")]
pub struct BoxError;

impl CurveKeyPair {
    /// Seals a message so that only `receiver` can open it, and knows that it is ours.
    ///
    /// # Errors
    /// [`BoxError`] when the receiver's key is no curve key.
    pub fn seal(&self, message: &[u8], receiver: &PublicKey) -> Result<Vec<u8>, BoxError> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let sealed = self
            .shared(receiver)?
            .encrypt(&Nonce::from(nonce), message)
            .map_err(|_| BoxError)?;
        Ok([VERSION, &nonce, &sealed].concat())
    }

    /// Opens what `sender` sealed for us.
    ///
    /// # Errors
    /// [`BoxError`] when it is anything else.
    pub fn open(&self, sealed: &[u8], sender: &PublicKey) -> Result<Vec<u8>, BoxError> {
        let rest = sealed.strip_prefix(VERSION).ok_or(BoxError)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(BoxError)?;
        self.shared(sender)?
            .decrypt(&Nonce::from(*nonce), body)
            .map_err(|_| BoxError)
    }

    fn shared(&self, other: &PublicKey) -> Result<SalsaBox, BoxError> {
        if other.kind() != KeyKind::Curve {
            return Err(BoxError);
        }
        let other = crypto_box::PublicKey::from(*other.as_bytes());
        Ok(SalsaBox::new(&other, &self.secret))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// `a sealed word`, sealed by `@nats-io/nkeys` 2.0.3 with the first key for the second.
    const SEALED: &str =
        "eGt2MVxmSGpPUIYvKJBhcx3asnQnakZqWCt2lhAZiV07yewHQvlUedKC4xIMstwz1Ebko2+9gUgE";
    const SENDER: &str = "SXAIIRQPA3OSSNGMWZSHKDAQD5CKTHL5ZZDENBHKAC24XTFWSHDR3JQKYA";
    const SENDER_PUBLIC: &str = "XDX6OU2TRGKWNOHERQUQNIIREEVXXKP4JRMNF6RM3VTQWGK5F7WUZ5KO";
    const RECEIVER: &str = "SXADX3INEJ7JU2IQXYGWV6W2XKXVM6TPXOSBWPDFAEJ6F2ZCLPZ4H5FIWA";

    #[test]
    fn a_box_of_another_client_opens() {
        let receiver = CurveKeyPair::from_seed(RECEIVER).unwrap();
        let sender = CurveKeyPair::from_seed(SENDER).unwrap().public();
        assert_eq!(sender.to_string(), SENDER_PUBLIC);
        let opened = receiver.open(&STANDARD.decode(SEALED).unwrap(), &sender);
        assert_eq!(opened.unwrap(), b"a sealed word");
    }

    #[test]
    fn only_the_receiver_opens_and_only_what_is_whole() {
        let [sender, receiver, other] = [(); 3].map(|()| CurveKeyPair::generate());
        let sealed = sender.seal(b"word", &receiver.public()).unwrap();
        assert_eq!(receiver.open(&sealed, &sender.public()).unwrap(), b"word");
        assert!(other.open(&sealed, &sender.public()).is_err());
        assert!(receiver.open(&sealed, &other.public()).is_err());
        for len in 0..sealed.len() {
            assert!(receiver.open(&sealed[..len], &sender.public()).is_err());
        }
        let mut forged = sealed;
        *forged.last_mut().unwrap() ^= 1;
        assert!(receiver.open(&forged, &sender.public()).is_err());
    }
}
