//! Concave functions made of lines, and where a sum of them is at least 0: the closed form behind liquidation prices and
//! limits.
//!
//! Collateral counts less the more there is of it, and debts count more than deposits, so the value of collateral is the
//! least of some lines of its amount. Rates rise with size, so margin is the greatest of some lines, and what is left
//! after margin is again the least of lines. A sum of such functions is at least 0 on one interval, whose ends are zeros
//! of sums of two lines: found by division, with no search that could miss.

use crate::exact::Number;

/// `slope x amount + offset`.
#[derive(Clone, Debug)]
pub(crate) struct Line<N> {
    pub(crate) slope: N,
    pub(crate) offset: N,
}

impl<N: Number> Line<N> {
    pub(crate) fn at(&self, amount: &N) -> N {
        // Not `mul_add`: where the processor's is not to be relied upon, it is a call.
        amount.clone() * self.slope.clone() + self.offset.clone()
    }
}

/// The least of the lines at an amount.
pub(crate) fn least<N: Number>(lines: &[Line<N>], amount: &N) -> N {
    let values = lines.iter().map(|line| line.at(amount));
    values
        .reduce(|a, b| if b < a { b } else { a })
        .expect("at least one line")
}

/// The lines that a function in pieces consists of: `(from, slope)` by ascending `from`, the first from 0.
pub(crate) fn lines_of<N: Number>(pieces: &[(N, N)]) -> Vec<Line<N>> {
    let mut lines: Vec<Line<N>> = Vec::with_capacity(pieces.len());
    for (from, slope) in pieces {
        let offset = match lines.last() {
            None => N::decimal(0.0),
            Some(before) => from.mul_add(&(before.slope.clone() - slope.clone()), &before.offset),
        };
        lines.push(Line {
            slope: slope.clone(),
            offset,
        });
    }
    lines
}

/// Makes lines of a step from where the least of them stands now: offsets become gaps above it, at least 0.
pub(crate) fn from_here<N: Number>(lines: &mut [Line<N>]) {
    let zero = N::decimal(0.0);
    let now = least(lines, &zero);
    for line in lines {
        line.offset = line.offset.clone() - now.clone();
    }
}

/// An interval of steps; an end that is `None` is unbounded.
#[derive(Clone, Debug)]
pub(crate) struct Interval<N> {
    pub(crate) from: Option<N>,
    pub(crate) to: Option<N>,
}

/// Where `now` plus the changes of two functions is at least 0; `None` if nowhere. The first function's argument is
/// `factor` times the second's.
///
/// The functions are given by [`from_here`], so that the line that counts now adds nothing to `now`.
#[inline]
pub(crate) fn at_least_zero<N: Number>(
    now: &N,
    (factor, first): (&N, &[Line<N>]),
    second: &[Line<N>],
) -> Option<Interval<N>> {
    let zero = N::decimal(0.0);
    let mut found = Interval {
        from: None,
        to: None,
    };
    for a in first {
        for b in second {
            let slope = factor.clone() * a.slope.clone() + b.slope.clone();
            let value = now.clone() + (a.offset.clone() + b.offset.clone());
            if slope == zero {
                if value < zero {
                    return None;
                }
                continue;
            }
            let rises = slope > zero;
            let root = -value / slope;
            let (end, beyond) = if rises {
                (&mut found.from, end_before(&found.to, &root))
            } else {
                (&mut found.to, end_after(&found.from, &root))
            };
            if beyond {
                return None;
            }
            let tighter = |end: &N| if rises { *end < root } else { *end > root };
            if end.as_ref().is_none_or(tighter) {
                *end = Some(root);
            }
        }
    }
    Some(found)
}

fn end_before<N: Number>(to: &Option<N>, root: &N) -> bool {
    to.as_ref().is_some_and(|to| to < root)
}

fn end_after<N: Number>(from: &Option<N>, root: &N) -> bool {
    from.as_ref().is_some_and(|from| from > root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pairs: &[(f64, f64)]) -> Vec<Line<f64>> {
        let line = |&(slope, offset): &(f64, f64)| Line { slope, offset };
        pairs.iter().map(line).collect()
    }

    #[test]
    fn pieces_become_lines_that_meet_where_the_pieces_do() {
        let lines = lines_of(&[(0.0, 0.9), (10.0, 0.5), (20.0, 0.0)]);
        let ends: Vec<f64> = [0.0, 10.0, 20.0, 30.0].map(|x| least(&lines, &x)).into();
        assert_eq!(ends, [0.0, 9.0, 14.0, 14.0]);
    }

    #[test]
    fn the_interval_is_bounded_where_a_line_falls_to_zero() {
        // 6 + min(x, 2 + x / 2) + min(0, -x): at least 0 from -6 up to 16.
        let mut first = lines(&[(1.0, 0.0), (0.5, 2.0)]);
        let mut second = lines(&[(0.0, 0.0), (-1.0, 0.0)]);
        from_here(&mut first);
        from_here(&mut second);
        let found = at_least_zero(&6.0, (&1.0, &first), &second).unwrap();
        assert_eq!((found.from, found.to), (Some(-6.0), Some(16.0)));
        let nowhere = lines(&[(0.0, 0.0)]);
        assert!(at_least_zero(&-1.0, (&1.0, &nowhere), &nowhere).is_none());
    }
}
