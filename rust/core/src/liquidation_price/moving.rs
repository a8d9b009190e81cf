//! One mark that moves, and what follows it: lines of the *step* by which a contract's value rises, in the numeraire.

use super::Threshold;
use crate::concave::{Interval, Line, at_least_zero, from_here};
use crate::exact::Number;
use crate::market::Market;
use crate::model::{CrossMargin, Known, MaintenanceLines, NetLines, Step};

/// Marks that an instrument can have.
#[derive(Clone, Copy, Debug)]
enum Range {
    Positive,
    NotNegative,
    Any,
}

/// An instrument whose mark moves.
#[derive(Clone, Debug)]
pub(super) struct MovingMark<N> {
    mark: N,
    /// Value of one contract at mark; its size is the notional, but for an option.
    value: N,
    /// By how much the value rises per unit of the mark; 0 only if the settlement asset is worthless.
    per_price: N,
    /// Whether the value is `-per_price / mark` instead.
    reciprocal: bool,
    range: Range,
    /// `None` where no margin follows the mark: of an option, or where equity is asked for.
    maintenance: Option<MaintenanceLines<N>>,
}

impl<N: Number> MovingMark<N> {
    pub(super) fn new(
        model: &CrossMargin,
        market: &Market,
        instrument: usize,
        threshold: Threshold,
    ) -> Known<Self> {
        let spec = &model.universe().specs()[instrument];
        let value = model.mark_value::<N>(instrument, market)?;
        let multiplier = N::given(spec.contract_multiplier.as_ref());
        let charged = threshold == Threshold::Liquidation && !spec.is_option();
        Ok(Self {
            mark: market.mark(instrument).expect("there is a mark value"),
            value: value.value * value.price.clone(),
            per_price: multiplier * value.price,
            reciprocal: spec.is_reciprocal(),
            range: if spec.is_option() {
                Range::NotNegative
            } else if spec.allow_negative_price && !spec.is_reciprocal() {
                Range::Any
            } else {
                Range::Positive
            },
            maintenance: charged
                .then(|| model.maintenance_lines(instrument))
                .transpose()?,
        })
    }

    /// The mark at which a contract is worth a step more; `None` if the instrument cannot have it.
    fn mark_after(&self, step: &N) -> Option<N> {
        let zero = N::decimal(0.0);
        let mark = if self.reciprocal {
            // A step multiplies the value -c / mark by a factor, and divides the mark by it.
            let factor = N::decimal(1.0) + step.clone() / self.value.clone();
            if factor <= zero {
                return None;
            }
            self.mark.clone() / factor
        } else {
            self.mark.clone() + step.clone() / self.per_price.clone()
        };
        let possible = match self.range {
            Range::Positive => mark > zero,
            Range::NotNegative => mark >= zero,
            Range::Any => true,
        };
        possible.then_some(mark)
    }

    /// What margin of a position takes, as lines of the step.
    fn margin_steps(&self, quantity: &N, lines: &mut Vec<Line<N>>) {
        lines.clear();
        let zero = N::decimal(0.0);
        let size = quantity.magnitude();
        let Some(maintenance) = &self.maintenance else {
            lines.push(Line {
                slope: zero.clone(),
                offset: zero,
            });
            return;
        };
        // Notional is the size of the value: where its sign can change, the larger of it and its opposite.
        let per_value = if self.reciprocal {
            -size.clone()
        } else {
            size.clone()
        };
        let opposite = matches!(self.range, Range::Any).then(|| -per_value.clone());
        for per_value in std::iter::once(per_value).chain(opposite) {
            let notional = self.value.clone() * per_value.clone();
            lines.extend(maintenance.lines.iter().map(|line| Line {
                slope: -(line.slope.clone() * per_value.clone()),
                offset: -line.at(&notional),
            }));
        }
        if maintenance.floor > zero {
            lines.push(Line {
                slope: zero,
                offset: -(maintenance.floor.clone() * size),
            });
        }
        from_here(lines);
    }
}

/// A unit in which one mark after the other may move; its lines are used again for the next.
#[derive(Debug)]
pub(super) struct MovingUnit<N> {
    net: Vec<Line<N>>,
    margin: Vec<Line<N>>,
}

impl<N: Number> MovingUnit<N> {
    pub(super) fn new() -> Self {
        Self {
            net: Vec::new(),
            margin: Vec::new(),
        }
    }

    /// Takes a unit's net, before anything is weighed, and the cash in it.
    pub(super) fn set(&mut self, home: &NetLines<N>, net: &N, cash: &N) {
        home.steps(Step::Value, net, cash, &mut self.net);
    }

    /// Where a figure that is `now` becomes 0 as the mark of one position in the unit moves.
    pub(super) fn zeros<'a>(
        &mut self,
        now: &'a N,
        quantity: &'a N,
        moving: &'a MovingMark<N>,
    ) -> Zeros<'a, N> {
        let zero = N::decimal(0.0);
        let interval = if moving.per_price == zero {
            // Nothing moves.
            None
        } else {
            moving.margin_steps(quantity, &mut self.margin);
            at_least_zero(now, (quantity, &self.net), &self.margin)
        };
        Zeros {
            now,
            quantity,
            moving,
            interval,
        }
    }
}

/// The marks at which a figure is 0.
#[derive(Clone, Debug)]
pub(super) struct Zeros<'a, N> {
    /// The figure now.
    now: &'a N,
    quantity: &'a N,
    moving: &'a MovingMark<N>,
    /// The steps at which it is at least 0.
    interval: Option<Interval<N>>,
}

impl<N: Number> Zeros<'_, N> {
    /// The mark on the losing side; of a figure below 0, the nearest on the gaining side, where it would be 0 again.
    pub(super) fn nearest(self) -> Option<N> {
        let zero = N::decimal(0.0);
        if *self.now == zero {
            return Some(self.moving.mark.clone());
        }
        let Interval { from, to } = self.interval?;
        let is_long = *self.quantity > zero;
        let step = if *self.now > zero {
            if is_long { from } else { to }
        } else if is_long {
            from.filter(|from| *from > zero)
        } else {
            to.filter(|to| *to < zero)
        };
        self.moving.mark_after(&step?)
    }

    /// All marks, ascending.
    pub(super) fn all(self) -> Vec<N> {
        let zero = N::decimal(0.0);
        let here = (*self.now == zero).then_some(zero);
        let Some(Interval { from, to }) = self.interval else {
            return Vec::new();
        };
        let mut steps: Vec<N> = [from, here, to].into_iter().flatten().collect();
        steps.dedup();
        let marks = steps.iter().filter_map(|step| self.moving.mark_after(step));
        marks.collect()
    }
}
