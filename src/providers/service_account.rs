//! The JSON key of a Google service account, and the claims by which it asks for a token.
//!
//! Reference: <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>. A token is asked for at
//! the key's own `token_uri`, to which the claims, but never the key, are sent.
//!
//! Not here: the signature, the call and the memory of tokens, which need the platform (`edge/google.rs`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::{Millis, UnixMillis};

/// All of Google Cloud; what the account may do there is its roles' to say.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest that Google takes.
const CLAIMS_LAST: Millis = Millis(3_600_000);
/// RFC 7523, 2.1.
const GRANT_TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";

/// What of a key we use.
#[derive(Deserialize)]
pub struct ServiceAccount {
    client_email: String,
    #[serde(default)]
    private_key_id: String,
    /// PEM.
    private_key: String,
    /// Where tokens are asked for. Whoever calls it must check that secrets may go there.
    pub token_uri: String,
}

/// The text is no service account's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable;

/// Without the key.
impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("ServiceAccount").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

impl ServiceAccount {
    /// Reads a key as Google's console gives it.
    ///
    /// # Errors
    /// It is another JSON, or none.
    pub fn parse(json: &str) -> Result<Self, Unusable> {
        serde_json::from_str(json).map_err(|_| Unusable)
    }

    /// The key in base64, as PKCS #8 has it; none where it is no such PEM.
    #[must_use]
    pub fn private_key(&self) -> Option<String> {
        let (_, rest) = self.private_key.split_once("-----BEGIN PRIVATE KEY-----")?;
        let (inside, _) = rest.split_once("-----END PRIVATE KEY-----")?;
        Some(inside.chars().filter(|c| !c.is_whitespace()).collect())
    }

    /// What is to be signed with RS256.
    #[must_use]
    pub fn claims(&self, now: UnixMillis) -> String {
        let header = Header {
            alg: "RS256",
            typ: "JWT",
            kid: &self.private_key_id,
        };
        let claims = Claims {
            iss: &self.client_email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat: now.seconds(),
            exp: (now + CLAIMS_LAST).seconds(),
        };
        let part = |json: Result<Vec<u8>, _>| base64_url(&json.unwrap_or_default());
        let (header, claims) = (serde_json::to_vec(&header), serde_json::to_vec(&claims));
        format!("{}.{}", part(header), part(claims))
    }
}

/// The body of a call for a token.
#[must_use]
pub fn token_request(claims: &str, signature: &[u8]) -> String {
    let signature = base64_url(signature);
    format!("grant_type={GRANT_TYPE}&assertion={claims}.{signature}")
}

/// RFC 4648, 5, without padding.
fn base64_url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=group.len() {
            let place = bits >> (18 - 6 * digit) & 63;
            let digit = usize::try_from(place)
                .ok()
                .and_then(|place| DIGITS.get(place));
            out.extend(digit.map(|digit| char::from(*digit)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = r#"{"type":"service_account","project_id":"p","private_key_id":"k1",
        "private_key":"-----BEGIN PRIVATE KEY-----\nAAEC\nAwQ=\n-----END PRIVATE KEY-----\n",
        "client_email":"router@p.iam.gserviceaccount.com","token_uri":"https://oauth2.googleapis.com/token"}"#;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let written =
            ["", "f", "fo", "foo", "foob", "\u{fb}\u{3f}"].map(|text| base64_url(text.as_bytes()));
        assert_eq!(written, ["", "Zg", "Zm8", "Zm9v", "Zm9vYg", "w7s_"]);
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn claims_are_those_of_a_token_for_an_hour() {
        let account = ServiceAccount::parse(KEY).unwrap();
        assert_eq!(account.private_key().as_deref(), Some("AAECAwQ="));
        let header = r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#;
        let claims = r#"{"iss":"router@p.iam.gserviceaccount.com","scope":"https://www.googleapis.com/auth/cloud-platform","aud":"https://oauth2.googleapis.com/token","iat":1700000000,"exp":1700003600}"#;
        let expected = [header, claims]
            .map(|json| base64_url(json.as_bytes()))
            .join(".");
        assert_eq!(account.claims(UnixMillis(1_700_000_000_999)), expected);
        assert_eq!(
            token_request("a.b", &[0xfb, 0xff]),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.-_8"
        );
    }

    #[test]
    fn what_is_no_key_is_unusable_and_no_key_is_shown() {
        for text in [
            "",
            "{}",
            "[1]",
            r#"{"type":"authorized_user","refresh_token":"x"}"#,
        ] {
            assert_eq!(ServiceAccount::parse(text).err(), Some(Unusable), "{text}");
        }
        let rsa = KEY.replace("PRIVATE KEY", "RSA PRIVATE KEY");
        let account = ServiceAccount::parse(&rsa).unwrap();
        assert_eq!(account.private_key(), None);
        assert_eq!(format!("{account:?}"), "ServiceAccount { .. }");
    }
}
