//! How many calls this isolate may add to those that its clients asked for.
//!
//! Retries of the same target and hedges help while failures are rare, and multiply an outage when they are not. So
//! they share a budget: a tenth of recent requests, and a small floor, so that a quiet isolate may retry at all.
//! (Linkerd's retry budgets are the model.) Moving on to another target is no retry: the first did not answer, and
//! the plan's length bounds it.
//!
//! A count with decay, not a window: it needs two numbers and no timer.

use crate::units::{Millis, UnixMillis};

/// Retries and hedges per request that are allowed in the long run.
pub const RETRY_RATIO: f64 = 0.1;
/// Retries and hedges that are allowed beside those, within some half-lives.
pub const RETRY_FLOOR: f64 = 10.0;
/// After this time a request or a retry counts half.
const HALF_LIFE: Millis = Millis(10_000);

/// Recent requests, and what was added to them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RetryBudget {
    at: UnixMillis,
    requests: f64,
    spent: f64,
}

impl RetryBudget {
    /// Counts a request of a client's.
    pub fn request(&mut self, now: UnixMillis) {
        self.decay(now);
        self.requests += 1.0;
    }

    /// Whether one more call may be added. If so it is counted.
    pub fn take(&mut self, now: UnixMillis) -> bool {
        self.decay(now);
        let is_left = self.spent + 1.0 <= RETRY_FLOOR + RETRY_RATIO * self.requests;
        if is_left {
            self.spent += 1.0;
        }
        is_left
    }

    fn decay(&mut self, now: UnixMillis) {
        if now <= self.at {
            return;
        }
        let half_lives = now.since(self.at).as_seconds() / HALF_LIFE.as_seconds();
        let factor = libm::exp2(-half_lives);
        self.requests *= factor;
        self.spent *= factor;
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quiet_isolate_has_the_floor_and_no_more() {
        let mut budget = RetryBudget::default();
        let taken = (0..100).filter(|_| budget.take(UnixMillis(5))).count();
        assert_eq!(taken, 10);
        assert!(budget.take(UnixMillis(5 + 10_000)));
    }

    proptest! {
        /// When every request fails and wants a retry, retries stay within a tenth of requests and the floor, which
        /// the decay renews: at most `RETRY_FLOOR` each half-life, by the area under it.
        #[test]
        fn outage_is_not_multiplied(per_second in 1_u64..2_000, seconds in 1_u64..60) {
            let mut budget = RetryBudget::default();
            let (mut requests, mut retries) = (0.0, 0.0);
            for n in 0..per_second * seconds {
                let now = UnixMillis(n * 1_000 / per_second);
                budget.request(now);
                requests += 1.0;
                if budget.take(now) {
                    retries += 1.0;
                }
            }
            let half_lives = f64::from(u32::try_from(seconds).unwrap()) / 10.0;
            let floor = RETRY_FLOOR * (1.0 + half_lives * std::f64::consts::LN_2);
            prop_assert!(retries <= floor + RETRY_RATIO * requests + 1.0, "{retries} of {requests}");
            prop_assert!(retries >= (RETRY_RATIO * requests).floor().min(RETRY_FLOOR));
        }
    }
}
