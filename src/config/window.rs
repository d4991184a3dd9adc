//! A window of the week: from one time of day to another, on some days, at a fixed offset from UTC.
//!
//! There are no named time zones: their rules change several times a year, and a table of them is larger than the
//! rest of the Worker. Summer time is a second rule.

use super::read::{Node, Problems};
use super::schema::when::WINDOW;
use crate::units::UnixMillis;

const MINUTES_PER_DAY: u64 = 1_440;
/// The earth's clocks reach from −12:00 to +14:00.
const OFFSET_MINUTES_MAX: i64 = 14 * 60;
/// 1970-01-01 was a Thursday, the fourth day of a week that starts on Monday.
const FIRST_DAY: u64 = 3;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Some minutes of some days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Minutes since midnight, the first that is inside.
    from: u64,
    /// The first that is outside. Before `from`, the window reaches over midnight.
    to: u64,
    /// Monday first.
    days: [bool; 7],
    offset_minutes: i64,
}

impl Window {
    /// Whether the instant lies inside. A window over midnight belongs to the day on which it began.
    #[must_use]
    pub fn contains(&self, at: UnixMillis) -> bool {
        // A day added and taken off again keeps it positive at every offset.
        let utc_minutes = at.0 / 60_000 + MINUTES_PER_DAY;
        let Some(minutes) = utc_minutes.checked_add_signed(self.offset_minutes) else {
            return false;
        };
        let (day, minute) = (minutes / MINUTES_PER_DAY, minutes % MINUTES_PER_DAY);
        let is_day = |day: u64| {
            let weekday = usize::try_from((day + FIRST_DAY + 6) % 7).unwrap_or_default();
            self.days.get(weekday).copied().unwrap_or_default()
        };
        if self.from < self.to {
            return is_day(day) && (self.from..self.to).contains(&minute);
        }
        let began_today = minute >= self.from && is_day(day);
        let began_yesterday = minute < self.to && is_day(day + 6);
        began_today || began_yesterday
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let fields = node.described(&WINDOW, problems)?;
        let mut minutes = |name: &str, default: u64| match fields.field(name) {
            Some(node) => read_minutes(&node, problems),
            None => Some(default),
        };
        let (from, to) = (minutes("from", 0), minutes("to", MINUTES_PER_DAY));
        let days = match fields.field("days") {
            Some(node) => read_days(&node, problems),
            None => Some([true; 7]),
        };
        let offset_minutes = match fields.field("utc_offset") {
            Some(node) => read_offset(&node, problems),
            None => Some(0),
        };
        if from.is_some() && from == to {
            problems.note(&node.path, "a `to` that differs from `from`", "the same");
        }
        Some(Self {
            from: from?,
            to: to?,
            days: days?,
            offset_minutes: offset_minutes?,
        })
    }
}

pub(super) fn day_names() -> Vec<&'static str> {
    DAYS.to_vec()
}

/// `09:30`; `24:00` is the end of the day.
fn read_minutes(node: &Node<'_>, problems: &mut Problems) -> Option<u64> {
    let text = node.text(problems)?;
    let minutes = hours_and_minutes(text).filter(|minutes| *minutes <= MINUTES_PER_DAY);
    if minutes.is_none() {
        problems.note(&node.path, "a time of day, such as `09:30`", text);
    }
    minutes
}

fn read_offset(node: &Node<'_>, problems: &mut Problems) -> Option<i64> {
    let text = node.text(problems)?;
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let offset = hours_and_minutes(rest)
        .and_then(|minutes| i64::try_from(minutes).ok())
        .filter(|minutes| *minutes <= OFFSET_MINUTES_MAX);
    if offset.is_none() {
        problems.note(&node.path, "an offset from UTC, such as `+01:00`", text);
    }
    Some(sign * offset?)
}

fn hours_and_minutes(text: &str) -> Option<u64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let is_two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_two_digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
    Some(number(hours)? * 60 + minutes)
}

fn read_days(node: &Node<'_>, problems: &mut Problems) -> Option<[bool; 7]> {
    let names = node.texts(DAYS.len(), problems)?;
    let mut days = [false; 7];
    for name in &names {
        let place = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        match place.and_then(|place| days.get_mut(place)) {
            Some(day) => *day = true,
            None => problems.unknown_name(&node.path, "a day of the week", name, &DAYS),
        }
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    /// Monday, 2026-11-23, 00:00 UTC.
    const MONDAY: u64 = 1_795_392_000_000;

    fn window(text: &str) -> Window {
        let value = serde_json::from_str(text).unwrap();
        let mut problems = Problems::default();
        let window = Window::read(&Node::root(&value), &mut problems);
        assert!(problems.list.is_empty(), "{:?}", problems.list);
        window.unwrap()
    }

    fn is_in(window: &Window, day: u64, hour: u64, minute: u64) -> bool {
        let minutes = (day * 24 + hour) * 60 + minute;
        window.contains(UnixMillis(MONDAY + minutes * MINUTE))
    }

    #[test]
    fn office_hours_hold_on_their_days_alone() {
        let office = window(r#"{"from":"09:00","to":"17:30","days":["mon","Fri"]}"#);
        assert!(is_in(&office, 0, 9, 0) && is_in(&office, 0, 17, 29) && is_in(&office, 4, 12, 0));
        assert!(
            !is_in(&office, 0, 8, 59) && !is_in(&office, 0, 17, 30) && !is_in(&office, 1, 12, 0)
        );
    }

    #[test]
    fn night_belongs_to_the_day_on_which_it_began() {
        let night = window(r#"{"from":"22:00","to":"06:00","days":["fri"]}"#);
        assert!(is_in(&night, 4, 22, 0) && is_in(&night, 5, 5, 59));
        assert!(!is_in(&night, 4, 5, 0) && !is_in(&night, 5, 22, 0) && !is_in(&night, 5, 6, 0));
    }

    #[test]
    fn offset_moves_the_window() {
        let berlin = window(r#"{"from":"09:00","to":"10:00","utc_offset":"+01:00"}"#);
        assert!(is_in(&berlin, 0, 8, 0) && !is_in(&berlin, 0, 9, 0));
        let monday_in_new_york = window(r#"{"days":["mon"],"utc_offset":"-05:00"}"#);
        assert!(!is_in(&monday_in_new_york, 0, 4, 59) && is_in(&monday_in_new_york, 1, 4, 59));
        assert!(window(r#"{"utc_offset":"-12:00"}"#).contains(UnixMillis(0)));
    }
}
