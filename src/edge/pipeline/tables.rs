//! The tables of D1, and the statements that fill them.
//!
//! | table | a row is |
//! |---|---|
//! | `records` | one record: what lists are made from, and where its line stands in R2 |
//! | `rollups` | the exchanges of a minute, by route, target and variant |
//! | `attempt_rollups` | the attempts of a minute, by these and outcome |
//! | `series` | one set of labels that is counted by its own name |
//! | `unfinished` | an object of R2 whose rows are not in `records` yet |
//!
//! Minute 0 holds the totals of all time, which `/metrics` tells: counters must not fall when old minutes are deleted.
//!
//! All statements for some rows run as one transaction: first those that count, of the rows whose ids `records` has not,
//! then the one that adds them. So a row that comes again is not counted again, whatever ended the consumer in between.
//! We did not derive the rollups from `records` on a schedule: each run would read every row of its minutes, and the
//! newest figures would be the last run's. Triggers would write a rollup's row for each record.
//!
//! Labels that found no room in `series` are counted as `other`, for good: a series that moved from there to its own name
//! would look like a counter that fell.

use std::cell::RefCell;
use std::fmt::Write as _;

use wasm_bindgen::JsValue;
use worker::Env;

use super::database::{Failed, batch, statement, text};
use crate::journal::{ENDINGS, LATENCY_BOUNDS, OTHER};
use crate::units::UnixMillis;

/// Sets of labels that are counted by their own names. Each is some forty lines of `/metrics`.
const SERIES_MAX: usize = 300;
/// Of these, how many may be of names with a slash: a caller who asks for `provider/model` makes such names up, and must not
/// take the room of the team's own routes.
const DIRECT_SERIES_MAX: usize = 100;
/// The two times that are counted in buckets, by the names of their columns.
const TIMES: [&str; 2] = ["first_token", "total"];
/// The columns that identify a series.
const LABELS: &str = "route, target, variant";
/// What is summed up of attempts.
const ATTEMPT_SUMS: [&str; 6] = [
    "attempts",
    "prompt_tokens",
    "cached_tokens",
    "answer_tokens",
    "reasoning_tokens",
    "cost_micro_usd",
];

const CREATE_RECORDS: &str = "CREATE TABLE IF NOT EXISTS records (id TEXT PRIMARY KEY, at INTEGER NOT NULL, \
    route TEXT NOT NULL, target TEXT, outcome TEXT NOT NULL, status INTEGER NOT NULL, \
    attempts INTEGER NOT NULL, first_token_ms INTEGER, total_ms INTEGER NOT NULL, \
    prompt_tokens INTEGER, answer_tokens INTEGER, cost_micro_usd REAL NOT NULL, key TEXT NOT NULL, \
    team TEXT, pop TEXT, object TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL)";
const CREATE_INDEX: &str = "CREATE INDEX IF NOT EXISTS records_at ON records (at)";
const CREATE_SERIES: &str = "CREATE TABLE IF NOT EXISTS series (route TEXT NOT NULL, target TEXT NOT NULL, \
    variant TEXT NOT NULL, PRIMARY KEY (route, target, variant)) WITHOUT ROWID";
const CREATE_UNFINISHED: &str = "CREATE TABLE IF NOT EXISTS unfinished (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID";
const BEGIN: &str = "INSERT INTO unfinished (key, at) SELECT value, ?2 FROM json_each(?1)";
const FINISH: &str = "DELETE FROM unfinished WHERE key IN (SELECT value FROM json_each(?1))";
const UNFINISHED: &str = "SELECT json_group_array(key) AS text FROM \
    (SELECT key FROM unfinished WHERE at < ?1 ORDER BY at LIMIT ?2)";
/// One statement for all rows: D1 counts statements.
const INSERT_RECORDS: &str = "INSERT OR IGNORE INTO records (id, at, route, target, outcome, status, attempts, \
    first_token_ms, total_ms, prompt_tokens, answer_tokens, cost_micro_usd, key, team, pop, object, offset, \
    length) SELECT value->>'id', value->>'at', value->>'route', value->>'target', value->>'outcome', \
    value->>'status', value->>'attempts', value->>'first_token_ms', value->>'total_ms', \
    value->>'prompt_tokens', value->>'answer_tokens', value->>'cost_micro_usd', value->>'key', \
    value->>'team', value->>'pop', value->>'object', value->>'offset', value->>'length' FROM json_each(?1)";
/// The rows of `?1` that have not been counted.
const FRESH: &str = "fresh AS (SELECT value AS row, value->>'in_route' AS route, value->>'in_target' AS target, \
    value->>'in_variant' AS variant, value->>'minute' AS minute FROM json_each(?1) \
    WHERE NOT EXISTS (SELECT 1 FROM records WHERE id = value->>'id'))";
/// Their attempts.
const TRIES: &str = "tries AS (SELECT t.value AS try, fresh.route AS route, t.value->>'target' AS target, \
    fresh.variant AS variant, fresh.minute AS minute FROM fresh, json_each(fresh.row, '$.tries') AS t)";

/// Notes objects that are about to be put, by a JSON array of their keys.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 are below 2^53"
)]
pub async fn begin(keys: &str, at: UnixMillis, env: &Env) -> Result<(), Failed> {
    let arguments = [keys.into(), (at.0 as f64).into()];
    batch(env, &[statement(env, BEGIN, &arguments)?]).await?;
    Ok(())
}

/// Stores rows, given as JSON arrays, and counts those that are new; and notes that the objects they are in are whole.
/// All or nothing.
pub async fn insert(
    parts: impl Iterator<Item = String>,
    keys: &str,
    env: &Env,
) -> Result<(), Failed> {
    let sql = [
        add_series(),
        count_exchanges(),
        count_attempts(),
        INSERT_RECORDS.to_owned(),
    ];
    let mut statements = Vec::new();
    for rows in parts {
        let rows = JsValue::from_str(&rows);
        for sql in &sql {
            statements.push(statement(env, sql, std::slice::from_ref(&rows))?);
        }
    }
    statements.push(statement(env, FINISH, &[keys.into()])?);
    batch(env, &statements).await?;
    Ok(())
}

/// The objects, up to a number, that were begun before an instant and never finished.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 are below 2^53"
)]
pub async fn unfinished(before: UnixMillis, limit: u32, env: &Env) -> Result<Vec<String>, Failed> {
    let arguments = [(before.0 as f64).into(), limit.into()];
    let keys = text(env, UNFINISHED, &arguments).await?;
    Ok(serde_json::from_str(&keys.unwrap_or_default()).unwrap_or_default())
}

/// Forgets objects that were begun, by a JSON array of their keys.
pub async fn forget(keys: &str, env: &Env) -> Result<(), Failed> {
    batch(env, &[statement(env, FINISH, &[keys.into()])?]).await?;
    Ok(())
}

/// Makes the tables where they are missing, so that there is no step to forget at deployment.
pub async fn ensure(env: &Env) -> Result<(), Failed> {
    thread_local! {
        static ARE_MADE: RefCell<bool> = const { RefCell::new(false) };
    }
    if ARE_MADE.with_borrow(|are_made| *are_made) {
        return Ok(());
    }
    let statements = [
        CREATE_RECORDS.to_owned(),
        CREATE_INDEX.to_owned(),
        CREATE_SERIES.to_owned(),
        CREATE_UNFINISHED.to_owned(),
        create_rollups(),
        create_attempt_rollups(),
    ];
    let statements: Result<Vec<JsValue>, Failed> = statements
        .iter()
        .map(|sql| statement(env, sql, &[]))
        .collect();
    batch(env, &statements?).await?;
    ARE_MADE.with_borrow_mut(|are_made| *are_made = true);
    Ok(())
}

/// `first_token_0` to `first_token_12`: how many exchanges fell into each bucket.
pub fn buckets(time: &str) -> impl Iterator<Item = String> {
    (0..=LATENCY_BOUNDS.len()).map(move |place| format!("{time}_{place}"))
}

/// What is summed up of exchanges, and of which expression over `fresh`.
fn exchange_sums() -> Vec<(String, String)> {
    let ending = |ending: &&str| {
        let sum = format!("SUM(row->>'outcome' = '{ending}')");
        ((*ending).to_owned(), sum)
    };
    let mut sums: Vec<(String, String)> = ENDINGS.iter().map(ending).collect();
    sums.push((
        "failovers".to_owned(),
        "SUM(row->>'attempts' > 1)".to_owned(),
    ));
    for time in TIMES {
        sums.push((
            format!("{time}_ms_sum"),
            format!("SUM(COALESCE(row->>'{time}_ms', 0))"),
        ));
        for (place, bucket) in buckets(time).enumerate() {
            // NULL = n is NULL, and a sum of nothing but NULL as well.
            let sum = format!("SUM(COALESCE(row->>'{time}_bucket' = {place}, 0))");
            sums.push((bucket, sum));
        }
    }
    sums
}

fn create_rollups() -> String {
    let mut sql =
        "CREATE TABLE IF NOT EXISTS rollups (minute INTEGER NOT NULL, route TEXT NOT NULL, \
        target TEXT NOT NULL, variant TEXT NOT NULL, newest INTEGER NOT NULL"
            .to_owned();
    for (column, _) in exchange_sums() {
        let _ = write!(sql, ", {column} INTEGER NOT NULL");
    }
    let _ = write!(sql, ", PRIMARY KEY (minute, {LABELS})) WITHOUT ROWID");
    sql
}

fn create_attempt_rollups() -> String {
    let mut sql = "CREATE TABLE IF NOT EXISTS attempt_rollups (minute INTEGER NOT NULL, route TEXT NOT NULL, \
        target TEXT NOT NULL, variant TEXT NOT NULL, outcome TEXT NOT NULL, newest INTEGER NOT NULL"
        .to_owned();
    for column in ATTEMPT_SUMS {
        let _ = write!(sql, ", {column} REAL NOT NULL");
    }
    let _ = write!(
        sql,
        ", PRIMARY KEY (minute, {LABELS}, outcome)) WITHOUT ROWID"
    );
    sql
}

fn add_series() -> String {
    format!(
        "INSERT OR IGNORE INTO series ({LABELS}) WITH {FRESH}, {TRIES}, \
         wanted AS (SELECT {LABELS}, instr(route, '/') > 0 AS is_direct FROM \
         (SELECT {LABELS} FROM fresh UNION SELECT {LABELS} FROM tries) \
         WHERE (route, target, variant) NOT IN (SELECT {LABELS} FROM series)), \
         numbered AS (SELECT *, ROW_NUMBER() OVER (PARTITION BY is_direct ORDER BY {LABELS}) AS number FROM wanted), \
         taken AS (SELECT COUNT(*) AS total, COUNT(NULLIF(instr(route, '/'), 0)) AS direct FROM series) \
         SELECT {LABELS} FROM numbered CROSS JOIN taken \
         WHERE NOT is_direct OR number + direct <= {DIRECT_SERIES_MAX} ORDER BY is_direct, {LABELS} \
         LIMIT max(0, {SERIES_MAX} - (SELECT COUNT(*) FROM series))"
    )
}

/// Where a row is counted: in its minute and in the totals, under its labels or as `other`.
fn places() -> String {
    let label = |name: &str, other: &str| format!("IIF(s.route IS NULL, '{other}', f.{name})");
    format!(
        "IIF(whole, 0, f.minute), {}, {}, {}",
        label("route", OTHER),
        label("target", OTHER),
        label("variant", "")
    )
}

const FROM: &str = "LEFT JOIN series AS s ON s.route = f.route AND s.target = f.target AND s.variant = f.variant \
    CROSS JOIN (SELECT 0 AS whole UNION ALL SELECT 1) WHERE true";

fn count_exchanges() -> String {
    let (columns, sums): (Vec<String>, Vec<String>) = exchange_sums().into_iter().unzip();
    format!(
        "INSERT INTO rollups (minute, {LABELS}, newest, {}) WITH {FRESH} \
         SELECT {}, MAX(f.minute), {} FROM fresh AS f {FROM} GROUP BY 1, 2, 3, 4 {}",
        columns.join(", "),
        places(),
        sums.join(", "),
        add_up(&columns, LABELS)
    )
}

fn count_attempts() -> String {
    let columns = ATTEMPT_SUMS.map(str::to_owned);
    format!(
        "INSERT INTO attempt_rollups (minute, {LABELS}, outcome, newest, {}) WITH {FRESH}, {TRIES} \
         SELECT {}, try->>'outcome', MAX(f.minute), COUNT(*), SUM(try->>'prompt'), SUM(try->>'cached'), \
         SUM(try->>'answer'), SUM(try->>'reasoning'), SUM(try->>'cost') \
         FROM tries AS f {FROM} GROUP BY 1, 2, 3, 4, 5 {}",
        columns.join(", "),
        places(),
        add_up(&columns, "route, target, variant, outcome")
    )
}

fn add_up(columns: &[String], key: &str) -> String {
    let mut sql =
        format!("ON CONFLICT (minute, {key}) DO UPDATE SET newest = max(newest, excluded.newest)");
    for column in columns {
        let _ = write!(sql, ", {column} = {column} + excluded.{column}");
    }
    sql
}
