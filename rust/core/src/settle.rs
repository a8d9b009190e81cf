//! One account, leg by leg, in plain code: the scalar oracle in f64; in exact numbers, the judge and the explanation.

use std::sync::Arc;

use crate::book::Book;
use crate::error::{Error, Result};
use crate::exact::{Number, Rational, nearest_signed};
use crate::kernel::{Row, column, opening_loss, result};
use crate::layout::IsolatedPosition;
use crate::market::Market;
use crate::model::{CrossMargin, RiskRow};
use crate::table::{LegKind, Missing};
use crate::units::{AccountUnits, Key, Reader, Unit};

/// What a line of a settled account stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// A leg.
    Leg(LegKind),
    /// What a leg owes to a further bracket or haircut tier of its own; counted from 1.
    LegTier(LegKind, usize),
    /// The part of an unrealized gain in an asset that does not count.
    UncountedGain(usize),
    /// What a positive net in an asset owes to a further haircut tier; counted from 1.
    NetTier(usize, usize),
    /// Initial margin of an instrument's exposure.
    Exposure(usize),
    /// What an instrument's orders would lose at once.
    OpeningLoss(usize),
}

/// One line of a settled account.
#[derive(Clone, Debug)]
pub struct Line<N> {
    /// What it stands for.
    pub kind: LineKind,
    /// The signed quantity of a leg, the part of it in the tier, the exposure; of an uncounted gain or opening loss, 1.
    pub quantity: N,
    /// What it adds to each column, net values weighed.
    pub parts: [N; 8],
}

/// A settled account or isolated position.
#[derive(Clone, Debug)]
pub struct Settled<N> {
    /// Its lines, if they were asked for: legs in canonical order, then what is beyond them, unit by unit.
    pub lines: Vec<Line<N>>,
    /// Its result row; in f64, the same bits as the kernel's.
    pub row: [N; 8],
}

/// What is settled.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Number of the account.
    pub account: usize,
    /// The place of a position that is a unit of its own; `None` for the account's pool.
    pub position: Option<usize>,
}

impl From<IsolatedPosition> for Subject {
    fn from(position: IsolatedPosition) -> Self {
        Self {
            account: position.account as usize,
            position: Some(position.position as usize),
        }
    }
}

/// Settles accounts of one book at one market.
#[derive(Clone, Copy, Debug)]
pub struct Settlement<'a> {
    /// The model.
    pub model: &'a CrossMargin,
    /// The book.
    pub book: &'a Book,
    /// The market.
    pub market: &'a Market,
    /// How the book's legs are grouped.
    pub key: Key,
}

impl<'a> Settlement<'a> {
    /// Checks that the three belong together.
    ///
    /// # Errors
    /// [`Error::UniverseMismatch`].
    pub fn new(
        model: &'a CrossMargin,
        key: Key,
        book: &'a Book,
        market: &'a Market,
    ) -> Result<Self> {
        let universe = model.universe();
        for (name, other) in [("book", book.universe()), ("market", market.universe())] {
            if !Arc::ptr_eq(universe, other) {
                return Err(Error::UniverseMismatch {
                    left: name,
                    right: "model",
                });
            }
        }
        Ok(Self {
            model,
            book,
            market,
            key,
        })
    }

    /// Contracts, nets, weighs and sums one account or isolated position.
    ///
    /// # Errors
    /// [`Error::MissingPrice`] or [`Error::MissingParameter`].
    pub fn settle<N: Number>(&self, subject: Subject, with_lines: bool) -> Result<Settled<N>> {
        let reader = Reader::new(self.book.universe(), self.key);
        let holdings = self.book.holdings(subject.account);
        let mut units = AccountUnits::<N>::default();
        match subject.position {
            None => units.read(reader, holdings),
            Some(position) => units.read_position(reader, holdings, position),
        }
        let mut settled = Settled {
            lines: Vec::new(),
            row: zeros(),
        };
        for unit in units.units() {
            let sum = UnitSum {
                settlement: self,
                reader,
                lines: with_lines.then(Vec::new),
                sum: zeros(),
            };
            sum.settle(&unit, &units.least_rate, &mut settled)
                .map_err(|missing| {
                    let account = self.book.accounts().get(subject.account).to_string();
                    missing.error(self.book.universe(), account)
                })?;
        }
        let row = &mut settled.row;
        let less = |from: &N, what: &N| from.clone() - what.clone();
        row[result::COLLATERAL] = less(&row[column::ASSETS], &row[column::DEBTS]);
        row[result::HEALTH] = less(&row[result::COLLATERAL], &row[column::MAINTENANCE_MARGIN]);
        row[result::INITIAL_HEALTH] = less(
            &row[column::INITIAL_COLLATERAL],
            &row[column::INITIAL_MARGIN],
        );
        Ok(settled)
    }
}

/// A unit on its way: the kernel's steps in the kernel's order.
struct UnitSum<'a, N> {
    settlement: &'a Settlement<'a>,
    reader: Reader<'a>,
    lines: Option<Vec<Line<N>>>,
    sum: [N; 8],
}

impl<N: Number> UnitSum<'_, N> {
    fn settle(
        mut self,
        unit: &Unit<'_, N>,
        least_rate: &N,
        settled: &mut Settled<N>,
    ) -> std::result::Result<(), Missing> {
        let cash = self.add_legs(unit)?;
        let home = self
            .settlement
            .model
            .home::<N>(unit.home, self.settlement.market);
        let zero = N::decimal(0.0);
        if home.uncounted_gain > zero {
            let gain = self.sum[column::NET].clone() - cash;
            if gain > zero {
                let mut parts = zeros();
                parts[column::NET] = -(home.uncounted_gain.clone() * gain);
                let kind = LineKind::UncountedGain(unit.home - 1);
                self.add_line(kind, N::decimal(1.0), parts);
            }
        }
        self.add_charges(unit, least_rate)?;
        let net = self.sum[column::NET].clone();
        let weights = if net < zero {
            &home.negative
        } else {
            &home.positive.columns
        };
        for line in self.lines.iter_mut().flatten() {
            let part = line.parts[column::NET].clone();
            for (column, weight) in weights.iter().enumerate() {
                line.parts[column] = part.mul_add(weight, &line.parts[column]);
            }
        }
        for (sum, weight) in self.sum.iter_mut().zip(weights) {
            *sum = net.mul_add(weight, sum);
        }
        for at in 0..home.positive.tiers.len() {
            let kind = LineKind::NetTier(unit.home - 1, at + 1);
            let mut owed = zeros();
            self.add_tier(&home.positive, at, &net, kind, &mut owed);
            self.add(owed);
        }
        for (total, sum) in settled.row.iter_mut().zip(self.sum) {
            *total = total.clone() + sum;
        }
        settled.lines.extend(self.lines.into_iter().flatten());
        Ok(())
    }

    /// Sums the legs, then what they owe to their tiers; returns the cash that is netted.
    fn add_legs(&mut self, unit: &Unit<'_, N>) -> std::result::Result<N, Missing> {
        let Settlement { model, market, .. } = *self.settlement;
        let mut cash = N::decimal(0.0);
        let mut rows = Vec::with_capacity(unit.legs.len());
        for leg in unit.legs {
            let kind = self.reader.rows.kind(leg.row);
            let kind = kind.expect("a leg never points to the all-zero row");
            let row = model.row::<N>(kind, market)?;
            let (signed, absolute) = (&leg.quantity, leg.quantity.magnitude());
            let operand = |column: usize| {
                if column::ABSOLUTE[column] {
                    &absolute
                } else {
                    signed
                }
            };
            for (column, sum) in self.sum.iter_mut().enumerate() {
                *sum = operand(column).mul_add(&row.columns[column], sum);
            }
            if kind.is_netted_cash() {
                cash = signed.mul_add(&row.columns[column::NET], &cash);
            }
            if let Some(lines) = &mut self.lines {
                lines.push(Line {
                    kind: LineKind::Leg(kind),
                    quantity: signed.clone(),
                    parts: std::array::from_fn(|column| {
                        operand(column).clone() * row.columns[column].clone()
                    }),
                });
            }
            rows.push((kind, row, absolute));
        }
        // A sum over the first tier of each leg, one over the second of each, and so on, as in the kernel.
        let deepest = rows.iter().map(|(_, row, _)| row.tiers.len()).max();
        for at in 0..deepest.unwrap_or(0) {
            let mut owed = zeros();
            for (kind, row, amount) in &rows {
                self.add_tier(row, at, amount, LineKind::LegTier(*kind, at + 1), &mut owed);
            }
            self.add(owed);
        }
        Ok(cash)
    }

    /// What an amount owes to one tier of its row, if it is beyond it.
    fn add_tier(
        &mut self,
        row: &RiskRow<N>,
        at: usize,
        amount: &N,
        kind: LineKind,
        owed: &mut [N; 8],
    ) {
        let Some(tier) = row.tiers.get(at).filter(|tier| *amount > tier.from) else {
            return;
        };
        let beyond = amount.clone() - tier.from.clone();
        for (owed, slope) in owed.iter_mut().zip(&tier.slopes) {
            *owed = beyond.mul_add(slope, owed);
        }
        if let Some(lines) = &mut self.lines {
            let parts = std::array::from_fn(|column| beyond.clone() * tier.slopes[column].clone());
            lines.push(Line {
                kind,
                quantity: beyond,
                parts,
            });
        }
    }

    /// Initial margin of exposures under a leverage cap, and opening losses.
    fn add_charges(
        &mut self,
        unit: &Unit<'_, N>,
        least_rate: &N,
    ) -> std::result::Result<(), Missing> {
        let Settlement { model, market, .. } = *self.settlement;
        let zero = || N::decimal(0.0);
        let mut initial = zero();
        let mut charge = |kind, quantity: N, amount: N, lines: &mut Option<Vec<Line<N>>>| {
            if let Some(lines) = lines {
                let mut parts = zeros();
                parts[column::INITIAL_MARGIN] = amount.clone();
                lines.push(Line {
                    kind,
                    quantity,
                    parts,
                });
            }
            initial = initial.clone() + amount;
        };
        for exposure in unit.exposures {
            let instrument = exposure.instrument;
            if exposure.charged
                && model.charges()
                && *least_rate > zero()
                && exposure.quantity > zero()
            {
                let curve = model.curve::<N>(instrument, market)?;
                let margin = curve.margin(&exposure.quantity, least_rate);
                let kind = LineKind::Exposure(instrument);
                charge(kind, exposure.quantity.clone(), margin, &mut self.lines);
            }
            if !exposure.orders.is_empty() {
                let mark = model.mark_value::<N>(instrument, market)?;
                let loss = opening_loss(&exposure.orders, &mark);
                if loss > zero() {
                    let kind = LineKind::OpeningLoss(instrument);
                    charge(kind, N::decimal(1.0), loss, &mut self.lines);
                }
            }
        }
        self.sum[column::INITIAL_MARGIN] = self.sum[column::INITIAL_MARGIN].clone() + initial;
        Ok(())
    }

    fn add(&mut self, parts: [N; 8]) {
        for (sum, part) in self.sum.iter_mut().zip(parts) {
            *sum = sum.clone() + part;
        }
    }

    fn add_line(&mut self, kind: LineKind, quantity: N, parts: [N; 8]) {
        self.add(parts.clone());
        if let Some(lines) = &mut self.lines {
            lines.push(Line {
                kind,
                quantity,
                parts,
            });
        }
    }
}

fn zeros<N: Number>() -> [N; 8] {
    std::array::from_fn(|_| N::decimal(0.0))
}

/// Which columns of a row are below 0: bit `c` for column `c`.
pub(crate) fn signs_of<N: Number>(row: &[N; 8]) -> u8 {
    let zero = N::decimal(0.0);
    row.iter()
        .rev()
        .fold(0, |signs, figure| signs << 1 | u8::from(*figure < zero))
}

impl Settled<Rational> {
    /// The result row, each figure correctly rounded, and the signs of the exact figures.
    #[must_use]
    pub fn rounded(&self) -> (Row, u8) {
        let row = Row(std::array::from_fn(|column| {
            nearest_signed(&self.row[column])
        }));
        (row, signs_of(&self.row))
    }
}
