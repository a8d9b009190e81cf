//! The worst of sums over groups of legs, where a share of a group's gains pays for the losses of others.

use super::lanes::Lanes;
use super::losses::LossTable;
use super::scalar::Scalar;
use super::scenarios::NO_SCENARIO;
use super::{RowId, Simd, Units};

/// Groups of units that pay for each other.
#[derive(Debug, Default)]
pub struct Pools {
    /// Units by number, pool by pool.
    pub units: Vec<u32>,
    /// Where the units of each pool end.
    pub ends: Vec<u32>,
}

/// The worst scenario of every pool: the largest loss, at least 0, and its number; [`NO_SCENARIO`] if there is no loss.
///
/// In a scenario a pool loses what its units lose, less a share of what its units gain.
///
/// # Panics
/// If a row lies outside the table, there is no such unit, or the machine lacks the path.
pub fn worst_of_pools<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    pools: &Pools,
    table: &LossTable,
    share: f64,
    out: &mut Vec<(f64, u32)>,
) {
    assert!(units.row_bound <= table.len(), "the table has too few rows");
    assert!(simd.available(), "this machine has no {}", simd.name());
    let scan = Scan {
        units,
        first_legs: units.first_legs(),
        table,
        share,
    };
    out.clear();
    out.reserve(pools.ends.len());
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { pools_avx512(&scan, pools, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { pools_avx2(&scan, pools, out) },
        _ => scan.pools::<Scalar>(pools, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn pools_avx512<R: RowId>(scan: &Scan<'_, R>, pools: &Pools, out: &mut Vec<(f64, u32)>) {
    scan.pools::<super::avx512::Avx512>(pools, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn pools_avx2<R: RowId>(scan: &Scan<'_, R>, pools: &Pools, out: &mut Vec<(f64, u32)>) {
    scan.pools::<super::avx2::Avx2>(pools, out);
}

struct Scan<'a, R> {
    units: &'a Units<R>,
    /// Where the legs of each unit begin, and where those of the last end.
    first_legs: Vec<u32>,
    table: &'a LossTable,
    share: f64,
}

impl<R: RowId> Scan<'_, R> {
    #[inline(always)]
    fn pools<L: Lanes>(&self, pools: &Pools, out: &mut Vec<(f64, u32)>) {
        let mut start = 0;
        for &end in &pools.ends {
            let units = &pools.units[start..end as usize];
            start = end as usize;
            let mut worst = (0.0, NO_SCENARIO);
            let mut lane = 0;
            while lane < self.table.lanes {
                // Two rows of losses at once: a sum waits for the one before.
                lane += if self.table.lanes - lane >= 2 {
                    self.tile::<L, 2>(units, lane, &mut worst)
                } else {
                    self.tile::<L, 1>(units, lane, &mut worst)
                };
            }
            out.push(worst);
        }
    }

    /// Scenarios of `N` rows of losses; returns `N`. What is beyond the last one is 0, and never the worst.
    #[inline(always)]
    fn tile<L: Lanes, const N: usize>(
        &self,
        units: &[u32],
        lane: usize,
        worst: &mut (f64, u32),
    ) -> usize {
        let share = L::splat(self.share);
        let mut pool = [L::zero(); N];
        for &unit in units {
            let unit = unit as usize;
            let legs = self.first_legs[unit] as usize..self.first_legs[unit + 1] as usize;
            let mut sums = [L::zero(); N];
            let rows = self.units.rows[legs.clone()].iter();
            for (row, &quantity) in rows.zip(&self.units.quantities[legs]) {
                let start = row.index() * (1 + self.table.lanes) + 1 + lane;
                let quantity = L::splat(quantity);
                // SAFETY: `worst_of_pools` compared the table with `row_bound`; it has these lanes.
                let losses = unsafe { self.table.rows.get_unchecked(start..start + N) };
                for (sum, losses) in sums.iter_mut().zip(losses) {
                    *sum = quantity.mul_add(L::load(losses), *sum);
                }
            }
            for (pool, sum) in pool.iter_mut().zip(sums) {
                // One of the two parts is 0, so that nothing is rounded but the product and the sum.
                let counted = sum.negative_part().mul_add(share, sum.positive_part());
                *pool = pool.add(counted);
            }
        }
        for (number, pool) in pool.iter().enumerate() {
            for (column, loss) in pool.to_row().0.into_iter().enumerate() {
                if loss > worst.0 {
                    *worst = (loss, (8 * (lane + number) + column) as u32);
                }
            }
        }
        N
    }
}
