//! Reads from a running Worker over its admin API: a record by its id, and the text of any revision of an entry.
//!
//! The one place of the command line that uses the network, and it only reads. The admin key comes from the environment:
//! arguments are shown to everyone on a machine. Over plain HTTP it is sent to this machine alone, and never to where a
//! redirect leads.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};

use crate::config::{ENTRY_BYTES_MAX, Revision};

/// Holds the admin key.
const KEY_VARIABLE: &str = "WAYPOST_ADMIN_KEY";
/// The admin key of `npm start`.
const LOCAL_KEY: &str = "wp-admin";
/// No record is longer than a queue's message of 128 KB, and no entry than this.
const ANSWER_BYTES_MAX: u64 = ENTRY_BYTES_MAX as u64;
/// All that RFC 3986 does not call unreserved: the Worker compares ids as they come.
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// For one whole answer. The Worker reads D1, R2 or KV for it.
const WITHIN: Duration = Duration::from_secs(30);

/// The admin API of one Worker.
#[derive(Debug)]
pub(super) struct Admin {
    agent: Agent,
    root: String,
    key: String,
}

impl Admin {
    /// `url` is the Worker's own, as `https://waypost.example.workers.dev`.
    pub fn at(url: &str) -> Result<Self, String> {
        let uri: Uri = url
            .parse()
            .map_err(|_| format!("--url: expected a URL, got `{url}`"))?;
        let host = uri.host().unwrap_or_default();
        let is_loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        let is_safe = match uri.scheme_str() {
            Some("https") => !host.is_empty(),
            Some("http") => is_loopback,
            _ => false,
        };
        if !is_safe {
            return Err(format!(
                "--url: expected an https URL, or an http one of this machine, got `{url}`"
            ));
        }
        let own_key = is_loopback.then(|| LOCAL_KEY.to_owned());
        let key = std::env::var(KEY_VARIABLE).ok().or(own_key).ok_or(format!(
            "{url} wants its admin key: set {KEY_VARIABLE} to it in the environment"
        ))?;
        Ok(Self {
            agent: agent(is_loopback),
            root: format!("{}/admin/api", url.trim_end_matches('/')),
            key,
        })
    }

    /// The JSON of a record. None where there is none of this id.
    pub fn record(&self, id: &str) -> Result<Option<String>, String> {
        self.read(&format!("/records/{}", encoded(id)))
    }

    /// The text of an entry at one revision; also where it is live and was never kept. None where neither is.
    pub fn revision(&self, entry: &str, revision: &Revision) -> Result<Option<String>, String> {
        let entry = encoded(entry);
        let kept = self.read(&format!(
            "/config/{entry}/revisions/{}",
            encoded(&revision.0)
        ))?;
        if kept.is_some() {
            return Ok(kept);
        }
        let live = self.read(&format!("/config/{entry}"))?;
        Ok(live.filter(|text| Revision::of(text) == *revision))
    }

    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let url = format!("{}{path}", self.root);
        let authorization = format!("Bearer {}", self.key);
        let request = self.agent.get(&url).header("authorization", authorization);
        let mut answer = request.call().map_err(|error| format!("{url}: {error}"))?;
        let status = answer.status().as_u16();
        match status {
            200 => {}
            404 => return Ok(None),
            401 | 403 => {
                return Err(format!(
                    "{url}: the admin key was refused; set {KEY_VARIABLE} to the one that the Worker has"
                ));
            }
            _ => return Err(format!("{url}: expected status 200, got {status}")),
        }
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body
            .read_to_string()
            .map_err(|error| format!("{url}: {error}"))?;
        Ok(Some(text))
    }
}

fn agent(is_loopback: bool) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(rustls::crypto::ring::default_provider().into())
        .build();
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(WITHIN))
        .tls_config(tls);
    if is_loopback {
        // What is on this machine is not behind a proxy.
        config = config.proxy(None);
    }
    config.build().new_agent()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}
