//! What isolates tell each other, when it is due, and how places begin anew.

use super::{World, short};
use crate::cli::simulate::agenda::{Event, SlotId};
use crate::cli::simulate::fault::What;

impl World<'_> {
    pub(super) fn await_report(&mut self, id: SlotId) {
        let Some(number) = self.running(id).map(|running| running.isolate) else {
            return;
        };
        let Some(isolate) = self.isolates.get_mut(number) else {
            return;
        };
        if let Some(at) = isolate.await_report(self.now) {
            self.agenda.add(
                at,
                Event::Report {
                    isolate: short(number),
                },
            );
        }
    }

    pub(super) fn report(&mut self, number: usize) {
        let now = self.now;
        let (is_queue_up, is_cache_up) = (!self.is_on(What::Queue), !self.is_on(What::Cache));
        let Some(isolate) = self.isolates.get_mut(number) else {
            return;
        };
        if !isolate.is_timer_due(now) {
            return;
        }
        if isolate.health.report_due().is_some_and(|due| due > now) {
            if let Some(at) = isolate.await_report(now) {
                self.agenda.add(
                    at,
                    Event::Report {
                        isolate: short(number),
                    },
                );
            }
            return;
        }
        let Some((fresh, whole)) = isolate.health.report(now) else {
            return;
        };
        self.tally.report(number, &fresh);
        if is_queue_up {
            self.tidings.send(fresh, &mut self.agenda, now);
        }
        if is_cache_up && let Some(pop) = self.pops.get_mut(isolate.pop) {
            pop.tell(whole, isolate, now);
        }
    }

    /// All isolates and caches of the places that a fault is for.
    pub(super) fn begin_anew(&mut self, fault: usize) {
        let Some(fault) = self.scenario.faults.get(fault) else {
            return;
        };
        for pop in 0..self.pops.len() {
            let Some(place) = self.pops.get_mut(pop).filter(|it| fault.is_for(it.from)) else {
                continue;
            };
            place.forget();
            for isolate in 0..self.scenario.isolates_per_pop {
                self.start_isolate(pop, isolate);
            }
        }
    }
}
