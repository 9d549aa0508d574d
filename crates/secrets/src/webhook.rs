//! Signs what is sent to webhooks, as <https://www.standardwebhooks.com> says.

use std::fmt;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;
use zeroize::Zeroize;

use crate::Result;
use crate::key::fill_random;

/// What each secret begins with.
const PREFIX: &str = "whsec_";

/// Bytes of a new secret; those of others have 24 to 64.
const SECRET_BYTES: usize = 32;

/// A secret that its receiver has too. It is wiped when it is dropped, and shows itself to nobody.
pub struct WebhookSecret(SecretBox<Vec<u8>>);

impl WebhookSecret {
    /// A new secret as its receiver is given it: `whsec_` and 32 random bytes in base64.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn generate() -> Result<SecretString> {
        let mut bytes = [0; SECRET_BYTES];
        fill_random(&mut bytes)?;
        let mut text = BASE64.encode(&bytes);
        bytes.zeroize();
        let secret = SecretString::from(format!("{PREFIX}{text}"));
        text.zeroize();
        Ok(secret)
    }

    /// Reads a secret; `None` for a text that is none.
    #[must_use]
    pub fn parse(text: &SecretString) -> Option<Self> {
        let text = text.expose_secret().strip_prefix(PREFIX)?;
        let bytes = BASE64.decode(text.as_bytes()).ok()?;
        (!bytes.is_empty()).then(|| Self(SecretBox::new(Box::new(bytes))))
    }

    /// One signature, for the header `webhook-signature`: of the id, the time in Unix seconds and the
    /// body of a message.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = self.0.expose_secret();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            // A key of any length is taken.
            return String::new();
        };
        for part in [id, ".", &timestamp.to_string(), ".", body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use secrecy::{ExposeSecret, SecretString};

    use super::WebhookSecret;

    fn secret(text: &str) -> Option<WebhookSecret> {
        WebhookSecret::parse(&SecretString::from(text))
    }

    /// The first is the example of the specification's reference libraries. All were computed with Python:
    /// `base64.b64encode(hmac.new(base64.b64decode(secret[6:]), f"{id}.{ts}.{body}".encode(), "sha256").digest())`.
    #[test]
    fn a_message_is_signed_as_the_specification_says() {
        let known = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let long = format!("whsec_{}", BASE64.encode(&[7; 100]));
        let cases = [
            (
                known,
                ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330),
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                known,
                ("msg_1", 0),
                "",
                "v1,ij2G0S51rXTp+PMwqJOjeWFLEpktT32X6cQ9P08rbws=",
            ),
            (
                &long,
                ("msg_2", -1),
                "ü\n\0",
                "v1,fai5lonzegDwxa/FnbG+D1diF0Fv8hcqCrrJzbqWOBc=",
            ),
        ];
        for (text, (id, timestamp), body, expected) in cases {
            let signed = secret(text).unwrap().sign(id, timestamp, body);
            assert_eq!(signed, expected, "{id}");
        }
    }

    #[test]
    fn a_new_secret_has_32_bytes_and_is_another_each_time() {
        let (one, two) = (
            WebhookSecret::generate().unwrap(),
            WebhookSecret::generate().unwrap(),
        );
        assert_ne!(one.expose_secret(), two.expose_secret());
        let bytes = one.expose_secret().strip_prefix("whsec_").unwrap();
        assert_eq!(BASE64.decode(bytes.as_bytes()).unwrap().len(), 32);
        assert!(WebhookSecret::parse(&one).is_some());
        assert_eq!(
            format!("{:?}", WebhookSecret::parse(&one)),
            "Some(WebhookSecret)"
        );
    }

    #[test]
    fn what_is_no_secret_is_none() {
        for text in ["", "whsec_", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(secret(text).is_none(), "{text}");
        }
    }
}
