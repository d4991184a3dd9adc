//! Reads a request into an [`Order`], or says what is wrong with it and what was known by then.
//!
//! The route is the one that the request names, or the one that its rules send it on to; `auto` and endpoints that know a
//! name of their own have routes to stand for them, and `provider/model` is a route of one target where the key allows it.
//!
//! Not here: who asks (`caller.rs`), where entries come from (`entries.rs`), what becomes of the order (`drive.rs`).

use std::sync::Arc;

use super::caller::{body, header};
use super::slot::Found;
use super::{BODY_BYTES_MAX, Edge, clock};
use crate::access::KeyTerms;
use crate::chat::RequestError;
use crate::classify::{Caller, LIMITS_HEADER, Traits};
use crate::config::{Catalogue, Route};
use crate::decide::{Seed, redirect};
use crate::dialects::{
    Asked, ClientDialect, ClientError, ClientHeaders, Delivery, Endpoint, Form, GeminiAddress,
    Outline, outline,
};
use crate::exchange::{Order, REDIRECTS_MAX, Routing};
use crate::journal::ConfigRevisions;

/// A longer `model` is no name; it would only fill records.
const MODEL_BYTES_MAX: usize = 512;
/// Names of routes that a message lists.
const NAMES_SHOWN_MAX: usize = 20;
/// The routes that `auto` stands for, first come.
pub(super) const AUTO: [&str; 2] = ["auto", "default"];

impl Edge {
    /// Reads the request into an order, or says what is wrong with it.
    pub(super) async fn order(
        &self,
        dialect: ClientDialect,
        address: Option<GeminiAddress>,
        id: &str,
        terms: &KeyTerms,
        caller: Caller,
    ) -> Result<Order, Refusal> {
        let body = body(&self.request, BODY_BYTES_MAX).await;
        let body = body.map_err(Refusal::from)?;
        self.order_of(body, dialect, address, id, terms, caller)
            .await
    }

    pub(super) async fn order_of(
        &self,
        mut body: Vec<u8>,
        dialect: ClientDialect,
        address: Option<GeminiAddress>,
        id: &str,
        terms: &KeyTerms,
        mut caller: Caller,
    ) -> Result<Order, Refusal> {
        let mut delivery = Delivery::default();
        if let Some(address) = address {
            delivery = address.delivery;
            body = address.write_into(&body).map_err(Refusal::from)?;
        }
        let (form, outline) = match caller.endpoint {
            Endpoint::Chat => (Form::Json, outline(dialect, &body).map_err(Refusal::from)?),
            endpoint => self.read(endpoint, &body)?,
        };
        let limits = self.request.headers().get(LIMITS_HEADER).ok().flatten();
        caller
            .constrain(&outline, limits.as_deref())
            .map_err(Refusal::from)?;
        let asking = Asking {
            outline: &outline,
            caller: &caller,
            body: &body,
        };
        let (first, others) = outline.asked(header(&self.request, "x-waypost-route"));
        let routing = self.routing(&first, &asking, terms).await?;
        let mut fallbacks = Vec::with_capacity(others.len());
        for asked in &others {
            fallbacks.push(self.routing(asked, &asking, terms).await?);
        }
        Ok(Order {
            id: id.to_owned(),
            client: dialect,
            headers: ClientHeaders::read(dialect, |name| {
                self.request.headers().get(name).ok().flatten()
            }),
            delivery,
            form,
            prefix: outline.prefix.clone(),
            body,
            routing,
            fallbacks,
            is_explained: self.is_explained(),
        })
    }

    /// Reads the body of what is no conversation.
    fn read(&self, endpoint: Endpoint, body: &[u8]) -> Result<(Form, Outline), RequestError> {
        let content_type = header(&self.request, "content-type");
        let form = Form::of(endpoint, &content_type.unwrap_or_default())?;
        let outline = endpoint.outline(&form, body)?;
        Ok((form, outline))
    }

    /// The request as the route that is asked for takes it, or the route that its rules send it on to.
    async fn routing(
        &self,
        asked: &Asked,
        asking: &Asking<'_>,
        terms: &KeyTerms,
    ) -> Result<Routing, Refusal> {
        let mut caller = asking.caller.clone();
        let refused = |error: ClientError, caller: Caller| Refusal {
            error,
            route: asked.name.chars().take(MODEL_BYTES_MAX).collect(),
            traits: Some(Traits::of(asking.outline, &asked.model, caller)),
        };
        let endpoint = caller.endpoint;
        let mut found = match self.find_route(&asked.name, endpoint, terms).await {
            Ok(found) => found,
            Err(error) => return Err(refused(error, caller)),
        };
        // The route's author sends the request on, so the key need not be allowed to.
        let anyone = KeyTerms::unlimited(&terms.name);
        let mut via = Vec::new();
        loop {
            caller.ask_for(&found.route, asking.body, |name| {
                header(&self.request, name)
            });
            let traits = Traits::of(asking.outline, &asked.model, caller.clone());
            let next = redirect(&traits, &found.route).filter(|_| via.len() < REDIRECTS_MAX);
            let Some(next) = next.map(str::to_owned) else {
                return Ok(Routing {
                    seed: Seed::of(&found.route, &traits, clock::random()),
                    traits,
                    route: found.route,
                    via,
                    config: found.config,
                });
            };
            via.push(found.route.name.clone());
            found = match self.find_route(&next, endpoint, &anyone).await {
                Ok(found) => found,
                Err(error) => return Err(refused(error, caller)),
            };
        }
    }

    async fn find_route(
        &self,
        name: &str,
        endpoint: Endpoint,
        terms: &KeyTerms,
    ) -> Result<FoundRoute, ClientError> {
        if name.len() > MODEL_BYTES_MAX {
            let expected = format!("at most {MODEL_BYTES_MAX} bytes");
            let field = "model".to_owned();
            return Err(ClientError::from(&RequestError::Invalid {
                field,
                expected,
            }));
        }
        let names: &[&str] = match name {
            "auto" => &AUTO,
            "" => endpoint.unnamed(),
            _ => &[name],
        };
        for name in names {
            if let Some(found) = self.look_up(name, terms).await? {
                return Ok(found);
            }
        }
        Box::pin(self.find_direct(name, terms)).await
    }

    /// What has no route of that name: boxed, as it is rare.
    async fn find_direct(&self, name: &str, terms: &KeyTerms) -> Result<FoundRoute, ClientError> {
        if name.is_empty() {
            return Err(ClientError::from(&RequestError::Missing {
                field: "model".to_owned(),
                remedy: "it names a route, or `provider/model`; the routes that serve without it are \
                         `moderation` or `images`, else `auto`",
            }));
        }
        if let Some(found) = self.direct(name, terms).await? {
            return Ok(found);
        }
        let known = self.known_names(terms).await;
        let name = name.to_owned();
        Err(ClientError::from(&RequestError::UnknownRoute {
            name,
            known,
        }))
    }

    async fn look_up(
        &self,
        name: &str,
        terms: &KeyTerms,
    ) -> Result<Option<FoundRoute>, ClientError> {
        let found = self.entries.route(name).await?;
        let catalogue = self.entries.catalogue().await?;
        let Found {
            value, problems, ..
        } = found;
        let Some(route) = value else {
            return match problems {
                0 => Ok(None),
                problems => Err(unusable(name, problems)),
            };
        };
        if !terms.may_use(name) {
            let name = name.to_owned();
            return Err(ClientError::from(&RequestError::NotAllowed { name }));
        }
        Ok(Some(FoundRoute {
            config: ConfigRevisions {
                route: route.revision.clone(),
                providers: catalogue.revision,
                problems: problems + catalogue.problems,
            },
            route,
        }))
    }

    /// A name of the form `provider/model`.
    async fn direct(
        &self,
        name: &str,
        terms: &KeyTerms,
    ) -> Result<Option<FoundRoute>, ClientError> {
        let Some((provider, model)) = name.split_once('/') else {
            return Ok(None);
        };
        let found = self.entries.catalogue().await?;
        let catalogue = found
            .value
            .unwrap_or_else(|| Arc::new(Catalogue::default()));
        let Some(provider) = catalogue.provider(provider).filter(|_| !model.is_empty()) else {
            return Ok(None);
        };
        if !terms.is_direct {
            let name = name.to_owned();
            return Err(ClientError::from(&RequestError::NotAllowed { name }));
        }
        let route = Route::direct(provider, model, &catalogue);
        Ok(Some(FoundRoute {
            config: ConfigRevisions {
                route: route.revision.clone(),
                providers: found.revision,
                problems: found.problems,
            },
            route: Arc::new(route),
        }))
    }

    /// The names that exist, for one who asked for another.
    async fn known_names(&self, terms: &KeyTerms) -> String {
        let names = self.entries.route_names().await.unwrap_or_default();
        let allowed: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| terms.may_use(name))
            .take(NAMES_SHOWN_MAX)
            .collect();
        if allowed.is_empty() {
            return "there are no routes yet: put one with `wrangler kv key put route:<name>`"
                .to_owned();
        }
        format!("known names: {}", allowed.join(", "))
    }
}

/// A request that has been read, and who sent it.
struct Asking<'a> {
    outline: &'a Outline,
    caller: &'a Caller,
    body: &'a [u8],
}

struct FoundRoute {
    route: Arc<Route>,
    config: ConfigRevisions,
}

/// Why there is no order, and what was known by then.
pub(super) struct Refusal {
    pub error: ClientError,
    pub route: String,
    pub traits: Option<Traits>,
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self {
            error: ClientError::from(&error),
            route: String::new(),
            traits: None,
        }
    }
}

fn unusable(name: &str, problems: u32) -> ClientError {
    ClientError {
        status: 503,
        code: "route_unusable".to_owned(),
        message: format!(
            "the entry of route `{name}` has {problems} problems and no earlier revision was good; \
             GET /healthz lists them"
        ),
        param: Some("model".to_owned()),
        retry_after: None,
    }
}
