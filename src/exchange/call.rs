//! One call to a provider, before it is made: URL, headers, body, and which secret goes where.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use super::{Order, ProviderHead};
use crate::chat::RequestError;
use crate::config::Target;
use crate::dialects::{Dialect, Endpoint, Outgoing, Prefill, Shape, encode_request, path_segment};
use crate::health::Health;
use crate::providers::Auth;
use crate::units::{Millis, Tokens, UnixMillis};

/// For dialects that demand a maximum, where the client names none.
const ANSWER_TOKENS_DEFAULT: Tokens = Tokens(4_096);
/// Where a base URL holds the model's name.
const MODEL_PLACE: &str = "{model}";

/// All that the edge needs to call a provider, but for the secret's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub url: String,
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    pub body: Vec<u8>,
    /// As in [`Outgoing`].
    pub is_one_call: bool,
    pub credential: Option<Credential>,
    /// Instead of the URL.
    pub binding: Option<Binding>,
}

/// Workers AI, called within the platform: `run(model, body)` of this binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub name: String,
    pub model: String,
}

/// Which secret, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The secret's name, never its value.
    pub secret: String,
    pub place: CredentialPlace,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialPlace {
    /// `authorization: Bearer <secret>`
    Bearer,
    Header(String),
    Query(String),
    /// Nowhere: the request is signed with it.
    AwsSigv4 {
        region: String,
        service: String,
    },
    /// `authorization: Bearer <token>`, with a token for the service account whose key the secret is.
    GoogleServiceAccount,
}

/// The client's request, as the target wants it.
pub(super) fn call(
    order: &Order,
    target: &Target,
    is_streaming: bool,
    secret: Option<String>,
    prefill: Option<Prefill<'_>>,
) -> Result<Call, RequestError> {
    let dialect = target.provider.dialect;
    // In a path these would lead elsewhere, however they are encoded.
    if matches!(&*target.model, "." | "..") {
        return Err(RequestError::Invalid {
            field: "model".to_owned(),
            expected: "a model's name".to_owned(),
        });
    }
    let shape = Shape {
        model: &target.model,
        is_streaming,
        answer_tokens_default: ANSWER_TOKENS_DEFAULT,
        prefill,
        quirks: target.quirks(),
        carried: target.carries(Some(order.client), order.endpoint()),
    };
    let mut outgoing = outgoing(order, target, &shape)?;
    if dialect == order.client.into() {
        order.headers.write(&mut outgoing.headers);
    }
    Ok(Call {
        url: url(
            &target.provider.base_url,
            dialect,
            &target.model,
            &outgoing.path,
        ),
        headers: outgoing.headers,
        body: outgoing.body,
        is_one_call: outgoing.is_one_call,
        credential: place(&target.provider.auth)
            .zip(secret)
            .map(|(place, secret)| Credential { secret, place }),
        binding: target.provider.binding.as_ref().map(|name| Binding {
            name: name.clone(),
            model: target.model.to_string(),
        }),
    })
}

/// Where a provider looks for the secret, if it wants one.
pub(super) fn place(auth: &Auth) -> Option<CredentialPlace> {
    match auth {
        Auth::None => None,
        Auth::Bearer { .. } => Some(CredentialPlace::Bearer),
        Auth::Header { name, .. } => Some(CredentialPlace::Header(name.clone())),
        Auth::Query { name, .. } => Some(CredentialPlace::Query(name.clone())),
        Auth::AwsSigv4 {
            region, service, ..
        } => Some(CredentialPlace::AwsSigv4 {
            region: region.clone(),
            service: service.clone(),
        }),
        Auth::GoogleServiceAccount { .. } => Some(CredentialPlace::GoogleServiceAccount),
    }
}

fn outgoing(order: &Order, target: &Target, shape: &Shape) -> Result<Outgoing, RequestError> {
    let (client, provider) = (order.client, target.provider.dialect);
    match order.endpoint() {
        Endpoint::Chat => encode_request(client, provider, &order.body, shape),
        endpoint if target.speaks(client, endpoint) => {
            endpoint.pass_on(&order.form, &order.body, shape)
        }
        // The only other one that reaches targets which have no such call.
        _ => encode_request(client, provider, &Endpoint::as_chat(&order.body)?, shape),
    }
}

/// The base URL with the model where it says `{model}`, and the dialect's path before its query: Azure has both.
pub(super) fn url(base_url: &str, dialect: Dialect, model: &str, path: &str) -> String {
    let (root, query) = match base_url.split_once('?') {
        Some((root, query)) => (root, format!("?{query}")),
        None => (base_url, String::new()),
    };
    let root = api_root(root.trim_end_matches('/'), dialect);
    let root = if root.contains(MODEL_PLACE) {
        root.replace(MODEL_PLACE, &path_segment(model))
    } else {
        root
    };
    // Gemini's path has a query of its own.
    let query = if path.contains('?') {
        query.replacen('?', "&", 1)
    } else {
        query
    };
    format!("{root}{path}{query}")
}

/// Anthropic's own SDKs are given the host alone and add `/v1`; a base URL written that way works here too.
fn api_root(base_url: &str, dialect: Dialect) -> String {
    let has_path = base_url
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    match dialect {
        Dialect::Anthropic if !has_path => format!("{base_url}/v1"),
        _ => base_url.to_owned(),
    }
}

/// A secret of the pool that does not rest, spread by `draw`; any, when all rest.
pub(super) fn choose_secret(
    target: &Target,
    health: &Health,
    draw: u64,
    now: UnixMillis,
) -> Option<String> {
    let pool = target.provider.auth.secrets();
    let awake: Vec<&String> = pool
        .iter()
        .filter(|secret| !health.is_key_resting(secret, now))
        .collect();
    let pick = |count: usize| {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        usize::try_from(draw % count).unwrap_or_default()
    };
    match awake.get(pick(awake.len())) {
        Some(secret) => Some((*secret).clone()),
        None => pool.get(pick(pool.len())).cloned(),
    }
}

/// The wait that a provider asks for: `retry-after-ms`, else `retry-after` in seconds or as a date (RFC 9110,
/// 10.2.3). What cannot be read is no wait.
pub(super) fn retry_after(head: &ProviderHead, now: UnixMillis) -> Option<Millis> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let in_millis = head.retry_after_ms.as_deref().and_then(number);
    if let Some(wait) = in_millis.and_then(|millis| span(millis / 1_000.0)) {
        return Some(wait);
    }
    let text = head.retry_after.as_deref()?.trim();
    if let Some(wait) = number(text).and_then(span) {
        return Some(wait);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    let at = UnixMillis(u64::try_from(since_epoch.as_millis()).ok()?);
    Some(at.since(now))
}

/// A span that was asked for, in whole milliseconds and not shorter. One that cannot be is none.
fn span(seconds: f64) -> Option<Millis> {
    let span = Duration::try_from_secs_f64(seconds).ok()?;
    let millis = span.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).ok().map(Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(seconds: &str) -> Option<Millis> {
        let head = ProviderHead {
            retry_after: Some(seconds.to_owned()),
            ..ProviderHead::default()
        };
        retry_after(&head, UnixMillis(1_000))
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_date() {
        assert_eq!(asked("2"), Some(Millis(2_000)));
        assert_eq!(asked("0.5"), Some(Millis(500)));
        assert_eq!(asked("Thu, 01 Jan 1970 00:00:04 GMT"), Some(Millis(3_000)));
        for nonsense in ["-1", "NaN", "inf", "1e300", "soon", ""] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_wait_in_milliseconds_comes_first_if_it_is_one() {
        let asked = |millis: &str| {
            let head = ProviderHead {
                retry_after: Some("2".to_owned()),
                retry_after_ms: Some(millis.to_owned()),
                ..ProviderHead::default()
            };
            retry_after(&head, UnixMillis(1_000))
        };
        assert_eq!(asked("700"), Some(Millis(700)));
        assert_eq!(asked("700.5"), Some(Millis(701)), "never earlier");
        for nonsense in ["-3", "NaN", "1e300", "soon"] {
            assert_eq!(asked(nonsense), Some(Millis(2_000)), "{nonsense}");
        }
    }

    #[test]
    fn a_base_url_may_hold_the_model_and_a_query() {
        let azure = "https://r.openai.azure.com/openai/deployments/{model}?api-version=2024-10-21";
        let url = |base, model| url(base, Dialect::OpenaiChat, model, "/chat/completions");
        assert_eq!(
            url(azure, "gpt 4/o?"),
            "https://r.openai.azure.com/openai/deployments/gpt%204%2Fo%3F/chat/completions?api-version=2024-10-21"
        );
        let plain = "https://r.openai.azure.com/openai/v1";
        assert_eq!(url(plain, "m"), format!("{plain}/chat/completions"));
        let slashed = "https://x.example/?a=b";
        assert_eq!(url(slashed, "m"), "https://x.example/chat/completions?a=b");
    }

    #[test]
    fn anthropic_host_alone_gets_its_version() {
        let root = |url| api_root(url, Dialect::Anthropic);
        assert_eq!(root("http://127.0.0.1:9"), "http://127.0.0.1:9/v1");
        assert_eq!(root("https://x.example/v1"), "https://x.example/v1");
        let plain = api_root("https://api.example", Dialect::OpenaiChat);
        assert_eq!(plain, "https://api.example");
    }
}
