//! Settlement at the average of the index over a window that ends at expiry.
//!
//! A part `w` of the window has passed, with an average `A` so far; `X` is the mean of the observations to come and `F`
//! the forward. The settlement price is `w A + (1 - w) X`, so that an option on it is `1 - w` options on `X`:
//!
//! ```text
//! max(0, w A + (1 - w) X - K) = (1 - w) max(0, X - k),   k = (K - w A) / (1 - w)
//! ```
//!
//! `X` is taken for lognormal (normal under Bachelier) with mean `F` and the variance of the mean of a Brownian path: a
//! third of its time, and all of the time before the window. That matches two moments of an arithmetic mean to first
//! order in `volatility^2 x window` (Turnbull and Wakeman 1991; Levy 1992, who also moves the strike): the variance is
//! too small by about `volatility^2 x window / 12` of itself, 1e-4 for a day at 60 %. Under Bachelier it is exact.

use super::YEAR_NS;

/// How far an average has come, and what is still open in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averaging {
    /// Part of the window that has passed, at least 0 and below 1; 0 before the window and where there is none.
    pub passed: f64,
    /// Years after which a price is as uncertain as the mean of the observations to come.
    pub variance_years: f64,
}

impl Averaging {
    /// So long before expiry, above 0, with a window of so many seconds, at least 0.
    ///
    /// ```
    /// use xmfast_core::{Averaging, YEAR_NS};
    ///
    /// let half_an_hour = 1800.0;
    /// let minute = 60_000_000_000;
    /// assert_eq!(Averaging::new(30 * minute, half_an_hour).passed, 0.0);
    /// let averaging = Averaging::new(15 * minute, half_an_hour);
    /// assert_eq!(averaging.passed, 0.5);
    /// assert_eq!(averaging.variance_years, 5.0 * minute as f64 / YEAR_NS);
    /// ```
    #[must_use]
    pub fn new(remaining_ns: u64, window_seconds: f64) -> Self {
        let (remaining, window) = (remaining_ns as f64, window_seconds * 1e9);
        if remaining >= window {
            // Most have no window, and a division by 3 would take as long as all else here.
            let uncertain = if window == 0.0 {
                remaining
            } else {
                remaining - window + window / 3.0
            };
            return Self {
                passed: 0.0,
                variance_years: uncertain / YEAR_NS,
            };
        }
        Self {
            passed: (window - remaining) / window,
            variance_years: remaining / 3.0 / YEAR_NS,
        }
    }

    /// The part of the settlement price that is still open: what a move of the underlying moves.
    #[must_use]
    pub fn open(self) -> f64 {
        1.0 - self.passed
    }

    /// The strike of an option on the mean of the observations to come; may be negative.
    #[must_use]
    pub fn strike(self, strike: f64, average: f64) -> f64 {
        if self.passed == 0.0 {
            return strike;
        }
        (strike - self.passed * average) / self.open()
    }
}
