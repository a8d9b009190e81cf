//! The formulas in pieces: a few rows of scenarios of one option at a time, step by step.
//!
//! A value waits for a division, an exponential and another division, about 150 cycles. A processor that looks a few hundred
//! instructions ahead has not seen two values by then, if each stands whole in a loop. So every step is a loop of
//! its own over a few rows, with what stands between two steps in the nearest cache, and the first step is done one piece ahead.

use std::ops::Range;

use super::bachelier;
use super::black::{Distances, Exchange, Terms};
use super::greeks::OptionModel;
use super::shocked::Eight;
use super::shocks::LogMoves;
use crate::kernel::Row;
use crate::kernel::math::{RealRow, exp, exp_minus_half};

/// Rows of scenarios in a piece, at most.
const ROWS: usize = 4;

/// Rows of scenarios that follow one another, of one of eight options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) option: usize,
    first: usize,
    end: usize,
}

impl Piece {
    /// The first of all pieces, if there is a row.
    pub(super) fn first(rows: usize) -> Option<Self> {
        (rows > 0).then(|| Self::of(0, 0, rows))
    }

    /// The piece that follows, of so many options with so many rows each.
    #[inline(always)]
    pub(super) fn after(self, options: usize, rows: usize) -> Option<Self> {
        if self.end < rows {
            return Some(Self::of(self.option, self.end, rows));
        }
        let option = self.option + 1;
        (option < options).then(|| Self::of(option, 0, rows))
    }

    #[inline(always)]
    fn of(option: usize, first: usize, rows: usize) -> Self {
        Self {
            option,
            first,
            end: rows.min(first + ROWS),
        }
    }

    #[inline(always)]
    pub(super) fn rows(self) -> Range<usize> {
        self.first..self.end
    }
}

/// What stands between two steps of Black-76, by row of the piece.
#[derive(Debug, Default)]
pub(super) struct Steps {
    near: [Row; ROWS],
    /// Then the tails.
    far: [Row; ROWS],
    /// Then the tails as parts of the mean density.
    decay: [Row; ROWS],
}

/// Eight options before any shock, counted in what a payment is worth on the day.
#[derive(Default)]
pub(super) struct Bases {
    /// As in [`Exchange`]; under Bachelier it is the moneyness, and the next three are not used.
    moving: Row,
    fixed: Row,
    mean_density: Row,
    /// Half of ln(moving / fixed).
    half_log: Row,
    side: Row,
    /// Half the root of the time to expiry; under Bachelier all of it.
    root_time: Row,
    /// No shocked volatility is below it.
    floor: Row,
    value: Row,
    /// Of a payment of 1 at expiry; Bachelier alone.
    scale: Row,
}

/// Below it, a volatility and half the root of a time count as this much: their product is above 0, and far from what
/// still has time value.
const LEAST: f64 = 1e-50;

impl Bases {
    /// And NaN in the lanes of options that are out of bounds, as [`super::ShockedOption::check`] says it; but of what pays
    /// in coin and has no price left nothing is said.
    #[inline(always)]
    pub(super) fn new<R: RealRow>(eight: &Eight, model: OptionModel, floor: f64) -> (Self, R) {
        let [zero, nan, half, least] = [0.0, f64::NAN, 0.5, LEAST].map(R::splat);
        let volatility = R::from_row(&eight.volatility);
        let terms = Terms {
            forward: R::from_row(&eight.forward),
            strike: R::from_row(&eight.strike),
            volatility,
            expiry_years: R::from_row(&eight.expiry_years),
            rate: zero,
            side: R::from_row(&eight.side),
        };
        let inverse = R::from_row(&eight.inverse);
        let scale = R::from_row(&eight.scale) * exp(R::from_row(&eight.log_discount));
        let root_time = terms.expiry_years.sqrt();
        let floor = volatility.at_most(R::splat(floor));
        let mut bases = Self::default();
        let wrong = match model {
            OptionModel::Bachelier => {
                let moneyness = terms.forward - terms.strike;
                let value = bachelier::value(moneyness * terms.side, volatility * root_time);
                moneyness.write_row(&mut bases.moving);
                terms.side.write_row(&mut bases.side);
                root_time.write_row(&mut bases.root_time);
                floor.write_row(&mut bases.floor);
                (value * scale).write_row(&mut bases.value);
                scale.write_row(&mut bases.scale);
                zero.if_below(inverse, nan, zero)
            }
            OptionModel::Black76 => {
                let (exchange, log_moneyness) = Exchange::new(&terms, inverse);
                let (exchange, half_log) = (exchange.times(scale), log_moneyness * half);
                let root_time = (root_time * half).at_least(least);
                let floor = floor.at_least(least);
                let value = exchange.value(half_log, volatility.at_least(floor) * root_time);
                exchange.moving.write_row(&mut bases.moving);
                exchange.fixed.write_row(&mut bases.fixed);
                exchange.mean_density.write_row(&mut bases.mean_density);
                exchange.side.write_row(&mut bases.side);
                half_log.write_row(&mut bases.half_log);
                root_time.write_row(&mut bases.root_time);
                floor.write_row(&mut bases.floor);
                value.write_row(&mut bases.value);
                let lower = terms.forward.at_most(terms.strike);
                zero.if_below(lower, zero, nan)
            }
        };
        let least = volatility.at_most(terms.expiry_years).at_most(scale);
        let mut wrong = least.if_below(zero, nan, wrong);
        let volatility_weight = R::from_row(&eight.volatility_weight);
        let rest = [scale, volatility_weight, volatility];
        for figure in [terms.forward, terms.strike, terms.expiry_years]
            .into_iter()
            .chain(rest)
        {
            // A product with 0 is NaN of what is not finite.
            wrong = figure.mul_add(zero, wrong);
        }
        (bases, wrong)
    }

    /// The first step of [`Self::black`].
    #[inline(always)]
    pub(super) fn distances<R: RealRow>(
        &self,
        eight: &Eight,
        moves: &[LogMoves],
        shocks: &[Row],
        piece: Piece,
        steps: &mut Steps,
    ) {
        let half_log = R::splat(self.half_log.0[piece.option]);
        let volatility = Volatility::<R>::new(self, eight, piece);
        let shocks = moves[piece.rows()].iter().zip(&shocks[piece.rows()]);
        let steps = steps
            .near
            .iter_mut()
            .zip(&mut steps.far)
            .zip(&mut steps.decay);
        for ((moves, shock), ((near, far), decay)) in shocks.zip(steps) {
            let distances = Distances::new(
                half_log + R::from_row(&moves.half_log),
                volatility.total(R::from_row(shock)),
                R::from_row(&moves.minus_log),
            );
            distances.near.write_row(near);
            distances.far.write_row(far);
            distances.decay.write_row(decay);
        }
    }

    /// Writes the gains of a piece.
    #[inline(always)]
    pub(super) fn black<'o, R: RealRow>(
        &self,
        moves: &[LogMoves],
        piece: Piece,
        steps: &mut Steps,
        gain: &mut Gain<R>,
        out: impl Iterator<Item = (&'o mut Row, &'o Row)>,
    ) {
        let moves = &moves[piece.rows()];
        for (near, far) in steps.near.iter().zip(&mut steps.far).take(moves.len()) {
            let tails = Distances::tails(R::from_row(near), R::from_row(far));
            tails.write_row(far);
        }
        for (tails, decay) in steps.far.iter().zip(&mut steps.decay).take(moves.len()) {
            let density = exp_minus_half(R::from_row(decay));
            (R::from_row(tails) * density).write_row(decay);
        }
        let of_option = |row: &Row| R::splat(row.0[piece.option]);
        let exchange = Exchange {
            moving: of_option(&self.moving),
            fixed: of_option(&self.fixed),
            mean_density: of_option(&self.mean_density),
            side: of_option(&self.side),
        };
        let moving_side = exchange.moving * exchange.side;
        let minus_fixed_side = -(exchange.fixed * exchange.side);
        let steps = steps.near.iter().zip(&steps.decay);
        for ((moves, (near, tails)), out) in moves.iter().zip(steps).zip(out) {
            let [factor, near, tails] = [&moves.factor, near, tails].map(R::from_row);
            let intrinsic = factor.mul_add(moving_side, minus_fixed_side);
            let time_value = exchange.time_value(exchange.moving * factor, near, tails);
            gain.write(intrinsic.at_least(R::splat(0.0)) + time_value, out);
        }
    }

    /// As `black`.
    #[inline(always)]
    pub(super) fn bachelier<'o, R: RealRow>(
        &self,
        eight: &Eight,
        moves: &[Row],
        shocks: &[Row],
        piece: Piece,
        gain: &mut Gain<R>,
        out: impl Iterator<Item = (&'o mut Row, &'o Row)>,
    ) {
        let [moneyness, side, scale] =
            [&self.moving, &self.side, &self.scale].map(|row| R::splat(row.0[piece.option]));
        let volatility = Volatility::<R>::new(self, eight, piece);
        let shocks = moves[piece.rows()].iter().zip(&shocks[piece.rows()]);
        for ((price, shock), out) in shocks.zip(out) {
            let moneyness = (moneyness + R::from_row(price)) * side;
            let total = volatility.total(R::from_row(shock));
            gain.write(bachelier::value(moneyness, total) * scale, out);
        }
    }
}

/// From a shock to a volatility.
struct Volatility<R> {
    volatility: R,
    weight: R,
    floor: R,
    root_time: R,
}

impl<R: RealRow> Volatility<R> {
    #[inline(always)]
    fn new(bases: &Bases, eight: &Eight, piece: Piece) -> Self {
        let [volatility, weight, floor, root_time] = [
            &eight.volatility,
            &eight.volatility_weight,
            &bases.floor,
            &bases.root_time,
        ]
        .map(|row| R::splat(row.0[piece.option]));
        Self {
            volatility,
            weight,
            floor,
            root_time,
        }
    }

    #[inline(always)]
    fn total(&self, shock: R) -> R {
        let volatility = shock.mul_add(self.weight, self.volatility);
        volatility.at_least(self.floor) * self.root_time
    }
}

/// From a value to a gain.
pub(super) struct Gain<R> {
    base: R,
    /// By size; NaN is larger than any.
    pub(super) largest: R,
}

impl<R: RealRow> Gain<R> {
    /// Goes on from the largest so far.
    #[inline(always)]
    pub(super) fn new(bases: &Bases, piece: Piece, largest: &Row) -> Self {
        Self {
            base: R::splat(bases.value.0[piece.option]),
            largest: R::from_row(largest),
        }
    }

    #[inline(always)]
    fn write(&mut self, value: R, (out, weight): (&mut Row, &Row)) {
        let zero = R::splat(0.0);
        // Adding 0 makes -0 and 0 the same.
        let gain = (value - self.base).mul_add(R::from_row(weight), zero);
        self.largest = self.largest.at_least_size(gain);
        gain.write_row(out);
    }
}
