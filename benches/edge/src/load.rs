//! The clients: so many connections, each kept alive, each asking again as soon as it was answered.
//!
//! Every answer is checked. A wrong one is a failure and its times count for nothing; the first one's reason is kept,
//! because a run with failures is no result and someone will ask why.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::answer::{Follower, Shape, THINKING, check_whole};
use crate::reads::Counted;

/// A prompt that makes the request a kilobyte.
const PROMPT_BYTES: usize = 850;
/// How long an answer may take beyond its own pauses.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where the system listens, as `127.0.0.1:8787`.
    #[arg(long)]
    address: SocketAddr,
    /// What to ask for: `json`, or a stream such as `lf-100x10`.
    #[arg(long)]
    model: String,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Requests of all connections together.
    #[arg(long, default_value_t = 1)]
    requests: usize,
    /// A header of each request, as `name: value`.
    #[arg(long = "header")]
    headers: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    requests: usize,
    failures: usize,
    /// Why the first failure was one.
    failure: Option<String>,
    seconds: f64,
    /// From the request to the last byte.
    total_ms: Option<Spread>,
    /// From the request to the first event with content.
    first_token_ms: Option<Spread>,
    /// Events of streams, and the reads of the socket that they came in.
    events: u32,
    reads: u32,
    events_per_read_max: u32,
}

#[derive(Debug, Serialize)]
struct Spread {
    p50: f64,
    p99: f64,
}

/// What one good answer showed.
struct Seen {
    total: Duration,
    first_token: Option<Duration>,
    events: Batches,
}

/// Events by the read that brought them.
#[derive(Default)]
struct Batches {
    read: Option<u64>,
    current: u32,
    events: u32,
    reads: u32,
    max: u32,
}

impl Batches {
    fn note(&mut self, read: u64, events: u32) {
        if events == 0 {
            return;
        }
        if self.read != Some(read) {
            self.read = Some(read);
            self.reads += 1;
            self.current = 0;
        }
        self.current += events;
        self.events += events;
        self.max = self.max.max(self.current);
    }
}

struct Client {
    sender: SendRequest<Full<Bytes>>,
    reads: Arc<AtomicU64>,
}

pub async fn run(options: Options) -> Result<Report, Box<dyn std::error::Error>> {
    let shape = Shape::of(&options.model)?;
    let request = request(&options)?;
    let left = Rc::new(Cell::new(options.requests));
    let outcomes = Rc::new(RefCell::new(Vec::with_capacity(options.requests)));
    let began = Instant::now();
    let clients = LocalSet::new();
    for _ in 0..options.connections {
        let (left, outcomes, request) = (Rc::clone(&left), Rc::clone(&outcomes), request.clone());
        let address = options.address;
        clients.spawn_local(async move {
            let mut client = None;
            while left.get() > 0 {
                left.set(left.get() - 1);
                let outcome = ask(&mut client, address, &request, shape).await;
                if outcome.is_err() {
                    client = None;
                }
                outcomes.borrow_mut().push(outcome);
            }
        });
    }
    clients.await;
    Ok(report(&outcomes.borrow(), began.elapsed()))
}

fn request(options: &Options) -> Result<Request<Full<Bytes>>, Box<dyn std::error::Error>> {
    let is_stream = options.model != "json";
    let prompt = "x".repeat(PROMPT_BYTES);
    let body = format!(
        r#"{{"model":"{}","stream":{is_stream},"messages":[{{"role":"system","content":"You are terse."}},{{"role":"user","content":"{prompt}"}}],"max_tokens":200}}"#,
        options.model
    );
    let mut builder = Request::post("/v1/chat/completions")
        .header("host", options.address.to_string())
        .header("content-type", "application/json");
    for header in &options.headers {
        let (name, value) = header.split_once(": ").ok_or("a header is `name: value`")?;
        builder = builder.header(name, value);
    }
    Ok(builder.body(Full::new(Bytes::from(body)))?)
}

async fn ask(
    client: &mut Option<Client>,
    address: SocketAddr,
    request: &Request<Full<Bytes>>,
    shape: Shape,
) -> Result<Seen, String> {
    if client.is_none() {
        let connected = timeout(PATIENCE, connect(address)).await;
        *client = Some(connected.map_err(|_| "no connection in time")??);
    }
    let Some(Client { sender, reads }) = client else {
        return Err("no connection".to_owned());
    };
    let pauses = match shape {
        Shape::Whole => Duration::ZERO,
        Shape::Stream(stream) => THINKING + stream.gap * stream.events,
    };
    let answered = async {
        sender.ready().await.map_err(|error| error.to_string())?;
        let began = Instant::now();
        let response = sender.send_request(request.clone()).await;
        let response = response.map_err(|error| error.to_string())?;
        read(response, shape, reads, began).await
    };
    let answered = timeout(pauses * 2 + PATIENCE, answered).await;
    answered.map_err(|_| "no whole answer in time".to_owned())?
}

async fn connect(address: SocketAddr) -> Result<Client, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let reads = Arc::<AtomicU64>::default();
    let io = TokioIo::new(Counted::new(stream, Arc::clone(&reads)));
    let (sender, connection) = handshake(io).await.map_err(|error| error.to_string())?;
    tokio::task::spawn_local(async move { connection.await.ok() });
    Ok(Client { sender, reads })
}

async fn read(
    response: Response<Incoming>,
    shape: Shape,
    reads: &AtomicU64,
    began: Instant,
) -> Result<Seen, String> {
    let status = response.status();
    let mut body = response.into_body();
    let mut follower = Follower::default();
    let mut whole = Vec::new();
    let mut first_token = None;
    let mut events = Batches::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Some(bytes) = frame.data_ref() else {
            continue;
        };
        if status != 200 || matches!(shape, Shape::Whole) {
            whole.extend_from_slice(bytes);
            continue;
        }
        events.note(reads.load(Ordering::Relaxed), follower.push(bytes)?);
        if first_token.is_none() && follower.has_content() {
            first_token = Some(began.elapsed());
        }
    }
    let total = began.elapsed();
    if status != 200 {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&whole)));
    }
    match shape {
        Shape::Whole => check_whole(&whole)?,
        Shape::Stream(stream) => follower.check_end(&stream)?,
    }
    Ok(Seen {
        total,
        first_token,
        events,
    })
}

fn report(outcomes: &[Result<Seen, String>], elapsed: Duration) -> Report {
    let good: Vec<&Seen> = outcomes.iter().flatten().collect();
    Report {
        requests: outcomes.len(),
        failures: outcomes.len() - good.len(),
        failure: outcomes
            .iter()
            .find_map(|outcome| outcome.as_ref().err().cloned()),
        seconds: elapsed.as_secs_f64(),
        total_ms: spread(good.iter().map(|seen| seen.total).collect()),
        first_token_ms: spread(good.iter().filter_map(|seen| seen.first_token).collect()),
        events: good.iter().map(|seen| seen.events.events).sum(),
        reads: good.iter().map(|seen| seen.events.reads).sum(),
        events_per_read_max: good
            .iter()
            .map(|seen| seen.events.max)
            .max()
            .unwrap_or_default(),
    }
}

fn spread(mut times: Vec<Duration>) -> Option<Spread> {
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times.get((times.len() * percent / 100).min(times.len().checked_sub(1)?))?;
        Some(time.as_secs_f64() * 1000.0)
    };
    Some(Spread {
        p50: at(50)?,
        p99: at(99)?,
    })
}
