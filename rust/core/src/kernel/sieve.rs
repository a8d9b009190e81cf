//! Which scenarios can matter to a unit: losses in f32, with a bound on what that is off by.
//!
//! A worst loss, a quantile and the mean of a tail are decided by a handful of scenarios. In f32 a register holds twice
//! as many losses and the table half the bytes; those few are then summed again in f64. So the result is that of
//! summing all of them in f64, bit for bit.

use super::floats::Floats;
use super::lanes::Lanes;
use super::losses::{charge, take};
use super::{Row, RowId};

/// Losses in f32, sixteen scenarios to a [`Row`], after a row of [`charge`] columns.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    pub(super) rows: Vec<Row>,
    /// Rows of one table row, the charges among them.
    pub(super) width: usize,
    /// The largest number in each lane of the last row of losses: infinite, or minus infinity beyond the last scenario.
    pub(super) limit: Row,
}

/// Losses and quantities below this cannot sum up to what f32 does not hold.
const LARGE: f64 = (1_u128 << 100) as f64;

impl Sieve {
    /// No losses yet.
    pub(super) fn new(count: usize, scenarios: usize) -> Self {
        let lanes = scenarios.div_ceil(16);
        let width = 1 + lanes;
        let mut rows = vec![Row::default(); count * width];
        for charges in rows.iter_mut().step_by(width) {
            charges.0[charge::SIZE] = 1.0;
        }
        let of_last = (scenarios + 15) % 16;
        let limit: [f32; 16] = std::array::from_fn(|lane| {
            if lane <= of_last {
                f32::INFINITY
            } else {
                f32::NEG_INFINITY
            }
        });
        Self {
            rows,
            width,
            limit: bytemuck::cast(limit),
        }
    }

    /// All table rows, to be set.
    pub(super) fn rows_mut(&mut self) -> SieveRows<'_> {
        SieveRows {
            rows: &mut self.rows,
            width: self.width,
        }
    }

    /// What the losses of a unit of so many legs, with these sums of charges, may be off by; none if f32 cannot hold them.
    ///
    /// A quantity and a loss are rounded, and so are their product and the sum: `2 legs + 2` relative errors of half a unit
    /// at most, of all that is added up. Where a number is below what f32 holds in full, it is off by 2^-150 at most, which
    /// the other factor, below 2^100, makes 2^-50. Comparing takes one rounding more on each side.
    #[inline(always)]
    pub(super) fn error(&self, legs: usize, charges: &[f64; 8]) -> Option<f32> {
        let small = charges[charge::REACH] < LARGE && charges[charge::SIZE] < LARGE;
        let legs = legs as f64;
        let error = (2.0 * legs + 8.0) * (0.5 * f64::from(f32::EPSILON)) * charges[charge::REACH]
            + (legs + 1.0) * f64::from_bits((1023 - 47) << 52);
        small.then_some(error as f32)
    }

    /// Hands on the losses of a unit in all scenarios, minus infinity beyond the last one; returns the sums of its charges.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    pub(super) unsafe fn losses<L: Lanes, F: Floats, R: RowId>(
        &self,
        rows: &[R],
        quantities: &[f64],
        to: &mut (impl Losses<F> + ?Sized),
    ) -> L {
        let lanes = self.width - 1;
        let mut lane = 0;
        let mut charges = L::zero();
        while lane < lanes {
            let left = lanes - lane;
            // SAFETY: the caller's promise; `lane` and those that follow are lanes of the table.
            lane += unsafe {
                if F::TILE >= 16 && left >= 16 {
                    self.tile::<L, F, R, 16>(rows, quantities, lane, &mut charges, to)
                } else if F::TILE >= 8 && left >= 8 {
                    self.tile::<L, F, R, 8>(rows, quantities, lane, &mut charges, to)
                } else if F::TILE < 8 && left >= 6 {
                    self.tile::<L, F, R, 6>(rows, quantities, lane, &mut charges, to)
                } else if left >= 4 {
                    self.tile::<L, F, R, 4>(rows, quantities, lane, &mut charges, to)
                } else if left >= 2 {
                    self.tile::<L, F, R, 2>(rows, quantities, lane, &mut charges, to)
                } else {
                    self.tile::<L, F, R, 1>(rows, quantities, lane, &mut charges, to)
                }
            };
        }
        charges
    }

    /// `N` rows of losses, summed in registers, with the charges that go before the first of them; returns `N`.
    ///
    /// # Safety
    /// Every row is a row of the table, and the lanes are lanes of it.
    #[inline(always)]
    unsafe fn tile<L: Lanes, F: Floats, R: RowId, const N: usize>(
        &self,
        rows: &[R],
        quantities: &[f64],
        lane: usize,
        charges: &mut L,
        to: &mut (impl Losses<F> + ?Sized),
    ) -> usize {
        let mut sums = [F::splat(0.0); N];
        let legs = rows.iter().zip(quantities);
        // SAFETY: the caller's promise.
        unsafe {
            if lane == 0 {
                let absolute = L::operand_mask(&charge::ABSOLUTE);
                let mut sum = L::zero();
                for (row, &quantity) in legs {
                    let own = self.before(*row, lane);
                    sum = (L::splat(quantity).and(absolute)).mul_add(L::load(&*own), sum);
                    add(&mut sums, own.add(1), quantity);
                }
                *charges = sum;
            } else {
                for (row, &quantity) in legs {
                    add(&mut sums, self.before(*row, lane).add(1), quantity);
                }
            }
        }
        let limit = if lane + 1 + N == self.width {
            F::load(&self.limit)
        } else {
            F::splat(f32::INFINITY)
        };
        to.take(lane, sums, limit);
        N
    }

    /// Where the row before a lane is: another lane, or the charges.
    ///
    /// # Safety
    /// The row is a row of the table, and the lane a lane of it.
    #[inline(always)]
    unsafe fn before<R: RowId>(&self, row: R, lane: usize) -> *const Row {
        let place = row.index() * self.width + lane;
        // SAFETY: the caller's promise.
        in_one_register(unsafe { self.rows.as_ptr().add(place) })
    }
}

/// Adds `N` rows of losses of a leg.
///
/// # Safety
/// There are as many at the place.
#[inline(always)]
unsafe fn add<F: Floats, const N: usize>(sums: &mut [F; N], place: *const Row, quantity: f64) {
    let quantity = F::splat(quantity as f32);
    // SAFETY: the caller's promise.
    let losses = unsafe { &*place.cast::<[Row; N]>() };
    for (sum, losses) in sums.iter_mut().zip(losses) {
        *sum = quantity.mul_add(F::load(losses), *sum);
    }
}

/// The same address, which the compiler does not take apart again: an instruction that loads and multiplies is two to the
/// processor where its address is the sum of two registers.
#[inline(always)]
fn in_one_register(place: *const Row) -> *const Row {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: there is no instruction that could read or change anything.
    unsafe {
        let mut place = place;
        std::arch::asm!("/* {0} */", inout(reg) place, options(pure, readonly, nostack, preserves_flags));
        place
    }
    #[cfg(not(target_arch = "x86_64"))]
    place
}

/// Where losses go while they are in registers.
pub(super) trait Losses<F> {
    /// Takes the rows from `first` on; `limit` is the largest number in each lane of the last of them.
    fn take<const N: usize>(&mut self, first: usize, rows: [F; N], limit: F);
}

/// Memory keeps all of them.
impl<F: Floats> Losses<F> for [Row] {
    #[inline(always)]
    fn take<const N: usize>(&mut self, first: usize, mut rows: [F; N], limit: F) {
        rows[N - 1] = rows[N - 1].smaller(limit);
        for (row, to) in rows.iter().zip(&mut self[first..first + N]) {
            row.store(to);
        }
    }
}

/// Table rows in f32 that follow one another, to be set.
#[derive(Debug)]
pub(super) struct SieveRows<'a> {
    rows: &'a mut [Row],
    width: usize,
}

impl<'a> SieveRows<'a> {
    /// Takes the first `count` rows away, or all if there are no more.
    pub(super) fn take_rows(&mut self, count: usize) -> Self {
        Self {
            rows: take(&mut self.rows, count * self.width),
            width: self.width,
        }
    }

    /// One of them.
    #[inline]
    pub(super) fn row(&mut self, at: usize) -> SieveRows<'_> {
        SieveRows {
            rows: &mut self.rows[at * self.width..][..self.width],
            width: self.width,
        }
    }

    /// Rounds what the table says of the first of them.
    pub(super) fn set_first(&mut self, charges: &[f64; 8], losses: &[f64]) {
        let (own, lanes) = self.rows[..self.width]
            .split_first_mut()
            .expect("a row of charges");
        own.0[..charge::REACH].copy_from_slice(&charges[..charge::REACH]);
        // A loss that f32 may not hold is out of reach of any bound, whatever the quantity.
        own.0[charge::REACH] = if charges[charge::REACH] < LARGE {
            charges[charge::REACH]
        } else {
            f64::INFINITY
        };
        for (lanes, losses) in lanes.iter_mut().zip(losses.chunks(16)) {
            let lanes: &mut [f32] = bytemuck::cast_slice_mut(&mut lanes.0);
            for (lane, &loss) in lanes.iter_mut().zip(losses) {
                *lane = loss as f32;
            }
        }
    }
}

/// The largest losses of `count` groups of scenarios, sixteen groups to a row; and the largest of all.
#[inline(always)]
pub(super) fn group_maxima<F: Floats>(lanes: &[Row], groups: &mut [Row]) -> f32 {
    let mut top = f32::NEG_INFINITY;
    let count = groups.len();
    for (first, group) in groups.iter_mut().enumerate() {
        let mut largest = F::load(&lanes[first]);
        // Two at once, or each would wait for the one before.
        let mut other = largest;
        let mut rest = lanes[first + 1..].chunks_exact(2 * count);
        for lanes in &mut rest {
            largest = F::load(&lanes[count - 1]).larger(largest);
            other = F::load(&lanes[2 * count - 1]).larger(other);
        }
        if let Some(lane) = rest.remainder().get(count - 1) {
            other = F::load(lane).larger(other);
        }
        largest = largest.larger(other);
        largest.store(group);
        let of_group = largest.largest();
        top = if of_group > top { of_group } else { top };
    }
    top
}

/// The `rank`-th largest of some numbers; fewer than `rank` of them give minus infinity.
#[inline(always)]
pub(super) fn of_rank<F: Floats>(numbers: &mut [Row], rank: usize) -> f32 {
    if numbers.len() > COUNTED {
        let all: &mut [f32] = bytemuck::cast_slice_mut(numbers);
        let place = all.len() - rank;
        return *all.select_nth_unstable_by(place, f32::total_cmp).1;
    }
    let mut found = f32::NEG_INFINITY;
    let candidates: &[f32] = bytemuck::cast_slice(numbers);
    for &candidate in candidates {
        let least = F::splat(candidate);
        let reach = |row: &Row| F::load(row).at_least(least).count_ones();
        let count: u32 = numbers.iter().map(reach).sum();
        // No branch, which could not be predicted.
        let value = if count as usize >= rank {
            candidate
        } else {
            f32::NEG_INFINITY
        };
        found = if value > found { value } else { found };
    }
    found
}

/// Rows of numbers up to which counting is quicker than selecting.
const COUNTED: usize = 2;

/// Sets the bits of the scenarios whose loss is at least so much, 64 to a word; returns how many there are.
#[inline(always)]
pub(super) fn at_least<F: Floats>(lanes: &[Row], least: f32, bits: &mut [u64]) -> usize {
    let least = F::splat(least);
    let reach = |lane: &Row| u64::from(F::load(lane).at_least(least));
    let (fours, rest) = lanes.as_chunks::<LANES_A_WORD>();
    let mut count = 0;
    let mut words = bits.iter_mut();
    for ([a, b, c, d], word) in fours.iter().zip(&mut words) {
        *word = reach(a) | reach(b) << 16 | reach(c) << 32 | reach(d) << 48;
        count += word.count_ones();
    }
    if let Some(word) = words.next() {
        let lanes = rest.iter().rev();
        *word = lanes.fold(0, |word, lane| word << 16 | reach(lane));
        count += word.count_ones();
    }
    count as usize
}

/// Rows of losses whose bits fill a word.
pub(super) const LANES_A_WORD: usize = 4;

/// Numbers of the bits that are set, ascending.
#[inline(always)]
pub(super) fn ones(bits: &[u64]) -> impl Iterator<Item = u32> {
    (0..).step_by(64).zip(bits).flat_map(|(first, &word)| {
        let mut word = word;
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| first + word.trailing_zeros())?;
            word &= word - 1;
            Some(bit)
        })
    })
}
