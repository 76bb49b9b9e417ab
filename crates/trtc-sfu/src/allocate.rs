//! Which layer of each track a subscriber's link carries.
use crate::track::LAYERS_MAX;

/// A layer must leave this part of the capacity free before it is switched on; one that is on may use all of it. So nothing
/// toggles at the edge.
const MARGIN_PERCENT: u64 = 10;

/// A video track on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Higher goes first.
    pub priority: u8,
    /// The highest layer that the subscriber wants; `None`: nothing.
    pub wanted: Option<u8>,
    /// What was allowed so far.
    pub allowed: Option<u8>,
    /// Bits per second of each layer, 0 where nothing flows.
    pub rates_bps: [u64; LAYERS_MAX],
}

impl Demand {
    /// What the lowest flowing layer costs, if anything is wanted.
    #[must_use]
    pub fn least(&self) -> Option<u64> {
        self.wanted.and_then(|_| self.rates_bps.iter().copied().find(|rate| *rate > 0))
    }

    /// The highest flowing layer up to `limit`, else the lowest one above, which then stands for it; and what it costs.
    fn cost(&self, limit: u8) -> u64 {
        let (fits, above) = self.rates_bps.split_at(usize::from(limit) + 1);
        let flowing = |rate: &&u64| **rate > 0;
        fits.iter().rev().find(flowing).or_else(|| above.iter().find(flowing)).copied().unwrap_or(0)
    }
}

/// Shares `capacity_bps` among the tracks: by priority the lowest layer for each, then by priority one layer more, as long
/// as there is room. Sets `allowed` where something is wanted: the highest layer, or `None` for a track whose lowest layer has no room. Says whether
/// everybody got what it wanted.
pub fn allocate(capacity_bps: u64, demands: &mut [Demand]) -> bool {
    let before: Vec<Option<u8>> = demands.iter().map(|d| d.allowed).collect();
    let mut order: Vec<usize> = (0..demands.len()).filter(|at| demands[*at].wanted.is_some()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(demands[*at].priority));
    for &at in &order {
        demands[at].allowed = None;
    }
    let (mut left, mut satisfied) = (capacity_bps, true);
    for layer in 0..LAYERS_MAX as u8 {
        for &at in &order {
            let demand = &mut demands[at];
            let under = layer.checked_sub(1);
            if demand.wanted < Some(layer) || demand.allowed != under {
                continue;
            }
            let cost = demand.cost(layer).saturating_sub(under.map_or(0, |under| demand.cost(under)));
            let margin = if before[at] >= Some(layer) { 0 } else { capacity_bps * MARGIN_PERCENT / 100 };
            // What costs nothing (more) needs no room.
            if cost == 0 && under.is_some() || cost > 0 && cost + margin <= left || cost == 0 && left > margin {
                demand.allowed = Some(layer);
                left -= cost;
            } else {
                satisfied = false;
            }
        }
    }
    satisfied
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATES: [u64; 3] = [160_000, 450_000, 1_700_000];

    fn demand(priority: u8, allowed: Option<u8>) -> Demand {
        Demand { priority, wanted: Some(2), allowed, rates_bps: RATES }
    }

    fn allowed(capacity: u64, demands: &[Demand]) -> Vec<Option<u8>> {
        let mut demands = demands.to_vec();
        allocate(capacity, &mut demands);
        demands.iter().map(|d| d.allowed).collect()
    }

    #[test]
    fn everybody_gets_the_lowest_before_anybody_gets_more() {
        let two = [demand(1, None), demand(255, None)];
        assert_eq!(allowed(5_000_000, &two), [Some(2), Some(2)]);
        assert_eq!(allowed(2_600_000, &two), [Some(1), Some(2)]);
        assert_eq!(allowed(800_000, &two), [Some(0), Some(1)]);
        assert_eq!(allowed(400_000, &two), [Some(0), Some(0)]);
        assert_eq!(allowed(250_000, &two), [None, Some(0)]);
        assert_eq!(allowed(100_000, &two), [None, None]);
    }

    #[test]
    fn what_is_on_stays_on_to_the_edge() {
        assert_eq!(allowed(460_000, &[demand(1, Some(1))]), [Some(1)]);
        assert_eq!(allowed(460_000, &[demand(1, Some(0))]), [Some(0)]);
        assert_eq!(allowed(520_000, &[demand(1, Some(0))]), [Some(1)]);
    }

    #[test]
    fn layers_that_do_not_flow_cost_nothing() {
        let rates_bps = [160_000, 0, 0];
        assert_eq!(allowed(200_000, &[Demand { rates_bps, ..demand(1, None) }]), [Some(2)]);
        assert_eq!(allowed(200, &[Demand { wanted: None, ..demand(1, Some(2)) }]), [Some(2)], "costs nothing");
    }

    proptest! {
        #[test]
        fn the_sum_fits(
            capacity in 0u64..6_000_000,
            tracks in proptest::collection::vec((any::<u8>(), proptest::option::of(0u8..3), proptest::option::of(0u8..3)), 0..8),
        ) {
            let mut demands: Vec<Demand> = tracks.iter()
                .map(|&(priority, wanted, allowed)| Demand { priority, wanted, allowed, rates_bps: RATES }).collect();
            let satisfied = allocate(capacity, &mut demands);
            demands.retain(|d| d.wanted.is_some());
            let sum: u64 = demands.iter().filter_map(|d| d.allowed).map(|a| RATES[usize::from(a)]).sum();
            prop_assert!(sum <= capacity);
            prop_assert!(demands.iter().all(|d| d.allowed <= d.wanted));
            prop_assert_eq!(satisfied, demands.iter().all(|d| d.allowed == d.wanted));
            let again = demands.clone();
            allocate(capacity, &mut demands);
            prop_assert_eq!(again, demands, "stable");
        }
    }
}
