//! One account along a path: a sum of groups of curves, of each of which the least counts, and its zeros.

use super::Moves;
use super::curve::Curve;
use super::table::{PathInstrument, PathTable, common};
use crate::book::Holdings;
use crate::concave::least;
use crate::table::LegKind;
use crate::units::AccountUnits;

/// A zero so near to the end of a range, in parts of it, is the end: where everything that is held is worth nothing.
const END: f64 = 1e-12;

/// An account's figure as a function of the move; used again from one account to the next.
#[derive(Debug)]
pub(super) struct AccountPath<'a> {
    table: &'a PathTable<'a>,
    units: AccountUnits<f64>,
    figure: Figure,
    /// Moves that leave all prices possible that the account depends on.
    range: (f64, f64),
    /// Moves at which another curve of a group may become the least, ascending, and the group.
    kinks: Vec<(f64, usize)>,
}

/// A sum of curves and of the least curves of groups.
#[derive(Debug)]
struct Figure {
    base: Curve,
    /// One group after the other.
    curves: Vec<Curve>,
    /// Where each group ends.
    ends: Vec<usize>,
}

impl Figure {
    /// Ends a group; a single curve needs none.
    fn end_group(&mut self) {
        let start = self.ends.last().copied().unwrap_or(0);
        if self.curves.len() == start + 1 {
            let only = self.curves.pop().expect("there is one");
            self.base.add(1.0, &only);
        } else if self.curves.len() > start {
            self.ends.push(self.curves.len());
        }
    }

    fn group(&self, group: usize) -> std::ops::Range<usize> {
        let start = if group == 0 { 0 } else { self.ends[group - 1] };
        start..self.ends[group]
    }

    /// The least curve of a group at a move.
    fn least(&self, group: usize, at: f64, poles: &[f64]) -> usize {
        let value = |curve: &usize| self.curves[*curve].at(at, poles);
        let least = self
            .group(group)
            .min_by(|a, b| value(a).total_cmp(&value(b)));
        least.expect("no group is empty")
    }
}

impl<'a> AccountPath<'a> {
    pub(super) fn new(table: &'a PathTable<'a>) -> Self {
        Self {
            table,
            units: AccountUnits::default(),
            figure: Figure {
                base: Curve::zero(table.poles.len()),
                curves: Vec::new(),
                ends: Vec::new(),
            },
            range: (0.0, 0.0),
            kinks: Vec::new(),
        }
    }

    /// The zeros nearest to no move, of a figure that is `now`.
    pub(super) fn nearest(&mut self, holdings: Holdings<'_>, now: f64) -> Moves {
        if now == 0.0 {
            let here = Some(0.0);
            return Moves {
                fall: here,
                rise: here,
            };
        }
        self.read(holdings, now);
        Moves {
            fall: self.zeros(now, false, true).first().copied(),
            rise: self.zeros(now, true, true).first().copied(),
        }
    }

    /// All zeros, ascending.
    pub(super) fn all(&mut self, holdings: Holdings<'_>, now: f64) -> Vec<f64> {
        self.read(holdings, now);
        let mut all = self.zeros(now, false, false);
        all.reverse();
        all.extend((now == 0.0).then_some(0.0));
        all.extend(self.zeros(now, true, false));
        all.dedup();
        all
    }

    /// Whether the figure of the account read last is within f64.
    pub(super) fn is_finite(&self) -> bool {
        self.figure.base.is_finite() && self.figure.curves.iter().all(Curve::is_finite)
    }

    /// Zeros on one side of no move, going outwards; those of one piece, if the first are enough.
    fn zeros(&mut self, now: f64, upwards: bool, first: bool) -> Vec<f64> {
        let poles = &self.table.poles;
        let figure = &self.figure;
        let end = if upwards { self.range.1 } else { self.range.0 };
        let is_ahead = |kink: &&(f64, usize)| if upwards { kink.0 > 0.0 } else { kink.0 < 0.0 };
        let mut kinks: Vec<(f64, usize)> = self.kinks.iter().filter(is_ahead).copied().collect();
        if !upwards {
            kinks.reverse();
        }
        // The piece that counts: the base, and one curve of each group.
        let mut piece = figure.base.clone();
        let mut counts: Vec<Option<usize>> = vec![None; figure.ends.len()];
        let mut changing: Vec<usize> = (0..figure.ends.len()).collect();
        let (mut zeros, mut roots) = (Vec::new(), Vec::new());
        let (mut from, mut is_below) = (0.0, now < 0.0);
        let mut ahead = kinks.iter().peekable();
        loop {
            let to = ahead.peek().map_or(end, |kink| kink.0);
            let inside = if to.is_finite() {
                0.5 * (from + to)
            } else {
                from + (1.0 + f64::abs(from)).copysign(to)
            };
            for group in changing.drain(..) {
                let least = figure.least(group, inside, poles);
                if let Some(before) = counts[group].replace(least) {
                    piece.add(-1.0, &figure.curves[before]);
                }
                piece.add(1.0, &figure.curves[least]);
            }
            // Rounding may show a crossing on neither of two pieces that meet at it, or on both.
            let start = piece.at(from, poles);
            let is_end = |root: f64| end.is_finite() && (root - end).abs() <= END * end.abs();
            let crosses = from != 0.0 && (start < 0.0) != is_below;
            if crosses && !is_end(from) && zeros.last() != Some(&from) {
                zeros.push(from);
            }
            roots.clear();
            piece.add_roots((f64::min(from, to), f64::max(from, to)), poles, &mut roots);
            if !upwards {
                roots.reverse();
            }
            // The end of the range is no possible move, nor what rounding makes of it; whether no move is a zero says
            // the figure itself.
            zeros.extend(roots.iter().filter(|&&root| root != 0.0 && !is_end(root)));
            zeros.dedup();
            if first && !zeros.is_empty() || ahead.peek().is_none() {
                return zeros;
            }
            is_below = piece.at(to, poles) < 0.0;
            from = to;
            while let Some(&(_, group)) = ahead.next_if(|kink| kink.0 == to) {
                changing.push(group);
            }
        }
    }

    /// Takes an account apart along the path; its figure is `now` where nothing has moved.
    fn read(&mut self, holdings: Holdings<'_>, now: f64) {
        let Self {
            table,
            units,
            figure,
            ..
        } = self;
        units.read(table.reader, holdings);
        figure.base.clear();
        figure.curves.clear();
        figure.ends.clear();
        self.range = (f64::NEG_INFINITY, f64::INFINITY);
        for unit in units.units() {
            // Asset units of the home: cash and all that is netted beside positions.
            let (mut cash, mut fixed) = (0.0, 0.0);
            let mut net = Curve::zero(table.poles.len());
            for leg in unit.legs {
                match table.kind(leg.row) {
                    Some(LegKind::Deposit(asset)) => {
                        let asset = table.asset(asset);
                        let amount = leg.quantity * asset.deposit_index;
                        figure.base.add(least(&asset.lines, &amount), &asset.value);
                        self.range = common(self.range, asset.range);
                    }
                    Some(LegKind::Loan(asset)) => {
                        let asset = table.asset(asset);
                        let amount = leg.quantity * asset.borrow_index;
                        figure.base.add(least(&asset.lines, &amount), &asset.value);
                        self.range = common(self.range, asset.range);
                    }
                    Some(LegKind::NettedDeposit(asset)) => {
                        cash += leg.quantity * table.asset(asset).deposit_index;
                    }
                    Some(LegKind::NettedLoan(asset)) => {
                        cash += leg.quantity * table.asset(asset).borrow_index;
                    }
                    Some(LegKind::IsolatedMargin(_)) => cash += leg.quantity,
                    Some(LegKind::Cost(_)) => fixed -= leg.quantity,
                    Some(LegKind::Position(position)) => {
                        let instrument = table.instrument(position.instrument);
                        net.add(leg.quantity, &instrument.value);
                        figure.add_margin(instrument, leg.quantity);
                        self.range = common(self.range, instrument.range);
                    }
                    // Initial margin alone.
                    Some(LegKind::Exposure(_)) | None => {}
                }
            }
            let Some(home) = unit.home.checked_sub(1) else {
                continue;
            };
            let home = table.asset(home);
            self.range = common(self.range, home.range);
            net.add(cash + fixed, &home.value);
            let add_lines = |figure: &mut Figure, net: &Curve| {
                for line in &home.lines {
                    let mut curve = Curve::zero(table.poles.len());
                    curve.add(line.slope, net);
                    curve.add(line.offset, &home.value);
                    figure.curves.push(curve);
                }
            };
            add_lines(figure, &net);
            if home.uncounted_gain > 0.0 {
                // Of the net, and the net less the uncounted part of the gain, the smaller counts.
                let mut gain = net.clone();
                gain.add(-cash, &home.value);
                net.add(-home.uncounted_gain, &gain);
                add_lines(figure, &net);
            }
            figure.end_group();
        }
        let poles = &table.poles;
        self.kinks.clear();
        let mut found = figure.base.at(0.0, poles);
        let mut roots = Vec::new();
        for group in 0..figure.ends.len() {
            found += figure.curves[figure.least(group, 0.0, poles)].at(0.0, poles);
            let curves = &figure.curves[figure.group(group)];
            for (at, curve) in curves.iter().enumerate() {
                for other in &curves[..at] {
                    let difference = curve.less(other);
                    difference.add_roots(self.range, poles, &mut roots);
                }
            }
            self.kinks.extend(roots.drain(..).map(|kink| (kink, group)));
        }
        // So that the figure is the reported one where nothing has moved.
        figure.base.lift(now - found);
        self.kinks.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    }
}

impl Figure {
    /// Takes away the margin of a position.
    fn add_margin(&mut self, instrument: &PathInstrument, quantity: f64) {
        if instrument.lines.is_empty() || instrument.short_only && quantity > 0.0 {
            return;
        }
        let size = quantity.abs();
        let opposite = instrument.two_sided.then_some(-size);
        for size in std::iter::once(size).chain(opposite) {
            for line in &instrument.lines {
                let mut curve = self.base.zeroed();
                curve.add(-line.slope * size, &instrument.notional);
                curve.lift(-line.offset);
                self.curves.push(curve);
            }
        }
        if instrument.floor > 0.0 {
            let mut curve = self.base.zeroed();
            curve.lift(-instrument.floor * size);
            self.curves.push(curve);
        }
        self.end_group();
    }
}
