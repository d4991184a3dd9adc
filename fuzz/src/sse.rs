//! Any bytes as a stream of events, cut in several ways.
//!
//! The first byte says how long the pieces are. Where it is [`STRETCHED`] or more, an endless line stands in the
//! middle, so that the stream ends at the decoder's limit or near it.

use waypost::sse::{Decoder, EVENT_BYTES_MAX, Event, TooLong, write_event};

/// First bytes from here on ask for a long line. Few, because each costs megabytes.
const STRETCHED: u8 = 0xFE;
/// So many pieces are also forwarded, as a relay would; each time from the start.
const FORWARDED_MAX: usize = 64;

/// All that a decoder tells of a stream.
#[derive(Debug, Default, PartialEq)]
struct Told {
    events: Vec<Event>,
    outcome: Option<TooLong>,
    comments: u64,
    pending: usize,
    late: Vec<Event>,
}

/// A provider's stream, from its bytes to its events.
pub fn sse(bytes: &[u8]) {
    let Some((first, stream)) = bytes.split_first() else {
        return;
    };
    if *first >= STRETCHED {
        let stream = stretched(stream);
        let whole = read([stream.as_slice()]);
        let size = EVENT_BYTES_MAX / 4 + usize::from(*first);
        assert_eq!(whole, read(stream.chunks(size)), "in pieces of {size}");
        return;
    }
    let whole = read([stream]);
    let size = usize::from(*first) % 16 + 1;
    assert_eq!(whole, read(stream.chunks(size)), "in pieces of {size}");
    assert_eq!(whole, read(stream.chunks(1)), "byte by byte");
    assert_eq!(whole, read(by_own_bytes(stream)), "cut by its own bytes");
    check_forwarded(stream, size);
    check_written(&whole.events);
}

/// With a line so long in the middle that the whole comes to the limit, give or take the first byte's worth.
fn stretched(stream: &[u8]) -> Vec<u8> {
    let slack = stream.first().map_or(0, |byte| usize::from(*byte));
    let (left, right) = stream.split_at(stream.len() / 2);
    let fill = (EVENT_BYTES_MAX + slack).saturating_sub(stream.len() + 128);
    [left, &vec![b'x'; fill], right].concat()
}

fn by_own_bytes(stream: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = stream;
    while let Some(byte) = rest.first() {
        let (piece, others) = rest.split_at(rest.len().min(usize::from(*byte % 8)));
        pieces.push(piece);
        // An empty piece is one too, and must change nothing.
        rest = if piece.is_empty() {
            let (one, others) = rest.split_at(1);
            pieces.push(one);
            others
        } else {
            others
        };
    }
    pieces
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Told {
    let mut decoder = Decoder::new();
    let mut told = Told::default();
    let mut fed = 0;
    for piece in pieces {
        fed += piece.len();
        if let Err(too_long) = decoder.push(piece, &mut told.events) {
            told.outcome = Some(too_long);
            return told;
        }
        assert!(decoder.pending_bytes() <= EVENT_BYTES_MAX.min(fed));
    }
    told.comments = decoder.comments();
    told.pending = decoder.pending_bytes();
    decoder.finish(&mut told.late);
    assert!(told.late.len() <= 1);
    assert_eq!(decoder.pending_bytes(), 0);
    told
}

/// What is not pending is whole events, and all that were told.
fn check_forwarded(stream: &[u8], size: usize) {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    let mut end = 0;
    for piece in stream.chunks(size).take(FORWARDED_MAX) {
        end += piece.len();
        if decoder.push(piece, &mut events).is_err() {
            return;
        }
        let (forwarded, _) = stream.split_at(end - decoder.pending_bytes());
        let seen = read([forwarded]);
        assert_eq!((&seen.events, seen.pending), (&events, 0), "after {end}");
    }
}

/// What we write of events reads back as the same events.
fn check_written(events: &[Event]) {
    let mut bytes = Vec::new();
    for event in events {
        let name = (!event.name.is_empty()).then_some(event.name.as_str());
        write_event(&mut bytes, name, event.data.as_bytes());
    }
    let again = read([bytes.as_slice()]);
    assert_eq!((again.events.as_slice(), again.pending), (events, 0));
}
