//! Functions of a move: what values of contracts are when prices move in proportion to their betas, and their roots.

use smallvec::SmallVec;

/// Coefficients of 1, move, move squared, and of `1 / (1 + beta x move)` for each of the path's poles.
///
/// The product of two prices is a square; the reciprocal of one is a pole. With few betas there are few poles, mostly
/// none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve(SmallVec<[f64; 4]>);

const POLYNOMIAL: usize = 3;

/// More than enough to reach the last digits from a root of the numerator.
const POLISHING_STEPS: usize = 6;

impl Curve {
    pub(super) fn zero(poles: usize) -> Self {
        Self(SmallVec::from_elem(0.0, POLYNOMIAL + poles))
    }

    /// `factor x (1 + a x move) x (1 + b x move)`.
    pub(super) fn product(factor: f64, a: f64, b: f64, poles: usize) -> Self {
        let mut curve = Self::zero(poles);
        curve.0[0] = factor;
        curve.0[1] = factor * (a + b);
        curve.0[2] = factor * a * b;
        curve
    }

    /// `factor x (1 + a x move) / (1 + b x move)`, whose pole, if it has one, is number `pole`.
    pub(super) fn quotient(factor: f64, a: f64, b: f64, pole: Option<usize>, poles: usize) -> Self {
        let mut curve = Self::zero(poles);
        match pole {
            None if a == b => curve.0[0] = factor,
            None => {
                curve.0[0] = factor;
                curve.0[1] = factor * a;
            }
            Some(pole) => {
                curve.0[0] = factor * a / b;
                curve.0[POLYNOMIAL + pole] = factor * (1.0 - a / b);
            }
        }
        curve
    }

    /// Adds `factor x other`.
    pub(super) fn add(&mut self, factor: f64, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = factor.mul_add(*theirs, *mine);
        }
    }

    /// Adds a constant.
    pub(super) fn lift(&mut self, by: f64) {
        self.0[0] += by;
    }

    pub(super) fn less(&self, other: &Self) -> Self {
        let mut less = self.clone();
        less.add(-1.0, other);
        less
    }

    /// Nothing, with the same poles.
    pub(super) fn zeroed(&self) -> Self {
        Self::zero(self.0.len() - POLYNOMIAL)
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0.0);
    }

    pub(super) fn is_finite(&self) -> bool {
        self.0.iter().all(|coefficient| coefficient.is_finite())
    }

    pub(super) fn at(&self, at: f64, poles: &[f64]) -> f64 {
        let polynomial = self.0[2].mul_add(at, self.0[1]).mul_add(at, self.0[0]);
        let mut sum = polynomial;
        for (&part, beta) in self.0[POLYNOMIAL..].iter().zip(poles) {
            // What is not there may have its pole here.
            if part != 0.0 {
                sum += part / beta.mul_add(at, 1.0);
            }
        }
        sum
    }

    /// Adds its zeros within `from` up to `to` (which may be infinite), ascending; no pole lies between.
    pub(super) fn add_roots(&self, (from, to): (f64, f64), poles: &[f64], roots: &mut Vec<f64>) {
        if self.0[POLYNOMIAL..].iter().all(|&part| part == 0.0) {
            polynomial_roots(&self.0[..POLYNOMIAL], (from, to), roots);
        } else {
            let first = roots.len();
            polynomial_roots(&self.numerator(poles), (from, to), roots);
            // Near a pole the numerator has lost digits that the curve itself still has.
            for root in &mut roots[first..] {
                *root = self.polished(*root, (from, to), poles);
            }
        }
    }

    /// A zero after Newton's steps, as far as they make the curve smaller.
    fn polished(&self, mut root: f64, (from, to): (f64, f64), poles: &[f64]) -> f64 {
        let mut value = self.at(root, poles);
        for _ in 0..POLISHING_STEPS {
            let next = root - value / self.slope(root, poles);
            let next_value = self.at(next, poles);
            if next.is_nan() || next < from || next > to || next_value.abs() >= value.abs() {
                break;
            }
            (root, value) = (next, next_value);
        }
        root
    }

    fn slope(&self, at: f64, poles: &[f64]) -> f64 {
        let mut sum = 2.0 * self.0[2] * at + self.0[1];
        for (&part, beta) in self.0[POLYNOMIAL..].iter().zip(poles) {
            if part != 0.0 {
                let price = 1.0 + beta * at;
                sum -= part * beta / (price * price);
            }
        }
        sum
    }

    /// The polynomial that is the curve times `1 + beta x move` for each pole it has.
    fn numerator(&self, poles: &[f64]) -> Vec<f64> {
        let mut numerator = self.0[..POLYNOMIAL].to_vec();
        let mut denominator = vec![1.0];
        for (&part, &beta) in self.0[POLYNOMIAL..].iter().zip(poles) {
            if part == 0.0 {
                continue;
            }
            numerator = times(&numerator, beta);
            for (sum, factor) in numerator.iter_mut().zip(&denominator) {
                *sum = part.mul_add(*factor, *sum);
            }
            denominator = times(&denominator, beta);
        }
        numerator
    }
}

/// A polynomial times `1 + beta x`.
fn times(polynomial: &[f64], beta: f64) -> Vec<f64> {
    let mut product = polynomial.to_vec();
    product.push(0.0);
    for (at, &coefficient) in polynomial.iter().enumerate() {
        product[at + 1] = beta.mul_add(coefficient, product[at + 1]);
    }
    product
}

fn value(polynomial: &[f64], at: f64) -> f64 {
    let higher = polynomial.iter().rev();
    higher.fold(0.0, |sum: f64, &coefficient| sum.mul_add(at, coefficient))
}

/// Adds the zeros of a polynomial (lowest coefficient first) within an interval, ascending.
///
/// Up to degree 2 by formula; above, between the zeros of its derivative, where it can have one each: none is missed.
fn polynomial_roots(polynomial: &[f64], (from, to): (f64, f64), roots: &mut Vec<f64>) {
    let degree = polynomial
        .iter()
        .rposition(|&coefficient| coefficient != 0.0);
    let mut add = |root: f64| {
        if root >= from && root <= to {
            roots.push(root);
        }
    };
    match degree {
        None | Some(0) => {}
        Some(1) => add(-polynomial[0] / polynomial[1]),
        Some(2) => {
            let [c, b, a] = [polynomial[0], polynomial[1], polynomial[2]];
            let discriminant = b.mul_add(b, -4.0 * a * c);
            if discriminant < 0.0 {
                return;
            }
            // The larger in size without cancellation, the other by Vieta.
            let sum = -0.5 * (b + discriminant.sqrt().copysign(b));
            let (mut one, mut other) = (sum / a, if sum == 0.0 { 0.0 } else { c / sum });
            if one > other {
                (one, other) = (other, one);
            }
            add(one);
            if other != one {
                add(other);
            }
        }
        Some(degree) => {
            let polynomial = &polynomial[..=degree];
            let highest = polynomial[degree].abs();
            // All zeros are less far from 0 than this (Cauchy).
            let others = polynomial[..degree].iter().map(|c| c.abs() / highest);
            let bound = 1.0 + others.fold(0.0, f64::max);
            let (from, to) = (from.max(-bound), to.min(bound));
            if from > to {
                return;
            }
            let slopes: Vec<f64> = (1..=degree)
                .map(|power| power as f64 * polynomial[power])
                .collect();
            let mut turns = vec![from];
            polynomial_roots(&slopes, (from, to), &mut turns);
            turns.push(to);
            for pair in turns.windows(2) {
                let (low, high) = (value(polynomial, pair[0]), value(polynomial, pair[1]));
                if low == 0.0 {
                    if roots.last() != Some(&pair[0]) {
                        roots.push(pair[0]);
                    }
                } else if high != 0.0 && (low < 0.0) != (high < 0.0) {
                    roots.push(between(polynomial, (pair[0], pair[1]), low < 0.0));
                }
            }
            if value(polynomial, to) == 0.0 && roots.last() != Some(&to) {
                roots.push(to);
            }
        }
    }
}

/// The zero of a polynomial between two points where its signs differ, to the last bit.
fn between(polynomial: &[f64], (mut low, mut high): (f64, f64), rises: bool) -> f64 {
    loop {
        let middle = low + 0.5 * (high - low);
        if middle <= low || middle >= high {
            return middle;
        }
        if (value(polynomial, middle) < 0.0) == rises {
            low = middle;
        } else {
            high = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(curve: &Curve, range: (f64, f64), poles: &[f64]) -> Vec<f64> {
        let mut roots = Vec::new();
        curve.add_roots(range, poles, &mut roots);
        roots
    }

    #[test]
    fn products_and_quotients_are_what_they_say() {
        let product = Curve::product(3.0, 0.5, -0.25, 0);
        assert_eq!(product.at(0.5, &[]), 3.0 * 1.25 * 0.875);
        let quotient = Curve::quotient(2.0, 1.0, 0.5, Some(0), 1);
        assert!((quotient.at(0.5, &[0.5]) - 2.0 * 1.5 / 1.25).abs() < 1e-15);
        assert_eq!(Curve::quotient(2.0, 0.5, 0.5, None, 0).at(0.3, &[]), 2.0);
    }

    #[test]
    fn roots_of_every_degree_are_found_in_order() {
        let line = Curve::product(2.0, 4.0, 0.0, 0);
        assert_eq!(roots(&line, (-1.0, 1.0), &[]), [-0.25]);
        let square = Curve::product(1.0, -2.0, 4.0, 0);
        assert_eq!(roots(&square, (-1.0, f64::INFINITY), &[]), [-0.25, 0.5]);
        assert_eq!(roots(&square, (0.0, f64::INFINITY), &[]), [0.5]);
        // (1 + 2 x) - 3 / (1 + x) + 1 / (1 - x / 2), by its numerator.
        let mut poles = Curve::quotient(-3.0, 0.0, 1.0, Some(0), 2);
        poles.add(1.0, &Curve::quotient(1.0, 0.0, -0.5, Some(1), 2));
        poles.add(1.0, &Curve::product(1.0, 2.0, 0.0, 2));
        let betas = [1.0, -0.5];
        let found = roots(&poles, (-0.99, 1.99), &betas);
        assert_eq!(found.len(), 1);
        assert!(poles.at(found[0], &betas).abs() < 1e-14);
    }
}
