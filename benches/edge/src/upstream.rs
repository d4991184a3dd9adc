//! The provider: as little work as an answer can be, so that it is never what a measurement measures.
//!
//! Each event is a chunk of its own, and a paced one a write of its own, as real providers send them.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::answer::{Shape, Stream, THINKING, whole};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Answers on a free port of the loopback, for ever.
pub async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!(r#"{{"port":{}}}"#, listener.local_addr()?.port());
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(connection), service_fn(answer));
        // A client that leaves in the middle is its own business.
        tokio::spawn(async move { serving.await.ok() });
    }
}

#[derive(Deserialize)]
struct Asked {
    model: String,
    /// Asks for the beginning of a long stream, and its end.
    #[serde(default)]
    is_short: bool,
}

/// Events of a stream that is asked for short.
const SHORT_EVENTS: u32 = 5;

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let shape = serde_json::from_slice::<Asked>(&body)
        .map_err(|error| error.to_string())
        .and_then(|asked| Ok((Shape::of(&asked.model)?, asked.is_short)));
    Ok(match shape {
        Ok((Shape::Whole, _)) => respond(StatusCode::OK, "application/json", text(whole())),
        Ok((Shape::Stream(mut stream), is_short)) => {
            if is_short {
                stream.events = stream.events.min(SHORT_EVENTS);
            }
            respond(StatusCode::OK, "text/event-stream", events(stream))
        }
        Err(problem) => respond(StatusCode::BAD_REQUEST, "text/plain", text(problem)),
    })
}

fn respond(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let value = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert("content-type", value);
    response
}

fn text(text: String) -> Body {
    Full::new(Bytes::from(text)).boxed_unsync()
}

fn events(stream: Stream) -> Body {
    let numbers = stream::iter(0..stream.events);
    let numbers: Pin<Box<dyn futures::Stream<Item = u32> + Send>> = if stream.gap.is_zero() {
        Box::pin(numbers)
    } else {
        let mut clock = interval_at(Instant::now() + THINKING, stream.gap);
        // One that comes late does not bring the next one forward: two in one read would be our doing.
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ticks = stream::unfold(clock, |mut clock| async move {
            clock.tick().await;
            Some(((), clock))
        });
        Box::pin(numbers.zip(ticks).map(|(number, ())| number))
    };
    let frames = numbers.map(move |number| Ok(Frame::data(Bytes::from(stream.event(number)))));
    BodyExt::boxed_unsync(StreamBody::new(frames))
}
