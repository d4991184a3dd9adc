//! The only code that touches Cloudflare: requests in, responses out, KV, the queue, R2, D1, providers.
//!
//! It decides nothing: it reads a request into an [`Order`], gives that to [`drive`], and obeys. What it adds is
//! who the caller is, and the local keys, which exist only where the variable `WAYPOST_LOCAL` is `1`; `npm start`
//! sets it, `wrangler.toml` never does.
//!
//! The body is read whole before anything else is done with it, up to [`BODY_BYTES_MAX`]; requests of unknown
//! callers are refused before that.

mod admin;
mod caller;
mod clock;
mod drive;
mod entries;
mod fold;
mod gone;
mod google;
mod health;
mod journal;
mod js;
mod kept;
mod kv;
mod metrics;
mod models;
mod order;
mod pipeline;
mod relay;
mod respond;
mod schema;
mod slot;
mod upstream;

use std::rc::Rc;
use std::sync::Arc;

use futures::channel::oneshot;
use futures::future::{self, LocalBoxFuture};
use wasm_bindgen::JsValue;
use web_sys::{Request, Response};
use worker::{Context, Env, MessageBatch, ScheduleContext, ScheduledEvent, event};

use crate::access::KeyTerms;
use crate::classify::Traits;
use crate::dialects::{ClientDialect, ClientError, Endpoint, GeminiAddress, recognise};
use crate::exchange::{KeptCall, Order};
use crate::journal::Record;

use caller::{body, caller_of, header, key_terms, said_dialect};
use entries::{Entries, Unreadable};
use gone::Gone;

/// The largest request. Prompts with inline images reach some megabytes; an isolate has 128 MB for all its
/// requests together.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How the name of the queue of health reports ends; the other queue holds records.
const HEALTH_QUEUE_ENDING: &str = "-health";

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let edge = Edge {
        entries: Entries::new(&env, &Rc::new(context)),
        request,
        env,
    };
    Ok(edge.answer().await)
}

#[event(queue)]
async fn queue(batch: MessageBatch<JsValue>, env: Env, context: Context) -> worker::Result<()> {
    if batch.queue().ends_with(HEALTH_QUEUE_ENDING) {
        fold::consume(batch, &env, &context).await;
    } else {
        pipeline::consume(batch, &env).await;
    }
    Ok(())
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    pipeline::retention::run(&env).await;
}

/// One request at the door.
struct Edge {
    request: Request,
    env: Env,
    entries: Entries,
}

/// A refusal, or a response that is ready.
type Answered = Result<Response, ClientError>;

impl Edge {
    async fn answer(self) -> Response {
        let url = self.request.url();
        let (path, query) = path_of(&url);
        let method = self.request.method();
        let said = said_dialect(&self.request, path);
        let dialect = said.unwrap_or(ClientDialect::OpenaiChat);
        let address = GeminiAddress::parse(path, query);
        let answered = match (method.as_str(), path) {
            ("POST", "/v1/chat/completions" | "/v1/messages" | "/v1/responses") => {
                self.serve(dialect, Endpoint::Chat, None).await
            }
            ("POST", _) if address.is_some() => self.serve(dialect, Endpoint::Chat, address).await,
            _ => self.answer_others(&method, path, query, said).await,
        };
        answered.unwrap_or_else(|error| respond::error(dialect, &error, Vec::new()))
    }

    /// What is asked for rarely, boxed: workerd compiles a function when it is first called, and what is inlined with it.
    fn answer_others<'a>(
        &'a self,
        method: &'a str,
        path: &'a str,
        query: &'a str,
        said: Option<ClientDialect>,
    ) -> LocalBoxFuture<'a, Answered> {
        let dialect = said.unwrap_or(ClientDialect::OpenaiChat);
        match (method, path) {
            ("GET", "/healthz") => Box::pin(async { Ok(self.healthz().await) }),
            ("GET", "/metrics") => {
                Box::pin(metrics::answer(&self.request, &self.env, &self.entries))
            }
            _ if let Some(kept) = KeptCall::at(method, path) => Box::pin(self.kept(kept, query)),
            ("GET", _) if is_models(path) => Box::pin(self.models(path, query, dialect)),
            ("POST", "/v1/route") => Box::pin(self.explain(said, query)),
            ("POST", _) if let Some(endpoint) = Endpoint::at(path) => {
                Box::pin(self.serve(dialect, endpoint, None))
            }
            ("GET", _) if path.starts_with("/schema/") => {
                Box::pin(future::ready(schema::answer(path)))
            }
            (_, _) if path.starts_with("/admin/api/") => Box::pin(self.admin(path, query)),
            _ => Box::pin(future::ready(Err(no_such_path(method, path)))),
        }
    }

    async fn healthz(&self) -> Response {
        let problems = self.entries.problems().await;
        let status = if problems.is_ok() {
            "ok"
        } else {
            "config_unreadable"
        };
        respond::json(
            200,
            &serde_json::json!({
                "status": status,
                "version": env!("CARGO_PKG_VERSION"),
                "config": { "problems": problems.unwrap_or_default() },
                "records_lost": journal::lost(),
            }),
        )
    }

    async fn models(&self, path: &str, query: &str, dialect: ClientDialect) -> Answered {
        let terms = self.caller().await?;
        let listed = models::listed(&terms, &self.entries, &self.env).await?;
        models::answer(path, query, dialect, &listed)
    }

    async fn kept(&self, kept: KeptCall<'_>, query: &str) -> Answered {
        let terms = self.caller().await?;
        kept::answer(kept, query, &self.request, &terms, &self.env, &self.entries).await
    }

    async fn admin(&self, path: &str, query: &str) -> Answered {
        caller::check_admin(&self.request, &self.env)?;
        let path = path.strip_prefix("/admin/api").unwrap_or(path);
        Ok(admin::answer(path, query, &self.request, &self.env, &self.entries).await)
    }

    async fn caller(&self) -> Result<Arc<KeyTerms>, ClientError> {
        let terms = key_terms(&self.request, &self.env, &self.entries).await;
        if terms.is_err() {
            caller::discard(&self.request).await;
        }
        terms
    }

    /// `address` is what the URL says of the request, where the body does not.
    async fn serve(
        &self,
        dialect: ClientDialect,
        endpoint: Endpoint,
        address: Option<GeminiAddress>,
    ) -> Answered {
        let first = health::refresh(&self.request, &self.env, self.entries.context());
        let terms = self.caller().await?;
        let now = clock::now();
        let id = clock::exchange_id(now);
        let caller = caller_of(&self.request, &terms, dialect, endpoint, now);
        let order = self.order(dialect, address, &id, &terms, caller.clone());
        match order.await {
            Ok(order) => {
                first.wait().await;
                Ok(self.run(order).await)
            }
            Err(refusal) => {
                let traits = refusal.traits.unwrap_or_else(|| Traits {
                    endpoint,
                    key: caller.key,
                    team: caller.team,
                    ..Traits::default()
                });
                let ClientError { status, code, .. } = &refusal.error;
                let record =
                    Record::rejected(id.clone(), now, refusal.route, traits, *status, code);
                journal::append(&record, &self.env, self.entries.context());
                let headers = vec![("x-waypost-id", id)];
                Ok(respond::error(dialect, &refusal.error, headers))
            }
        }
    }

    /// The decision alone: nothing is sent, no health is changed, no record is written.
    async fn explain(&self, said: Option<ClientDialect>, query: &str) -> Answered {
        let first = health::refresh(&self.request, &self.env, self.entries.context());
        let terms = self.caller().await?;
        let now = clock::now();
        let id = clock::exchange_id(now);
        let body = body(&self.request, BODY_BYTES_MAX).await;
        let body = body.map_err(|error| ClientError::from(&error))?;
        let mut fields = query.split('&');
        let named = fields.find_map(|field| field.strip_prefix("dialect="));
        let dialect = recognise(named, said, &body).map_err(|error| ClientError::from(&error))?;
        let caller = caller_of(&self.request, &terms, dialect, Endpoint::Chat, now);
        let order = self.order_of(body, dialect, None, &id, &terms, caller);
        Ok(match order.await {
            Ok(order) => {
                first.wait().await;
                respond::json(200, &drive::explain(&order))
            }
            Err(refusal) => respond::error(dialect, &refusal.error, Vec::new()),
        })
    }

    /// Whether the caller wants the decision in the response's headers.
    fn is_explained(&self) -> bool {
        let asked = header(&self.request, "x-waypost-explain");
        asked.is_some_and(|value| matches!(value.trim(), "1" | "true"))
    }

    /// Starts the exchange and waits for its head.
    async fn run(&self, order: Order) -> Response {
        let gone = Gone::new(self.request.signal());
        let (respond, head) = oneshot::channel();
        let context = self.entries.context();
        context.wait_until(drive::drive(
            order,
            self.env.clone(),
            Rc::clone(context),
            gone,
            respond,
        ));
        // The sender goes without a head only when the client has left: nobody reads this.
        head.await.unwrap_or_else(|_| Response::error())
    }
}

/// `https://host/path?query` taken apart.
fn path_of(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let Some((_, rest)) = rest.split_once('/') else {
        return ("/", "");
    };
    let start = url.len() - rest.len() - 1;
    let tail = url.get(start..).unwrap_or("/");
    tail.split_once('?').unwrap_or((tail, ""))
}

fn is_models(path: &str) -> bool {
    path == "/v1/models" || path.starts_with("/v1/models/")
}

fn no_such_path(method: &str, path: &str) -> ClientError {
    let path: String = path.chars().take(200).collect();
    ClientError::new(
        404,
        "not_found",
        format!(
            "no such path: {method} {path}; there are POST /v1/chat/completions, /v1/responses, /v1/messages, \
             /v1beta/models/<model>:generateContent and :streamGenerateContent, {}, /v1/route, GET /v1/models, what a provider keeps (docs/endpoints.md), \
             /healthz, /metrics, /schema/<name>.json, and /admin/api/records, /dead and /config",
            Endpoint::paths()
        ),
    )
}

impl From<Unreadable> for ClientError {
    fn from(_: Unreadable) -> Self {
        ClientError {
            status: 503,
            code: "config_unreadable".to_owned(),
            message: "the configuration could not be read from KV; try again".to_owned(),
            param: None,
            retry_after: Some(crate::units::Millis(1_000)),
        }
    }
}
