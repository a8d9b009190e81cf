//! Value and derivatives of options, column by column.

use super::bachelier::bachelier;
use super::black::{Terms, black};
use super::columns::{Bound, FRAME, check_column, check_length, inverse_normal};
use crate::error::{Error, Place, Result};
use crate::kernel::math::{Real, RealRow};
use crate::kernel::{LaneWork, Row, Simd, on_lanes};
use crate::pool::{self, Stop};

/// The distribution of the price at expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionModel {
    /// Lognormal; volatility is relative, prices and strikes are above 0.
    Black76,
    /// Normal; volatility is in price units, prices and strikes may be negative.
    Bachelier,
}

/// A value and its derivatives.
///
/// Of a long option on one unit of the underlying, in its quote; of an inverse one in coin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Greeks<R> {
    /// What it is worth today: discounted, at least 0.
    pub value: R,
    /// Change of the value for a change of the forward by 1.
    pub delta: R,
    /// Change of delta for a change of the forward by 1; 0 without volatility.
    pub gamma: R,
    /// Change of the value for a change of the volatility by 1 (that is, by 100 %; in price units under Bachelier).
    pub vega: R,
    /// Change of the value in a year that passes while forward, volatility and rate stay; 0 once expired.
    pub theta: R,
    /// Change of the value for a change of the rate by 1, the forward fixed.
    pub rho: R,
}

/// The same of value / forward: what is paid in coin, in coin.
#[inline(always)]
fn in_coin<R: Real>(greeks: Greeks<R>, forward: R) -> Greeks<R> {
    let value = greeks.value / forward;
    let delta = (greeks.delta - value) / forward;
    Greeks {
        value,
        delta,
        gamma: (greeks.gamma - delta - delta) / forward,
        vega: greeks.vega / forward,
        theta: greeks.theta / forward,
        rho: greeks.rho / forward,
    }
}

#[inline(always)]
fn figures<R>(greeks: Greeks<R>) -> [R; COLUMNS] {
    let Greeks {
        value,
        delta,
        gamma,
        vega,
        theta,
        rho,
    } = greeks;
    [value, delta, gamma, vega, theta, rho]
}

const COLUMNS: usize = 6;

/// Options, one in each row; all columns have one length.
#[derive(Clone, Copy, Debug)]
pub struct OptionColumns<'a> {
    /// Price of the underlying for delivery at expiry. Above 0 under Black-76.
    pub forward: &'a [f64],
    /// Above 0 under Black-76.
    pub strike: &'a [f64],
    /// At least 0, per square root of a year: a fraction under Black-76, price units under Bachelier.
    pub volatility: &'a [f64],
    /// Years of 365 days, at least 0.
    pub expiry_years: &'a [f64],
    /// Continuously compounded, per year.
    pub rate: &'a [f64],
    /// Call or put.
    pub is_call: &'a [bool],
}

impl OptionColumns<'_> {
    /// Number of options.
    #[must_use]
    pub fn len(&self) -> usize {
        self.forward.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forward.is_empty()
    }

    fn check(&self, model: OptionModel) -> Result<()> {
        let positive = model == OptionModel::Black76;
        check_column(
            "forward",
            self.forward,
            self.len(),
            Bound::above_0(positive),
        )?;
        check_column("strike", self.strike, self.len(), Bound::above_0(positive))?;
        check_column("volatility", self.volatility, self.len(), Bound::AtLeast0)?;
        check_column(
            "expiry_years",
            self.expiry_years,
            self.len(),
            Bound::AtLeast0,
        )?;
        check_column("rate", self.rate, self.len(), Bound::None)?;
        check_length("is_call", self.is_call.len(), self.len())
    }

    /// Eight options from a row on; where there are fewer, the rest are copies of the last.
    #[inline(always)]
    fn eight(&self, first: usize) -> [Row; COLUMNS] {
        let last = self.len() - 1;
        let rows: [usize; 8] = std::array::from_fn(|lane| last.min(first + lane));
        let numbers = [
            self.forward,
            self.strike,
            self.volatility,
            self.expiry_years,
            self.rate,
        ];
        let mut eight = [Row::default(); COLUMNS];
        for (to, column) in eight.iter_mut().zip(numbers) {
            to.0 = rows.map(|row| column[row]);
        }
        eight[5].0 = rows.map(|row| if self.is_call[row] { 1.0 } else { -1.0 });
        eight
    }
}

/// So many need no thread but the caller's.
pub(crate) const GREEKS_OF_A_TASK: usize = 1024;

/// Value and greeks of every option; `inverse` ones pay in coin, value / forward, and are counted in coin.
///
/// Their bits depend neither on the number of threads nor on the instruction set.
///
/// # Errors
/// A column of another length, a number out of bounds, an inverse option under Bachelier, a result that f64 cannot hold.
pub fn option_greeks(
    columns: OptionColumns<'_>,
    model: OptionModel,
    inverse: bool,
    stop: Stop<'_>,
) -> Result<Vec<Greeks<f64>>> {
    columns.check(model)?;
    if inverse && model == OptionModel::Bachelier {
        return Err(inverse_normal());
    }
    let simd = Simd::current();
    let mut greeks = vec![Greeks::default(); columns.len()];
    let work = |(task, greeks): (usize, &mut [Greeks<f64>])| {
        let work = ManyGreeks {
            columns,
            first: task * GREEKS_OF_A_TASK,
            model,
            inverse,
            greeks,
        };
        on_lanes(simd, work);
    };
    pool::for_each(greeks.chunks_mut(GREEKS_OF_A_TASK).enumerate(), work, stop)?;
    let finite = |greeks: &Greeks<f64>| figures(*greeks).iter().all(|figure| figure.is_finite());
    match greeks.iter().position(|greeks| !finite(greeks)) {
        None => Ok(greeks),
        Some(row) => Err(Error::Value {
            place: Place::frame(FRAME).row(row),
            problem: format!("a figure is beyond the range of f64: {:?}", greeks[row]),
        }),
    }
}

struct ManyGreeks<'a> {
    columns: OptionColumns<'a>,
    /// Row of the first.
    first: usize,
    model: OptionModel,
    inverse: bool,
    greeks: &'a mut [Greeks<f64>],
}

impl LaneWork for ManyGreeks<'_> {
    type Output = ();

    #[inline(always)]
    fn run<R: RealRow>(self) {
        for (eight, out) in self.greeks.chunks_mut(8).enumerate() {
            let mut rows = self.columns.eight(self.first + 8 * eight);
            let terms = Terms {
                forward: R::from_row(&rows[0]),
                strike: R::from_row(&rows[1]),
                volatility: R::from_row(&rows[2]),
                expiry_years: R::from_row(&rows[3]),
                rate: R::from_row(&rows[4]),
                side: R::from_row(&rows[5]),
            };
            let mut greeks = match self.model {
                OptionModel::Black76 => black(&terms),
                OptionModel::Bachelier => bachelier(&terms),
            };
            if self.inverse {
                greeks = in_coin(greeks, terms.forward);
            }
            for (row, column) in rows.iter_mut().zip(figures(greeks)) {
                column.write_row(row);
            }
            for (lane, greeks) in out.iter_mut().enumerate() {
                *greeks = greeks_in(&rows, lane);
            }
        }
    }
}

#[inline(always)]
fn greeks_in(columns: &[Row; COLUMNS], lane: usize) -> Greeks<f64> {
    let [value, delta, gamma, vega, theta, rho] = columns.map(|column| column.0[lane]);
    Greeks {
        value,
        delta,
        gamma,
        vega,
        theta,
        rho,
    }
}
