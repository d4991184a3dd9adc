//! `waypost explain`: why a request goes where it goes, from its saved body or from the record of an exchange.
//!
//! A saved body is decided against a config folder, as the Worker would decide it with targets that nobody has asked
//! yet. A record is told from itself alone; with a folder it is also decided again, from the traits, the health and
//! the seed that it holds.
//!
//! The JSON is that of `POST /v1/route`. For a record with a folder there is a field more, `against`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::again::plan_again;
use super::folder::{Folder, Obstacle};
use super::table::{line, text};
use super::{print, print_error};
use crate::chat::RequestError;
use crate::classify::{Caller, LIMITS_HEADER, Traits, shortened};
use crate::config::Route;
use crate::decide::{Candidate, Seed, redirect};
use crate::dialects::{
    Asked, ClientDialect, ClientHeaders, Delivery, Form, Outline, outline, recognise,
};
use crate::exchange::{Order, REDIRECTS_MAX, Routing};
use crate::health::Health;
use crate::journal::{ConfigRevisions, Decision, Explanation, Record, VERSION};
use crate::units::UnixMillis;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A request body or a record, as JSON; `-` reads standard input.
    file: PathBuf,
    /// The folder with providers.json and routes/.
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Stands for the random bits, for a request that its route does not make sticky.
    #[arg(long, value_name = "HEX", value_parser = hex, default_value = "0")]
    seed: u64,
    /// A header of the request, as `x-waypost-tags: a,b`. With `anthropic-version` the body is one of Anthropic's.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Whose body it is; else a header says so, or its fields.
    #[arg(long, value_name = "NAME", value_parser = dialect)]
    dialect: Option<ClientDialect>,
    /// When the request came, in milliseconds since 1970, for rules on the time. Now, unless given.
    #[arg(long, value_name = "MS")]
    at: Option<u64>,
    /// Where the caller is: ISO 3166-1, two letters.
    #[arg(long)]
    country: Option<String>,
    /// Two letters.
    #[arg(long)]
    continent: Option<String>,
    /// The airport code of the place that serves the request.
    #[arg(long)]
    pop: Option<String>,
    /// The name of the caller's key, never the key.
    #[arg(long, value_name = "NAME", default_value = "")]
    key: String,
    /// The team of that key.
    #[arg(long)]
    team: Option<String>,
}

/// What is printed.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    explanation: Explanation,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Against>,
}

/// What a config folder makes of a record's request.
#[derive(Serialize)]
struct Against {
    config: ConfigRevisions,
    plan: Vec<Arc<str>>,
    is_same: bool,
}

/// Why there is nothing to tell.
enum Refusal {
    Usage(String),
    Problems(Vec<Obstacle>),
}

impl From<Vec<Obstacle>> for Refusal {
    fn from(problems: Vec<Obstacle>) -> Self {
        Self::Problems(problems)
    }
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match tell(arguments) {
        Ok(told) => {
            let shown = if arguments.json {
                serde_json::to_string_pretty(&told).unwrap_or_default()
            } else {
                told.to_text()
            };
            print(&shown);
            ExitCode::from(u8::from(told.explanation.decision.plan.is_empty()))
        }
        Err(Refusal::Problems(problems)) => {
            if arguments.json {
                let problems = serde_json::json!({ "problems": problems });
                print(&serde_json::to_string_pretty(&problems).unwrap_or_default());
            } else {
                for Obstacle { file, problem } in problems {
                    print(&format!("{file}: {problem}"));
                }
            }
            ExitCode::from(1)
        }
        Err(Refusal::Usage(mistake)) => {
            print_error(&mistake);
            ExitCode::from(2)
        }
    }
}

fn tell(arguments: &Arguments) -> Result<Told, Refusal> {
    let input = read(&arguments.file).map_err(Refusal::Usage)?;
    let folder = match &arguments.config {
        Some(dir) if !dir.is_dir() => {
            return Err(Refusal::Usage(format!("{} is not a folder", dir.display())));
        }
        Some(dir) => Some(Folder::open(dir)?),
        None => None,
    };
    match (record_version(&input), &folder) {
        (Some(version), _) if version > u64::from(VERSION) => Err(arguments.problem(format!(
            "a record of version {version}; this program reads those up to {VERSION}"
        ))),
        (Some(_), folder) => tell_record(arguments, &input, folder.as_ref()),
        (None, Some(folder)) => tell_request(arguments, &input, folder),
        (None, None) => Err(Refusal::Usage(
            "a request is decided against a config: add --config DIR".to_owned(),
        )),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    if file.as_os_str() == "-" {
        let mut input = Vec::new();
        let read = std::io::stdin().read_to_end(&mut input);
        return read
            .map(|_| input)
            .map_err(|error| format!("standard input: {error}"));
    }
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// The version of a record. No dialect's request has its fields.
fn record_version(input: &[u8]) -> Option<u64> {
    let tree: serde_json::Value = serde_json::from_slice(input).ok()?;
    tree.get("outcome")?;
    tree.get("v")?.as_u64()
}

fn tell_record(
    arguments: &Arguments,
    input: &[u8],
    folder: Option<&Folder>,
) -> Result<Told, Refusal> {
    let record: Record = serde_json::from_slice(input)
        .map_err(|error| arguments.problem(format!("not a whole record: {error}")))?;
    let explanation = Explanation::of_record(&record).ok_or_else(|| {
        let code = record.outcome.error.as_deref().unwrap_or("unknown");
        arguments.problem(format!(
            "nothing was decided: the request was refused with `{code}`"
        ))
    })?;
    let against = match folder {
        Some(folder) => {
            let route = folder.route(&record.route)?;
            let again = decide_again(&explanation, &route);
            Some(Against {
                config: folder.revisions(&route),
                is_same: again.plan == explanation.decision.plan,
                plan: again.plan,
            })
        }
        None => None,
    };
    Ok(Told {
        explanation: explanation.explained(),
        against,
    })
}

/// The decision with this route.
fn decide_again(explanation: &Explanation<Candidate>, route: &Route) -> Decision {
    let Explanation {
        traits, decision, ..
    } = explanation;
    let plan = plan_again(traits, &decision.candidates, route, decision.seed.value);
    Decision::of(&plan, decision.seed)
}

fn tell_request(arguments: &Arguments, body: &[u8], folder: &Folder) -> Result<Told, Refusal> {
    let problem = |error: RequestError| arguments.problem(error.to_string());
    let said = arguments.header("anthropic-version");
    let said = said.map(|_| ClientDialect::Anthropic);
    let dialect = recognise(None, arguments.dialect.or(said), body).map_err(problem)?;
    let outline = outline(dialect, body).map_err(problem)?;
    let mut caller = arguments.caller(dialect);
    let limits = arguments.header(LIMITS_HEADER);
    caller
        .constrain(&outline, limits.as_deref())
        .map_err(|error| arguments.problem(error.to_string()))?;
    let request = Request {
        arguments,
        folder,
        outline: &outline,
        caller: &caller,
        body,
    };
    let (first, others) = outline.asked(arguments.header("x-waypost-route"));
    let fallbacks = others.iter().map(|asked| request.routing(asked));
    let order = Order {
        id: String::new(),
        form: Form::Json,
        client: dialect,
        headers: ClientHeaders::default(),
        delivery: Delivery::default(),
        body: Vec::new(),
        prefix: outline.prefix.clone(),
        routing: request.routing(&first)?,
        fallbacks: fallbacks.collect::<Result<_, _>>()?,
        is_explained: true,
    };
    Ok(Told {
        explanation: order.explain(&Health::default(), UnixMillis(0)),
        against: None,
    })
}

/// A saved request, and what it is decided against.
struct Request<'a> {
    arguments: &'a Arguments,
    folder: &'a Folder,
    outline: &'a Outline,
    caller: &'a Caller,
    body: &'a [u8],
}

impl Request<'_> {
    /// The request as the route that is asked for takes it, or the route that its rules send it on to.
    fn routing(&self, asked: &Asked) -> Result<Routing, Refusal> {
        let mut route = self.folder.route(&asked.name)?;
        let mut caller = self.caller.clone();
        let mut via = Vec::new();
        let traits = loop {
            caller.ask_for(&route, self.body, |name| self.arguments.header(name));
            let traits = Traits::of(self.outline, &asked.model, caller.clone());
            let next = redirect(&traits, &route).filter(|_| via.len() < REDIRECTS_MAX);
            let Some(next) = next.map(str::to_owned) else {
                break traits;
            };
            via.push(route.name.clone());
            route = self.folder.route(&next)?;
        };
        Ok(Routing {
            seed: Seed::of(&route, &traits, self.arguments.seed),
            traits,
            config: self.folder.revisions(&route),
            via,
            route: Arc::new(route),
        })
    }
}

impl Arguments {
    fn caller(&self, dialect: ClientDialect) -> Caller {
        Caller {
            dialect: Some(dialect),
            key: self.key.clone(),
            team: self.team.clone(),
            session: self.header("x-waypost-session"),
            user: self.header("x-waypost-user"),
            tags: self.header("x-waypost-tags"),
            country: self.country.clone(),
            continent: self.continent.clone(),
            pop: self.pop.clone(),
            at: self.at.map_or_else(now, UnixMillis),
            ..Caller::default()
        }
    }

    /// The value of a header, the values of several of that name joined as HTTP joins them.
    fn header(&self, name: &str) -> Option<String> {
        let same = self.headers.iter().filter(|(known, _)| known == name);
        let values: Vec<&str> = same.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| shortened(&values.join(", ")))
    }

    fn problem(&self, problem: String) -> Refusal {
        let file = self.file.display().to_string();
        Refusal::Problems(vec![Obstacle { file, problem }])
    }
}

impl Told {
    fn to_text(&self) -> String {
        let mut told = text(&self.explanation);
        if let Some(against) = &self.against {
            let plan = match against.plan.as_slice() {
                _ if against.is_same => "the plan is the same".to_owned(),
                [] => "the plan is another: empty".to_owned(),
                plan => format!("the plan is another: {}", plan.join(", ")),
            };
            let route = &against.config.route.0;
            told += "\n\n";
            told += &line("this config", &format!("route {route}: {plan}"));
        }
        told
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads its own clock"
)]
fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since_ms = since.map(|since| since.as_millis()).unwrap_or_default();
    UnixMillis(u64::try_from(since_ms).unwrap_or(u64::MAX))
}

fn hex(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|_| "expected at most 16 hexadecimal digits".to_owned())
}

fn dialect(name: &str) -> Result<ClientDialect, String> {
    let known = || ClientDialect::ALL.map(ClientDialect::name).join(", ");
    ClientDialect::parse(name).ok_or_else(|| format!("expected one of {}", known()))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .filter(|(name, _)| !name.trim().is_empty())
        .ok_or("expected `name: value`")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}
