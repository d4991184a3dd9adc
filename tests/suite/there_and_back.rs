//! What is lost on the way to another dialect and back is what `docs/dialects.md` says, and nothing else.
//!
//! A request starts as `.again.json`, the way its own dialect writes it, so that only the other dialect's losses count. It
//! may lose the droppable features that the other does not carry, and what `[there_and_back]` in its dialect's about.toml
//! lists as `"<others>: <path>"`. An answer goes to a client of each dialect and is read again as that dialect's provider's;
//! it may lose what `[answers]` there lists. Each entry must be lost somewhere, and the tables of the page are made of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use waypost::chat::{Answer, Event, RequestError};
use waypost::dialects::{
    self, Asks, ClientDialect, Dialect, GeminiAddress, Outline, Shape, StreamEncoder,
};

use super::dialects::{
    CREATED, collect, decode, differences, dump_answer, entries, is_within, place, shape, stream,
    tree,
};
use super::expect::{Report, inputs};

/// An entry of a list, and which of its dialects have lost it.
struct Loss {
    others: Vec<String>,
    path: String,
    used: BTreeSet<String>,
}

/// What may be lost, and where each is.
struct Losses {
    of: &'static str,
    entries: Vec<Loss>,
}

impl Losses {
    /// A table of a dialect's about.toml. Where a key names no other dialect, the dialect itself is meant.
    fn read(dialect: Dialect, table: &str) -> Self {
        let entries = entries(dialect, table).into_iter();
        let entries = entries.map(|(key, _)| {
            let (others, path) = key.split_once(": ").unwrap_or((dialect.name(), &key));
            Loss {
                others: others.split_whitespace().map(str::to_owned).collect(),
                path: path.to_owned(),
                used: BTreeSet::new(),
            }
        });
        Self {
            of: dialect.name(),
            entries: entries.collect(),
        }
    }

    /// Notes what `other` lost of the fixture `name`.
    fn lose(&mut self, other: &str, places: Vec<String>, name: &str, report: &mut Report) {
        for place in places {
            let is_it = |loss: &&mut Loss| {
                loss.others.iter().any(|known| known == other) && is_within(&place, &loss.path)
            };
            let found = self.entries.iter_mut().filter(is_it);
            // The nearest one counts.
            match found.max_by_key(|loss| loss.path.len()) {
                Some(loss) => drop(loss.used.insert(other.to_owned())),
                None => report.problem(format!(
                    "{} by way of {other}: {place} is lost in {name}",
                    self.of
                )),
            }
        }
    }

    fn check_all_used(&self, report: &mut Report) {
        for loss in &self.entries {
            for other in loss
                .others
                .iter()
                .filter(|other| !loss.used.contains(*other))
            {
                let path = &loss.path;
                report.problem(format!(
                    "{} by way of {other}: {path} is lost nowhere",
                    self.of
                ));
            }
        }
    }
}

#[test]
fn a_request_loses_by_way_of_another_dialect_what_is_listed() {
    let mut report = Report::default();
    for client in ClientDialect::ALL {
        let mut losses = Losses::read(client.into(), "[there_and_back]");
        for (name, path) in inputs(&place(client.into()), ".again.json") {
            // What is a mistake anyway may be refused on the way.
            if name.starts_with("bad.") {
                continue;
            }
            let body = addressed(client, fs::read(&path).unwrap());
            let outline = dialects::outline(client, &body).unwrap();
            for other in ClientDialect::ALL
                .into_iter()
                .filter(|other| *other != client)
            {
                let carried = Dialect::from(other).carries();
                if outline.asks.beyond(carried).is_some() {
                    continue;
                }
                let lost = lost(client, other, &body, &outline);
                losses.lose(other.name(), lost, &name, &mut report);
                report.same(&name, "", "");
            }
        }
        losses.check_all_used(&mut report);
    }
}

/// Where a request differs when it has been the other dialect's, but for what that one drops and names.
fn lost(
    client: ClientDialect,
    other: ClientDialect,
    body: &[u8],
    outline: &Outline,
) -> Vec<String> {
    let shape = Shape {
        carried: Dialect::from(other).carries(),
        ..shape(false)
    };
    let there = match dialects::encode_request(client, other.into(), body, &shape) {
        Ok(sent) => addressed(other, sent.body),
        Err(RequestError::NotTranslatable { field, .. }) => return vec![field],
        Err(error) => panic!("{} to {}: {error}", client.name(), other.name()),
    };
    let asks = dialects::outline(other, &there).unwrap().asks;
    let new = asks.iter().filter(|ask| !outline.asks.has(ask.feature));
    let mut lost: Vec<String> = new
        .map(|ask| format!("asks {}", ask.feature.name()))
        .collect();

    let request = dialects::parse_request(other, &there).unwrap();
    let back = dialects::encode_parsed(client.into(), &request, &super::dialects::shape(false));
    let back = addressed(client, back.unwrap().body);
    let mut places = Vec::new();
    differences("", &tree(body), &tree(&back), &mut places);
    let is_lost = |place: &String| !is_dropped(place, &outline.asks, shape);
    lost.extend(places.into_iter().filter(is_lost));
    lost
}

/// Whether a field asks for a dropped feature, is nothing without one, or has the name of one.
fn is_dropped(place: &str, asks: &Asks, shape: Shape) -> bool {
    fn last(path: &str) -> Option<&str> {
        path.rsplit('.').next()
    }
    asks.dropped(shape.carried).any(|ask| {
        let field = without_numbers(&ask.field);
        is_within(place, &field)
            || is_within(&field, &format!("{place}[]"))
            || field
                .rsplit_once('.')
                .is_some_and(|(holder, _)| holder == place)
            || place.split('.').any(|piece| Some(piece) == last(&field))
    })
}

/// A path without the places in arrays.
fn without_numbers(path: &str) -> String {
    let mut pieces = path.split('[');
    let mut found = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        found.push('[');
        found.push_str(piece.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    found
}

/// A body with what Gemini's URL says.
fn addressed(dialect: ClientDialect, body: Vec<u8>) -> Vec<u8> {
    if dialect != ClientDialect::Gemini {
        return body;
    }
    let model = dialects::path_segment(shape(false).model);
    let path = format!("/v1beta/models/{model}:generateContent");
    let address = GeminiAddress::parse(&path, "").unwrap();
    address.write_into(&body).unwrap()
}

#[test]
fn an_answer_loses_by_way_of_a_client_what_is_listed() {
    let mut report = Report::default();
    for client in ClientDialect::ALL {
        let mut losses = Losses::read(client.into(), "[answers]");
        for (name, answer, mut again) in
            told_whole(client).into_iter().chain(told_streaming(client))
        {
            // What the provider did not tell is not lost where the client's dialect demands it.
            again.usage = again.usage.filter(|_| answer.usage.is_some());
            again.finish = again.finish.filter(|_| answer.finish.is_some());
            let mut places = Vec::new();
            differences("", &dump_answer(&answer), &dump_answer(&again), &mut places);
            losses.lose(client.name(), places, &name, &mut report);
            report.same(&name, "", "");
        }
        losses.check_all_used(&mut report);
    }
}

/// Every provider's whole answers, and each as a client reads it.
fn told_whole(client: ClientDialect) -> Vec<(String, Answer, Answer)> {
    let mut told = Vec::new();
    for provider in Dialect::ALL {
        for (name, path) in inputs(&place(provider), ".answer.json") {
            let Ok(answer) = dialects::parse_answer(provider, &fs::read(&path).unwrap()) else {
                continue;
            };
            let body = dialects::encode_answer(client, &answer, CREATED);
            let again = dialects::parse_answer(client.into(), &body).unwrap();
            told.push((format!("{} {name}", provider.name()), answer, again));
        }
    }
    told
}

/// The same of streams that came to their end.
fn told_streaming(client: ClientDialect) -> Vec<(String, Answer, Answer)> {
    let mut told = Vec::new();
    for provider in Dialect::ALL {
        for (name, path) in inputs(&place(provider), ".stream.txt") {
            let steps = decode(provider, &[&stream(provider, &path)]);
            if !steps.contains(&Ok(Event::End)) {
                continue;
            }
            let mut out = Vec::new();
            let mut encoder = StreamEncoder::new(client, CREATED, true);
            for event in steps.iter().filter_map(|step| step.as_ref().ok()) {
                encoder.push(event, &mut out);
            }
            let again = collect(&decode(client.into(), &[&out]));
            told.push((
                format!("{} {name}, streamed", provider.name()),
                collect(&steps),
                again,
            ));
        }
    }
    told
}

#[test]
fn the_page_lists_what_is_lost() {
    let mut report = Report::default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dialects.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut rows = Vec::new();
    let mut answers = Vec::new();
    for client in ClientDialect::ALL {
        let name = client.name();
        for (key, why) in entries(client.into(), "[there_and_back]") {
            let (others, path) = key.split_once(": ").unwrap();
            let others = others.replace(' ', ", ");
            // That something is asked for is no loss.
            if !path.starts_with("asks ") {
                rows.push((format!("| {name} | {others} |"), path.to_owned(), why));
            }
        }
        for (path, why) in entries(client.into(), "[answers]") {
            answers.push((format!("| {name} |"), path, why));
        }
    }
    let page = with_table(&page, "| a request of | by way of | loses | why |", rows);
    let page = with_table(&page, "| a client of | is not told | why |", answers);
    report.compare(&path, page.as_bytes());
}

/// The page with these rows under this head, those of one reason as one.
fn with_table(page: &str, head: &str, rows: Vec<(String, String, String)>) -> String {
    let (before, rest) = page.split_once(head).expect(head);
    let after = rest.find("\n\n").map_or("", |end| rest.split_at(end).1);
    let mut merged: Vec<(String, String, String)> = Vec::new();
    for (who, path, why) in rows {
        let path = format!("`{path}`");
        match merged.iter_mut().find(|row| row.0 == who && row.2 == why) {
            Some(row) => row.1 = format!("{}, {path}", row.1),
            None => merged.push((who, path, why)),
        }
    }
    let line = |(who, paths, why)| format!("{who} {paths} | {why} |");
    let rule = format!("{}|", "|---".repeat(head.matches('|').count() - 1));
    let lines: Vec<String> = merged.into_iter().map(line).collect();
    let table = [vec![head.to_owned(), rule], lines].concat().join("\n");
    format!("{before}{table}{after}")
}
