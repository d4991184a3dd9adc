//! A run as an SVG: shares of first calls, times to the first token, and requests, over time. Faults are shaded.

use std::fmt::Display;
use std::path::Path;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::fault::Fault;
use super::outcome::Outcome;
use super::scenario::Scenario;
use super::tally::Second;
use super::{real, whole};
use crate::units::Millis;

const SIZE: (u32, u32) = (900, 840);
/// Points of a line: more cannot be told apart.
const POINTS_MAX: usize = 300;
/// What a panel shows above its highest value, so that the names of the lines cover none.
const HEADROOM: f64 = 1.4;
/// Shaded spans of one fault: more are one.
const SPANS_MAX: u64 = 200;
const SHADE: RGBColor = RGBColor(255, 226, 204);
const COLOURS: [RGBColor; 6] = [
    RGBColor(217, 72, 15),
    RGBColor(25, 113, 194),
    RGBColor(47, 158, 68),
    RGBColor(132, 94, 194),
    RGBColor(90, 90, 90),
    RGBColor(230, 119, 0),
];

/// A line by its name, as seconds and values.
type Line = (String, Vec<(f64, f64)>);
type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

pub(super) fn draw(file: &Path, scenario: &Scenario, outcome: &Outcome) -> Result<(), String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(said)?;
        let panels = root.split_evenly((3, 1));
        let all = lines(scenario, outcome);
        for (panel, (title, lines)) in panels.iter().zip(all) {
            draw_panel(panel, scenario, title, &lines)?;
        }
        root.present().map_err(said)?;
    }
    std::fs::write(file, svg).map_err(said)
}

fn lines(scenario: &Scenario, outcome: &Outcome) -> Vec<(&'static str, Vec<Line>)> {
    let seconds = &outcome.tally.seconds;
    let share = |place: usize| {
        move |seconds: &[Second]| {
            let all = sum(seconds, |second| second.first_calls.iter().sum());
            let own = sum(seconds, |second| {
                second.first_calls.get(place).copied().unwrap_or(0)
            });
            real(own) / real(all.max(1)) * 100.0
        }
    };
    let providers = scenario.providers.iter().enumerate();
    let shares = providers.map(|(place, known)| (known.name.clone(), line(seconds, share(place))));
    let wait = |percent: usize| {
        move |seconds: &[Second]| {
            let waits = seconds.iter().flat_map(|second| &second.first_tokens);
            let mut waits: Vec<u32> = waits.copied().collect();
            waits.sort_unstable();
            let last = waits.len().saturating_sub(1);
            f64::from(waits.get(last * percent / 100).copied().unwrap_or(0))
        }
    };
    let rate = |count: fn(&Second) -> u32| {
        move |seconds: &[Second]| {
            let length = u64::try_from(seconds.len()).unwrap_or(1);
            real(sum(seconds, count)) / real(length.max(1))
        }
    };
    vec![
        ("first calls, % of all", shares.collect()),
        (
            "time to the first token, ms",
            vec![
                ("median".to_owned(), line(seconds, wait(50))),
                ("99 of 100".to_owned(), line(seconds, wait(99))),
            ],
        ),
        (
            "a second",
            vec![
                ("requests".to_owned(), line(seconds, rate(|it| it.begun))),
                (
                    "whole answers".to_owned(),
                    line(seconds, rate(|it| it.completed)),
                ),
                ("calls".to_owned(), line(seconds, rate(|it| it.calls))),
            ],
        ),
    ]
}

fn sum(seconds: &[Second], count: impl Fn(&Second) -> u32) -> u64 {
    seconds.iter().map(|second| u64::from(count(second))).sum()
}

/// A point for each few seconds.
fn line(seconds: &[Second], value: impl Fn(&[Second]) -> f64) -> Vec<(f64, f64)> {
    let size = seconds.len().div_ceil(POINTS_MAX).max(1);
    let chunks = seconds.chunks(size).enumerate();
    chunks
        .map(|(place, chunk)| {
            let at = u64::try_from(place * size).unwrap_or_default();
            (real(at), value(chunk))
        })
        .collect()
}

fn draw_panel(
    panel: &Panel<'_>,
    scenario: &Scenario,
    title: &str,
    lines: &[Line],
) -> Result<(), String> {
    let values = lines.iter().flat_map(|(_, points)| points);
    let most = values.map(|(_, value)| *value).fold(1.0, f64::max) * HEADROOM;
    let end = scenario.duration.as_seconds();
    let mut chart = ChartBuilder::on(panel)
        .caption(title, ("sans-serif", 20))
        .margin(8)
        .margin_right(28)
        .x_label_area_size(26)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..most)
        .map_err(said)?;
    let spans = scenario.faults.iter().flat_map(spans);
    let spans = spans
        .filter(|(from, _)| *from < end)
        .map(|(from, to)| Rectangle::new([(from, 0.0), (to.min(end), most)], SHADE.filled()));
    chart.draw_series(spans).map_err(said)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 16))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .x_label_formatter(&|second| format!("{second:.0} s"))
        .draw()
        .map_err(said)?;
    draw_lines(&mut chart, lines)?;
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 16))
        .position(SeriesLabelPosition::UpperRight)
        .draw()
        .map_err(said)
}

/// When a fault is there, in seconds.
fn spans(fault: &Fault) -> Vec<(f64, f64)> {
    let (from, until) = (fault.from.as_seconds(), fault.until().as_seconds());
    let every = fault.every.map_or(0.0, Millis::as_seconds);
    let times = whole((until - from) / every.max(0.1)).saturating_add(1);
    if every <= 0.0 || times > SPANS_MAX {
        return vec![(from, until)];
    }
    let begins = (0..times).map(|time| from + real(time) * every);
    let begins = begins.filter(|begin| *begin < until);
    begins
        .map(|begin| (begin, (begin + every * fault.duty).min(until)))
        .collect()
}

fn draw_lines(chart: &mut Chart<'_, '_>, lines: &[Line]) -> Result<(), String> {
    for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let series = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        let drawn = chart.draw_series(series).map_err(said)?;
        let colour = *colour;
        drawn
            .label(name.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    Ok(())
}

fn said(error: impl Display) -> String {
    error.to_string()
}
