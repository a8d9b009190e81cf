//! How much each price moves, so that those that move much get more room; no answer depends on it.

/// Moves of all prices, relative to themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Liveliness {
    /// NaN before a price was followed.
    last: Vec<f64>,
    moves: Vec<f64>,
}

/// What a move is taken to be before any was seen, and the least that counts.
const FIRST: f64 = 1e-4;
const LEAST: f64 = 1e-6;

/// The last move counts so much, and those before the rest.
const NEW: f64 = 1.0 / 32.0;

impl Liveliness {
    pub(crate) fn new(variables: usize) -> Self {
        Self {
            last: vec![f64::NAN; variables],
            moves: vec![FIRST; variables],
        }
    }

    /// What a price moves by at once.
    pub(crate) fn of(&self, variable: u32) -> f64 {
        self.moves[variable as usize]
    }

    /// Notes that a price is `now`.
    pub(crate) fn follow(&mut self, variable: u32, now: f64) {
        let variable = variable as usize;
        let last = std::mem::replace(&mut self.last[variable], now);
        let moved = ((now - last) / last).abs();
        if moved.is_finite() {
            let before = &mut self.moves[variable];
            *before = (*before + NEW * (moved.min(1.0) - *before)).max(LEAST);
        }
    }

    /// Takes over what was seen of the same prices.
    pub(crate) fn take_over(&mut self, before: &Self) {
        if before.last.len() == self.last.len() {
            self.clone_from(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_more_is_livelier() {
        let mut lively = Liveliness::new(3);
        for step in 0..200_i32 {
            let side = f64::from(step % 2);
            lively.follow(0, 100.0 + side);
            lively.follow(1, 100.0 + 0.1 * side);
            lively.follow(2, 0.0);
        }
        assert!((0.009..0.011).contains(&lively.of(0)));
        assert!((0.0009..0.0011).contains(&lively.of(1)));
        assert_eq!(lively.of(2), FIRST);
    }
}
