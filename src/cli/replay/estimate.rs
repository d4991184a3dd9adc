//! What would have been, from what was: off-policy estimates with 95 % intervals.
//!
//! The log tells how exchanges ended that began with one target, and with which probability that target came first. An
//! exchange that the new config would choose more often than it was chosen counts for more, by the weight
//! `w = new / logged`. Three estimates of each figure, and beside them the naive one:
//!
//! - inverse propensity: `mean(w y) / mean(told)`. Horvitz and Thompson 1952.
//! - self-normalised: `sum(w y) / sum(w)`.
//! - doubly robust: the outcome that a model foretells of every choice, corrected by the weighted errors of that model
//!   where the choice was made. Dudík, Langford and Li 2011, "Doubly robust policy evaluation and learning".
//! - naive: the mean over exchanges whose first target would stay the same. It is wrong whenever what decides about
//!   the target also decides about the outcome.
//!
//! The model is a straight line for each target, from what the decision expected to what came. Each of [`FOLDS`] parts of
//! the seeds is foretold by the lines of the others, so that no exchange is foretold by itself. The propensities are
//! known exactly, so a bad model widens the interval and does not move the estimate.
//!
//! No weight is clipped: a clipped estimate is wrong by an unknown amount. Instead a choice that the log made with less
//! than [`PROPENSITY_MIN`], or in fewer than [`FIRST_MIN`] exchanges, is taken for one that the log cannot tell about. The
//! estimates are then of the rest of the traffic, and [`Overlap`] says how large that is.

use std::collections::HashMap;

use serde::Serialize;

use super::interval::{Estimate, Part, Ratio, Seeds, count};
use super::sample::{Choice, Figure, METRICS, Metric, Sample};

/// Below this a choice was as good as never made. It bounds every weight by its inverse.
pub(super) const PROPENSITY_MIN: f64 = 0.001;
/// Exchanges that began with a target, below which nothing is said of it.
pub(super) const FIRST_MIN: usize = 20;
/// Parts for cross-fitting.
const FOLDS: usize = 5;
/// Outcomes below which a line is level.
const SLOPE_MIN: f64 = 10.0;

/// How far the log reaches.
#[derive(Debug, Default, Serialize)]
pub(super) struct Overlap {
    /// The share of the new config's first choices that the log can tell about.
    pub told: f64,
    /// For each model, the share of all traffic that would go there and that the log cannot tell about.
    #[serde(skip)]
    pub untold: Vec<f64>,
    /// For each model, the exchanges that began with it.
    #[serde(skip)]
    pub first_in: Vec<usize>,
    /// As many exchanges of equal weight would be as good: `(sum w)² / sum w²`.
    pub effective_sample: f64,
    pub weight_max: f64,
    /// Of the sum of all weights.
    pub weight_max_share: f64,
    /// Different draws.
    pub seeds: usize,
}

/// Estimates of one figure.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    /// Exchanges that have the figure, in the log.
    pub exchanges: usize,
    /// The mean of the log.
    pub old: Estimate,
    pub doubly_robust: Estimate,
    /// The doubly robust one, less the mean of the log for that part of the traffic that the log can tell about.
    pub change: Estimate,
    pub self_normalised: Estimate,
    /// Only where every exchange has the figure; else how many would have it is not known either, and the
    /// self-normalised one stands for both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inverse_propensity: Option<Estimate>,
    /// Not to be trusted; to show by how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub naive: Option<Estimate>,
}

/// A log, ready to be asked about each figure.
pub(super) struct Log<'a> {
    samples: &'a [Sample],
    models: usize,
    pub overlap: Overlap,
    /// For each exchange, the number of its seed.
    seeds: Vec<usize>,
    weights: Vec<f64>,
    /// For each exchange, the share of its new choices that the log can tell about.
    told: Vec<f64>,
}

impl<'a> Log<'a> {
    /// `models` is how many there are; the samples number them from 0.
    pub fn new(samples: &'a [Sample], models: usize) -> Self {
        let mut first_in = vec![0; models];
        for sample in samples {
            if let Some(known) = first_in.get_mut(sample.chosen) {
                *known += 1;
            }
        }
        let (seeds, seed_count) = numbered(samples);
        let mut log = Self {
            samples,
            models,
            overlap: Overlap {
                untold: vec![0.0; models],
                first_in,
                seeds: seed_count,
                ..Overlap::default()
            },
            seeds,
            weights: Vec::with_capacity(samples.len()),
            told: Vec::with_capacity(samples.len()),
        };
        for sample in samples {
            log.weigh(sample);
        }
        log.sum_up();
        log
    }

    fn weigh(&mut self, sample: &Sample) {
        let (mut told, mut weight) = (0.0, 0.0);
        for choice in &sample.choices {
            if self.is_told(choice) {
                told += choice.new;
                if choice.model == sample.chosen {
                    weight = choice.new / choice.logged;
                }
            } else if let Some(untold) = self.overlap.untold.get_mut(choice.model) {
                *untold += choice.new / count(self.samples.len());
            }
        }
        self.told.push(told);
        self.weights.push(weight);
    }

    fn is_told(&self, choice: &Choice) -> bool {
        let first_in = self.overlap.first_in.get(choice.model);
        choice.logged >= PROPENSITY_MIN && first_in.is_some_and(|known| *known >= FIRST_MIN)
    }

    fn sum_up(&mut self) {
        let overlap = &mut self.overlap;
        let told: f64 = self.told.iter().sum();
        overlap.told = told / count(self.samples.len()).max(1.0);
        overlap.effective_sample = effective(self.weights.iter().copied());
        overlap.weight_max = self.weights.iter().copied().fold(0.0, f64::max);
        let sum: f64 = self.weights.iter().sum();
        if sum > 0.0 {
            overlap.weight_max_share = overlap.weight_max / sum;
        }
    }

    /// None where the log cannot tell anything of it.
    pub fn ask(&self, metric: Metric) -> Option<Told> {
        let place = METRICS.iter().position(|known| *known == metric)?;
        let rows = self.rows(place);
        let present = |row: &&Row<'_>| row.is_present > 0.0;
        let parts = |part: fn(&Row<'_>) -> Part| rows.iter().map(part).collect::<Vec<Part>>();
        let seeds = Seeds::new(rows.iter().map(|row| row.seed).collect());
        let around = |ratio: &Ratio, sample: f64| match metric {
            Metric::Success => seeds.around_share(ratio.value, &ratio.influences, sample),
            _ => seeds.around_mean(ratio.value, &ratio.influences),
        };
        let effective = effective(rows.iter().filter(present).map(|row| row.weight));
        let old = Ratio::of(&parts(|row| row.counted(1.0)))?;
        let old_told = Ratio::of(&parts(|row| row.counted(row.told)))?;
        let weighted = Ratio::of(&parts(|row| row.counted(row.weight)))?;
        let robust = Ratio::of(&self.robust(&rows, place))?;
        let exchanges = rows.iter().filter(present).count();
        let inverse = (exchanges == rows.len()).then(|| {
            let part = |row: &Row<'_>| Part {
                below: row.told,
                ..row.counted(row.weight)
            };
            Ratio::of(&parts(part))
        });
        let naive = Ratio::of(&parts(|row| {
            row.counted(f64::from(u8::from(row.would_stay)))
        }));
        let staying = rows
            .iter()
            .filter(present)
            .filter(|row| row.would_stay)
            .count();
        let differences = robust.influences.iter().zip(&old_told.influences);
        let differences: Vec<f64> = differences.map(|(new, old)| new - old).collect();
        let doubly_robust = around(&robust, effective);
        let mut change = seeds.around_change(robust.value - old_told.value, &differences);
        if metric == Metric::Success && differences.iter().all(|difference| *difference == 0.0) {
            // Nobody failed, or all did: that proves no more of the change than of either side.
            change = doubly_robust.less(&around(&old_told, effective));
        }
        Some(Told {
            exchanges,
            old: around(&old, count(exchanges)),
            doubly_robust,
            change,
            self_normalised: around(&weighted, effective),
            inverse_propensity: inverse.flatten().map(|ratio| {
                let estimate = seeds.around_mean(ratio.value, &ratio.influences);
                match metric {
                    // Equal weights and equal outcomes.
                    Metric::Success if estimate.is_certain() => around(&ratio, effective),
                    Metric::Success => estimate.within(0.0, 1.0),
                    _ => estimate,
                }
            }),
            naive: naive.map(|ratio| around(&ratio, count(staying))),
        })
    }

    fn rows(&self, metric: usize) -> Vec<Row<'a>> {
        let weighed = self.weights.iter().zip(&self.told).zip(&self.seeds);
        let rows = self.samples.iter().zip(weighed);
        let row = |(sample, ((weight, told), seed)): (&'a Sample, ((&f64, &f64), &usize))| {
            let (is_present, figure) = match sample.figures.get(metric)? {
                Figure::Foreign => return None,
                Figure::Missing => (0.0, 0.0),
                Figure::Is(figure) => (1.0, *figure),
            };
            Some(Row {
                sample,
                seed: *seed,
                would_stay: sample.would_stay,
                weight: *weight,
                told: *told,
                is_present,
                figure,
            })
        };
        rows.filter_map(row).collect()
    }

    /// For each exchange, what the lines foretell of every choice, and the weighted error where the choice was made.
    fn robust(&self, rows: &[Row<'_>], metric: usize) -> Vec<Part> {
        let lines = Lines::fit(rows, metric, self.models);
        let part = |row: &Row<'_>| {
            let mut part = row.counted(row.weight);
            for choice in &row.sample.choices {
                if !self.is_told(choice) {
                    continue;
                }
                let line = lines.of(row.seed % FOLDS, choice.model);
                let foretold = choice.forecasts.get(metric).map(|known| line.at(*known));
                let foretold = foretold.unwrap_or_default();
                let is_chosen = choice.model == row.sample.chosen;
                let weight = choice.new - if is_chosen { row.weight } else { 0.0 };
                part.above += weight * foretold.above;
                part.below += weight * foretold.below;
            }
            part
        };
        rows.iter().map(part).collect()
    }
}

/// An exchange that may have a figure.
struct Row<'a> {
    sample: &'a Sample,
    seed: usize,
    would_stay: bool,
    weight: f64,
    told: f64,
    /// 1 or 0.
    is_present: f64,
    figure: f64,
}

impl Row<'_> {
    fn counted(&self, weight: f64) -> Part {
        Part {
            above: weight * self.is_present * self.figure,
            below: weight * self.is_present,
        }
    }
}

/// Sums over the exchanges that began with one model.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    exchanges: f64,
    present: f64,
    forecast: f64,
    figure: f64,
    forecast_squared: f64,
    product: f64,
}

/// What is foretold of one model: a share that has a figure, and the figure.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    presence: f64,
    level: f64,
    slope: f64,
}

/// A line for each fold and model, of the other folds.
struct Lines {
    models: usize,
    lines: Vec<Line>,
}

impl Lines {
    fn fit(rows: &[Row<'_>], metric: usize, models: usize) -> Self {
        let mut sums = vec![Sums::default(); FOLDS * models];
        for row in rows {
            let (fold, model) = (row.seed % FOLDS, row.sample.chosen);
            let mut choices = row.sample.choices.iter();
            let chosen = choices.find(|choice| choice.model == model);
            let forecast = chosen.and_then(|choice| choice.forecasts.get(metric));
            if let (Some(sums), Some(forecast)) = (sums.get_mut(fold * models + model), forecast) {
                sums.add(row, *forecast);
            }
        }
        let line = |place: usize| {
            let (fold, model) = (place / models, place % models);
            let others = (0..FOLDS).filter(|other| *other != fold);
            let others = others.filter_map(|other| sums.get(other * models + model));
            others.fold(Sums::default(), Sums::plus).line()
        };
        Self {
            models,
            lines: (0..FOLDS * models).map(line).collect(),
        }
    }

    fn of(&self, fold: usize, model: usize) -> Line {
        let line = self.lines.get(fold * self.models + model);
        line.copied().unwrap_or_default()
    }
}

impl Sums {
    fn add(&mut self, row: &Row<'_>, forecast: f64) {
        self.exchanges += 1.0;
        self.present += row.is_present;
        self.forecast += row.is_present * forecast;
        self.figure += row.is_present * row.figure;
        self.forecast_squared += row.is_present * forecast * forecast;
        self.product += row.is_present * forecast * row.figure;
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            exchanges: self.exchanges + other.exchanges,
            present: self.present + other.present,
            forecast: self.forecast + other.forecast,
            figure: self.figure + other.figure,
            forecast_squared: self.forecast_squared + other.forecast_squared,
            product: self.product + other.product,
        }
    }

    /// By least squares.
    fn line(self) -> Line {
        if self.present == 0.0 {
            return Line::default();
        }
        let (forecast, figure) = (self.forecast / self.present, self.figure / self.present);
        let variance = self.forecast_squared / self.present - forecast * forecast;
        let covariance = self.product / self.present - forecast * figure;
        // Equal forecasts differ by rounding alone, and have no slope.
        let is_sloped = self.present >= SLOPE_MIN && variance > 1e-9 * forecast * forecast;
        let slope = if is_sloped {
            covariance / variance
        } else {
            0.0
        };
        Line {
            presence: self.present / self.exchanges,
            level: figure - slope * forecast,
            slope,
        }
    }
}

impl Line {
    fn at(self, forecast: f64) -> Part {
        Part {
            above: self.presence * (self.level + self.slope * forecast),
            below: self.presence,
        }
    }
}

fn effective(weights: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for weight in weights {
        sum += weight;
        squares += weight * weight;
    }
    if squares > 0.0 {
        sum * sum / squares
    } else {
        0.0
    }
}

/// Seeds by the order in which they are first met.
fn numbered(samples: &[Sample]) -> (Vec<usize>, usize) {
    let mut known = HashMap::new();
    let mut number = |sample: &Sample| {
        let next = known.len();
        *known.entry(sample.seed).or_insert(next)
    };
    let numbers: Vec<usize> = samples.iter().map(&mut number).collect();
    (numbers, known.len())
}
