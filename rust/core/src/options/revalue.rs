//! Many options under many scenarios: what one contract gains in each.

use std::mem::swap;

use super::columns::FRAME;
use super::pieces::{Bases, Gain, Piece, Steps};
use super::shocked::{Eight, ShockedOptions};
use super::shocks::{PriceMoves, ShockSet};
use crate::error::{Error, Place, Result, finite};
use crate::kernel::math::RealRow;
use crate::kernel::{LaneWork, LossRows, Row, Simd, on_lanes};

/// Where the gains of options go.
#[derive(Debug)]
pub struct Gains<'a, 't> {
    /// Rows of a table; of charges nothing is touched.
    pub rows: &'a mut LossRows<'t>,
    /// By option, which of them.
    pub at: &'a [usize],
    /// What each gain is multiplied by, eight scenarios to a row; 0 beyond the last scenario.
    pub weights: &'a [Row],
    /// By option, the largest gain by size; what was there before is written over.
    pub largest: &'a mut [f64],
}

/// What one contract of each option gains in each scenario: its value after the shocks less its value before, times
/// [`ShockedOption::discounted_scale`], times the weight of the scenario.
///
/// Lanes beyond the last scenario become 0, as does every scenario without shocks; a 0 has a sign only where a gain is too
/// small for f64. A shocked volatility is not below `volatility_floor`, unless the volatility itself is. The bits depend
/// neither on what stands beside an option nor on the instruction set. One thread: who has many options divides them.
///
/// # Errors
/// An input out of bounds or a gain that f64 cannot hold; the row is that of the option. Gains are of no use then.
///
/// # Panics
/// If sets differ in length or model, an option's set or row does not exist, `gains` are for others or name a row twice.
///
/// [`ShockedOption::discounted_scale`]: super::ShockedOption::discounted_scale
pub fn revalue(
    options: &ShockedOptions,
    sets: &[ShockSet],
    volatility_floor: f64,
    mut gains: Gains<'_, '_>,
) -> Result<()> {
    let Some(first) = sets.first() else {
        assert!(options.is_empty(), "options, but no shocks");
        return Ok(());
    };
    finite(volatility_floor, || Place::frame("volatility_floor"))?;
    let alike = |set: &ShockSet| (set.len(), set.model) == (first.len(), first.model);
    assert!(sets.iter().all(alike), "sets of shocks differ");
    assert_eq!(gains.rows.scenarios(), first.len(), "scenarios");
    assert_eq!(gains.weights.len(), first.len().div_ceil(8), "weights");
    let fits = (gains.at.len(), gains.largest.len()) == (options.len(), options.len());
    assert!(fits, "gains of other options");
    let work = Revaluation {
        eights: &options.eights,
        sets,
        volatility_floor,
        gains: &mut gains,
    };
    if on_lanes(Simd::current(), work) {
        return Ok(());
    }
    for (row, option) in options.iter().enumerate() {
        option.check(row, sets, first.model)?;
    }
    let is_wrong = |&at: &usize| {
        let lanes = gains.rows.lanes(at).into_iter().flatten();
        lanes.flat_map(|lane| lane.0).any(|gain| !gain.is_finite())
    };
    let row = gains.at.iter().position(is_wrong).expect("it was found");
    Err(Error::Value {
        place: Place::frame(FRAME).row(row),
        problem: "a gain is beyond the range of f64".into(),
    })
}

struct Revaluation<'a, 'g, 't> {
    eights: &'a [Eight],
    sets: &'a [ShockSet],
    volatility_floor: f64,
    gains: &'a mut Gains<'g, 't>,
}

impl LaneWork for Revaluation<'_, '_, '_> {
    /// Whether all inputs are in their bounds and all gains are finite.
    type Output = bool;

    #[inline(always)]
    fn run<R: RealRow>(self) -> bool {
        let Gains {
            rows,
            at,
            weights,
            largest,
        } = self.gains;
        let Self { eights, sets, .. } = self;
        let model = sets[0].model;
        // NaN in a lane from the first thing on that is wrong.
        let mut poison = R::splat(0.0);
        let [mut some, mut others] = [Steps::default(), Steps::default()];
        let (mut steps, mut steps_before) = (&mut some, &mut others);
        let places = at.chunks(8).zip(largest.chunks_mut(8));
        for (eight, (at, largest)) in eights.iter().zip(places) {
            // Eight options side by side for what no scenario changes, then eight scenarios of each.
            let (bases, wrong) = Bases::new::<R>(eight, model, self.volatility_floor);
            poison = poison + wrong;
            let mut sizes = [Row::default(); 8];
            // The first half of the formula is one piece ahead of the second.
            let (mut next, mut before) = (Piece::first(weights.len()), None::<Piece>);
            while next.is_some() || before.is_some() {
                if let Some(piece) = next {
                    let set = &sets[eight.shocks[piece.option] as usize];
                    if let Some(moves) = set.price.of_logs(eight.is_inverse(piece.option)) {
                        bases.distances::<R>(eight, moves, &set.volatility, piece, steps);
                    }
                }
                if let Some(piece) = before {
                    let set = &sets[eight.shocks[piece.option] as usize];
                    let size = &mut sizes[piece.option];
                    let mut gain = Gain::new(&bases, piece, size);
                    let lanes = rows.lanes(at[piece.option]).expect("a row of every option");
                    let out = lanes[piece.rows()].iter_mut().zip(&weights[piece.rows()]);
                    let is_inverse = eight.is_inverse(piece.option);
                    if is_inverse && set.to_zero {
                        poison = R::splat(f64::NAN);
                    }
                    if let PriceMoves::Bachelier(moves) = &set.price {
                        let volatility = &set.volatility;
                        bases.bachelier::<R>(eight, moves, volatility, piece, &mut gain, out);
                    } else if let Some(moves) = set.price.of_logs(is_inverse) {
                        bases.black::<R>(moves, piece, steps_before, &mut gain, out);
                    }
                    gain.largest.write_row(size);
                }
                before = next;
                next = next.and_then(|piece| piece.after(at.len(), weights.len()));
                swap(&mut steps, &mut steps_before);
            }
            for (largest, size) in largest.iter_mut().zip(&sizes) {
                let size = R::from_row(size);
                // A product with 0 is NaN of what is not finite.
                poison = size.mul_add(R::splat(0.0), poison);
                *largest = size.largest();
            }
        }
        let mut row = Row::default();
        poison.write_row(&mut row);
        row.0.iter().all(|lane| !lane.is_nan())
    }
}
