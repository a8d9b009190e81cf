//! What an account may cross next, and how far it is from that.

use super::boxes::{Aim, Mode};
use super::judge::Verdict;
use super::standing::AlertLevels;
use crate::kernel::{Row, column, result};

/// What an account may cross next: upwards, and downwards if it has reached an alert level.
pub(crate) fn aims((verdict, bound): (&Verdict, f64), alerts: &AlertLevels) -> (Aim, Option<Aim>) {
    let aim = |mode: Mode, share: f64| Aim {
        mode,
        share,
        slack: slack(&verdict.row, bound, share),
    };
    if verdict.is_liquidatable() {
        return (aim(Mode::Recovers, 1.0), None);
    }
    let reached = alerts.reached(&verdict.row) as usize;
    let next = alerts.0.get(reached).copied().unwrap_or(1.0);
    let last = reached.checked_sub(1).map(|last| alerts.0[last]);
    let recovers = last.map(|level| aim(Mode::Recovers, level));
    (aim(Mode::Falls, next), recovers)
}

/// How far health provably is from 0, with so much of the assets, if each figure can be off by `bound`.
fn slack(Row(figures): &Row, bound: f64, share: f64) -> f64 {
    let slack = if share == 1.0 {
        figures[result::HEALTH].abs() - 2.0 * bound
    } else {
        let debts = figures[column::DEBTS];
        let (assets, needed) = (
            figures[result::COLLATERAL] + debts,
            figures[column::MAINTENANCE_MARGIN] + debts,
        );
        // Each of the sums, and the ratio that is compared, is rounded.
        let blur = 8.0 * f64::EPSILON * (assets.abs() + needed.abs());
        (share * assets - needed).abs() - 4.0 * bound - blur
    };
    slack.max(0.0)
}
