//! The formulas in pieces: a few rows of scenarios of one option at a time, step by step.
//!
//! A value waits for a division, an exponential and another division, about 150 cycles. A processor that looks a few hundred
//! instructions ahead has not seen two values by then, if each stands whole in a loop. So every step is a loop of
//! its own over a few rows, with what stands between two steps in the nearest cache, and the first step is done one piece ahead.

use std::ops::Range;

use super::bachelier;
use super::black::{Distances, Exchange, Terms};
use super::greeks::{OptionModel, log_moneyness};
use super::shocked::Eight;
use super::shocks::ShockSet;
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
    /// Then the density, as a part of the mean one.
    squares: [Row; ROWS],
}

/// Eight options before any shock.
#[derive(Default)]
pub(super) struct Bases {
    received: Row,
    paid: Row,
    log_moneyness: Row,
    mean_density: Row,
    root_time: Row,
    /// No shocked volatility is below it.
    floor: Row,
    value: Row,
    /// Of a payment of 1 at expiry.
    scale: Row,
}

impl Bases {
    /// And NaN in the lanes of options that are out of bounds, as [`super::ShockedOption::check`] says it; but [`Self::black`]
    /// finds what pays in coin and has no price left.
    #[inline(always)]
    pub(super) fn new<R: RealRow>(eight: &Eight, model: OptionModel, floor: f64) -> (Self, R) {
        let [zero, nan] = [0.0, f64::NAN].map(R::splat);
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
        let mut bases = Self::default();
        root_time.write_row(&mut bases.root_time);
        scale.write_row(&mut bases.scale);
        volatility
            .at_most(R::splat(floor))
            .write_row(&mut bases.floor);
        let (value, wrong) = match model {
            OptionModel::Bachelier => {
                let moneyness = terms.forward - terms.strike;
                moneyness.write_row(&mut bases.received);
                let value = bachelier::value(moneyness * terms.side, volatility * root_time);
                (value, zero.if_below(inverse, nan, zero))
            }
            OptionModel::Black76 => {
                let log_moneyness = log_moneyness(terms.forward, terms.strike);
                let exchange = Exchange::linear(&terms);
                let exchange = exchange.per_forward_where(inverse);
                exchange.received.write_row(&mut bases.received);
                exchange.paid.write_row(&mut bases.paid);
                exchange.mean_density.write_row(&mut bases.mean_density);
                log_moneyness.write_row(&mut bases.log_moneyness);
                let value = exchange.value(log_moneyness, volatility * root_time);
                let least = terms.forward.at_most(terms.strike);
                (value, zero.if_below(least, zero, nan))
            }
        };
        value.write_row(&mut bases.value);
        let least = volatility.at_most(terms.expiry_years);
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
        set: &ShockSet,
        piece: Piece,
        steps: &mut Steps,
    ) {
        let log_moneyness = R::splat(self.log_moneyness.0[piece.option]);
        let volatility = Volatility::<R>::new(self, eight, piece);
        let shocks = set.price[piece.rows()]
            .iter()
            .zip(&set.volatility[piece.rows()]);
        let steps = steps
            .near
            .iter_mut()
            .zip(&mut steps.far)
            .zip(&mut steps.squares);
        for ((price, shock), ((near, far), squares)) in shocks.zip(steps) {
            let total = volatility.total(R::from_row(shock));
            let distances = Distances::new(log_moneyness + R::from_row(price), total);
            distances.near.write_row(near);
            distances.far.write_row(far);
            distances.squares.write_row(squares);
        }
    }

    /// Writes the gains of a piece; poisons what pays in coin where a shock leaves no price.
    #[inline(always)]
    pub(super) fn black<'o, R: RealRow>(
        &self,
        eight: &Eight,
        set: &ShockSet,
        piece: Piece,
        steps: &mut Steps,
        gain: &mut Gain<R>,
        out: impl Iterator<Item = (&'o mut Row, &'o Row)>,
    ) {
        let is_inverse = eight.inverse.0[piece.option] > 0.0;
        if is_inverse && set.to_zero {
            gain.poison = R::splat(f64::NAN);
        }
        let legs = if is_inverse {
            &set.inverse[piece.rows()]
        } else {
            &set.linear[piece.rows()]
        };
        for (near, far) in steps.near.iter().zip(&mut steps.far).take(legs.len()) {
            let tails = Distances::tails(R::from_row(near), R::from_row(far));
            tails.write_row(far);
        }
        for squares in steps.squares.iter_mut().take(legs.len()) {
            exp_minus_half(R::from_row(squares)).write_row(squares);
        }
        let [received, paid, mean_density, side] =
            [&self.received, &self.paid, &self.mean_density, &eight.side]
                .map(|row| R::splat(row.0[piece.option]));
        let steps = steps.near.iter().zip(&steps.far).zip(&steps.squares);
        for ((legs, ((near, tails), density)), out) in legs.iter().zip(steps).zip(out) {
            let exchange = Exchange {
                received: received * R::from_row(&legs.received),
                paid: paid * R::from_row(&legs.paid),
                mean_density: mean_density * R::from_row(&legs.mean),
                side,
            };
            let [near, density, tails] = [near, density, tails].map(R::from_row);
            gain.write(exchange.value_at(near, density, tails), out);
        }
    }

    /// As `black`.
    #[inline(always)]
    pub(super) fn bachelier<'o, R: RealRow>(
        &self,
        eight: &Eight,
        set: &ShockSet,
        piece: Piece,
        gain: &mut Gain<R>,
        out: impl Iterator<Item = (&'o mut Row, &'o Row)>,
    ) {
        let moneyness = R::splat(self.received.0[piece.option]);
        let side = R::splat(eight.side.0[piece.option]);
        let volatility = Volatility::<R>::new(self, eight, piece);
        let shocks = set.price[piece.rows()]
            .iter()
            .zip(&set.volatility[piece.rows()]);
        for ((price, shock), out) in shocks.zip(out) {
            let moneyness = (moneyness + R::from_row(price)) * side;
            let total = volatility.total(R::from_row(shock));
            gain.write(bachelier::value(moneyness, total), out);
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
    scale: R,
    /// By size.
    pub(super) largest: R,
    /// NaN in a lane from the first thing on that is wrong.
    pub(super) poison: R,
}

impl<R: RealRow> Gain<R> {
    /// Goes on from the largest so far and the poison.
    #[inline(always)]
    pub(super) fn new(bases: &Bases, piece: Piece, largest: &Row, poison: R) -> Self {
        Self {
            base: R::splat(bases.value.0[piece.option]),
            scale: R::splat(bases.scale.0[piece.option]),
            largest: R::from_row(largest),
            poison,
        }
    }

    #[inline(always)]
    fn write(&mut self, value: R, (out, weight): (&mut Row, &Row)) {
        let zero = R::splat(0.0);
        // Adding 0 makes -0 and 0 the same.
        let gain = (value - self.base) * self.scale * R::from_row(weight) + zero;
        self.poison = gain.mul_add(zero, self.poison);
        self.largest = self.largest.at_least(gain.magnitude());
        gain.write_row(out);
    }
}
