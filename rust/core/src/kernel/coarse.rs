//! Losses in f32: where the largest of them are.

use super::Row;
use super::floats::Floats;

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
