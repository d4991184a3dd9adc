//! All chance of a run, from one seed: the same seed gives the same draws on every platform.
//!
//! PCG is portable and its values are promised to stay (`rand_pcg`); logarithms are `libm`'s, as in `decide/`.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng as _, SeedableRng as _};

use super::real;

/// One seeded generator.
#[derive(Debug)]
pub(super) struct Dice(Pcg64Mcg);

/// A log-normal distribution: times and lengths of providers spread over orders of magnitude.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spread {
    ln_median: f64,
    deviation: f64,
}

/// Standard deviations from the mean to the 95th percentile.
const Z_95: f64 = 1.644_853_626_951_472_7;

impl Spread {
    /// By its median and 95th percentile; the second is not below the first.
    pub fn of(median: f64, p95: f64) -> Self {
        Self {
            ln_median: libm::log(median),
            deviation: libm::log(p95 / median) / Z_95,
        }
    }
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Evenly between 0 and 1, never either.
    pub fn unit(&mut self) -> f64 {
        (real(self.bits() >> 11) + 0.5) * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Evenly from 0 to `count - 1`. The bias is below 2^-32 for counts that fit 32 bits.
    pub fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        let draw = (u128::from(self.bits()) * u128::from(count)) >> 64;
        usize::try_from(draw).unwrap_or_default()
    }

    pub fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.unit() < share
    }

    /// The wait for the next of events that come at this rate.
    pub fn wait(&mut self, rate: f64) -> f64 {
        -libm::log(self.unit()) / rate
    }

    pub fn draw(&mut self, spread: Spread) -> f64 {
        libm::exp(spread.ln_median + spread.deviation * self.normal())
    }

    /// Box and Muller, 1958.
    fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.unit()));
        radius * libm::cos(core::f64::consts::TAU * self.unit())
    }
}
