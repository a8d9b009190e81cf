//! Who is liquidatable, who is near it, and who changed sides.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::judge::Verdict;
use crate::book::Book;
use crate::kernel::{Row, fetch, result};
use crate::report::{Evaluated, margin_ratio};

/// Margin ratios at which accounts are told of before they are liquidatable: ascending, above 0 and below 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AlertLevels(pub(crate) Vec<f64>);

impl AlertLevels {
    /// How many of them a result row has reached.
    pub(crate) fn reached(&self, row: &Row) -> u8 {
        let ratio = margin_ratio(row);
        self.0.partition_point(|&level| level <= ratio) as u8
    }
}

/// Who was judged how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    levels: AlertLevels,
    /// By account: whether its pool is liquidatable.
    pools: Vec<bool>,
    /// Liquidatable positions that stand alone: account and instrument.
    positions: BTreeSet<(u32, u32)>,
    /// By account: how many alert levels its pool has reached; nothing if none are watched.
    alerts: Vec<u8>,
    /// The same of positions that stand alone, where it is any.
    position_alerts: BTreeMap<(u32, u32), u8>,
}

/// Accounts that changed sides, in the order in which they did; drained by who asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) fallen: Vec<u32>,
    pub(crate) recovered: Vec<u32>,
    /// With the number of alert levels that are reached now.
    pub(crate) alerted: Vec<(u32, u8)>,
}

impl Standing {
    /// Nobody's, watched at so many levels.
    pub(crate) fn new(levels: AlertLevels) -> Self {
        Self {
            levels,
            ..Self::default()
        }
    }

    /// Everybody's, as they were evaluated.
    pub(crate) fn of(levels: &AlertLevels, book: &Book, evaluated: &Evaluated) -> Self {
        let health = |signs: u8| signs >> result::HEALTH & 1 == 1;
        let pools = evaluated.pools.signs().iter();
        let mut standing = Self {
            pools: pools.map(|&signs| health(signs)).collect(),
            ..Self::new(levels.clone())
        };
        let isolated = evaluated.isolated.rows().iter();
        let isolated = isolated.zip(evaluated.isolated.signs());
        for (position, (row, &signs)) in evaluated.positions.iter().zip(isolated) {
            let held = book.holdings(position.account as usize).instrument;
            let place = (position.account, held[position.position as usize]);
            if health(signs) {
                standing.positions.insert(place);
            }
            if !levels.0.is_empty() {
                standing.set_position_alert(place, levels.reached(row));
            }
        }
        if !levels.0.is_empty() {
            let pools = evaluated.pools.rows().iter();
            standing.alerts = pools.map(|row| levels.reached(row)).collect();
        }
        standing
    }

    /// Accounts of which something is liquidatable, ascending.
    pub(crate) fn accounts(&self) -> Vec<u32> {
        let pools = (0u32..).zip(&self.pools).filter(|(_, down)| **down);
        let alone = self.positions.iter().map(|(account, _)| *account);
        ascending(pools.map(|(account, _)| account).chain(alone))
    }

    pub(crate) fn levels(&self) -> &AlertLevels {
        &self.levels
    }

    pub(crate) fn pools(&self) -> &[bool] {
        &self.pools
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = (u32, u32)> {
        self.positions.iter().copied()
    }

    /// Those of some accounts.
    pub(crate) fn positions_of(&self, accounts: Range<u32>) -> impl Iterator<Item = (u32, u32)> {
        self.positions.range(places_of(accounts)).copied()
    }

    /// How many alert levels a pool has reached; there must be some.
    pub(crate) fn pool_alert(&self, account: usize) -> u8 {
        self.alerts[account]
    }

    /// The same of positions that stand alone, of some accounts.
    pub(crate) fn position_alerts_of(
        &self,
        accounts: Range<u32>,
    ) -> impl Iterator<Item = ((u32, u32), u8)> {
        let alerts = self.position_alerts.range(places_of(accounts));
        alerts.map(|(&place, &alert)| (place, alert))
    }

    /// Accounts of which something has reached so many alert levels, ascending.
    pub(crate) fn alerted(&self, reached: u8) -> Vec<u32> {
        let pools = (0u32..).zip(&self.alerts);
        let pools = pools.filter(|(_, alert)| **alert >= reached);
        let alone = self.position_alerts.iter();
        let alone = alone.filter(|(_, alert)| **alert >= reached);
        let alone = alone.map(|((account, _), _)| *account);
        ascending(pools.map(|(account, _)| account).chain(alone))
    }

    /// What is noted of alerts.
    pub(crate) fn alerts(&self) -> impl Iterator<Item = i128> {
        let positions = self.position_alerts.iter();
        let positions = positions.flat_map(|((account, instrument), alert)| {
            [(*account).into(), (*instrument).into(), (*alert).into()]
        });
        self.alerts
            .iter()
            .map(|&alert| alert.into())
            .chain(positions)
    }

    /// Makes room for accounts that came.
    pub(crate) fn grow(&mut self, accounts: usize) {
        self.pools.resize(accounts, false);
        if !self.levels.0.is_empty() {
            self.alerts.resize(accounts, 0);
        }
    }

    fn set_position_alert(&mut self, place: (u32, u32), alert: u8) -> u8 {
        let before = if alert > 0 {
            self.position_alerts.insert(place, alert)
        } else {
            self.position_alerts.remove(&place)
        };
        before.unwrap_or(0)
    }

    /// Asks for where accounts are noted.
    pub(crate) fn fetch(&self, accounts: &[u32]) {
        for &account in accounts {
            fetch(&self.pools[account as usize]);
        }
    }

    /// Whether an account that did not change since it was noted is all one pool and stands as it did.
    pub(crate) fn is_noted(&self, account: u32, verdicts: &[Verdict]) -> bool {
        let [pool] = verdicts else {
            return false;
        };
        let account = account as usize;
        let is_near = || self.levels.reached(&pool.row) != self.alerts[account];
        pool.is_liquidatable() == self.pools[account] && (self.levels.0.is_empty() || !is_near())
    }

    /// Notes how an account was judged.
    pub(crate) fn note(&mut self, account: u32, verdicts: &[Verdict], changes: &mut Changes) {
        let (mut fell, mut recovered, mut alerted) = (false, false, 0);
        for verdict in verdicts {
            let now = verdict.is_liquidatable();
            let before = match verdict.instrument {
                None => std::mem::replace(&mut self.pools[account as usize], now),
                Some(instrument) if now => !self.positions.insert((account, instrument)),
                Some(instrument) => self.positions.remove(&(account, instrument)),
            };
            fell |= now && !before;
            recovered |= before && !now;
            if !self.levels.0.is_empty() {
                let alert = self.levels.reached(&verdict.row);
                let before = match verdict.instrument {
                    None => std::mem::replace(&mut self.alerts[account as usize], alert),
                    Some(instrument) => self.set_position_alert((account, instrument), alert),
                };
                if alert > before {
                    alerted = alerted.max(alert);
                }
            }
        }
        recovered |= self.forget_closed(account, verdicts);
        if fell {
            changes.fallen.push(account);
        }
        if recovered {
            changes.recovered.push(account);
        }
        if alerted > 0 {
            changes.alerted.push((account, alerted));
        }
    }

    /// Forgets positions that do not stand alone any more; says whether one of them was liquidatable.
    fn forget_closed(&mut self, account: u32, verdicts: &[Verdict]) -> bool {
        if self.positions.is_empty() && self.position_alerts.is_empty() {
            return false;
        }
        let mine = (account, 0)..=(account, u32::MAX);
        let closed = |instrument: u32| {
            let judged = |verdict: &Verdict| verdict.instrument == Some(instrument);
            !verdicts.iter().any(judged)
        };
        let down = self.positions.range(mine.clone()).copied();
        let down: Vec<(u32, u32)> = down.filter(|place| closed(place.1)).collect();
        down.iter()
            .for_each(|place| _ = self.positions.remove(place));
        let near = self.position_alerts.range(mine).map(|(place, _)| *place);
        let near: Vec<(u32, u32)> = near.filter(|place| closed(place.1)).collect();
        near.iter()
            .for_each(|place| _ = self.position_alerts.remove(place));
        !down.is_empty()
    }

    /// Takes over how everybody stands now, and notes who changed sides, by account.
    pub(crate) fn replace(&mut self, now: Self, changes: &mut Changes) {
        let before = std::mem::replace(self, now);
        let mut fallen: BTreeSet<u32> = BTreeSet::new();
        let (mut recovered, mut alerted) = (BTreeSet::new(), BTreeMap::new());
        for (account, (now, before)) in (0u32..).zip(self.pools.iter().zip(&before.pools)) {
            if *now && !before {
                fallen.insert(account);
            } else if *before && !now {
                recovered.insert(account);
            }
        }
        let accounts = |(account, _): &(u32, u32)| *account;
        fallen.extend(self.positions.difference(&before.positions).map(accounts));
        recovered.extend(before.positions.difference(&self.positions).map(accounts));
        let pools = (0u32..).zip(self.alerts.iter().zip(&before.alerts));
        let pools = pools.map(|(account, (now, before))| (account, *now, *before));
        let alone = self.position_alerts.iter().map(|(place, now)| {
            let before = before.position_alerts.get(place).copied();
            (place.0, *now, before.unwrap_or(0))
        });
        for (account, now, before) in pools.chain(alone) {
            if now > before {
                let alert = alerted.entry(account).or_insert(now);
                *alert = now.max(*alert);
            }
        }
        changes.fallen.extend(fallen);
        changes.recovered.extend(recovered);
        changes.alerted.extend(alerted);
    }
}

/// All places of positions of some accounts.
fn places_of(accounts: Range<u32>) -> Range<(u32, u32)> {
    (accounts.start, 0)..(accounts.end, 0)
}

fn ascending(accounts: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut accounts: Vec<u32> = accounts.collect();
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}
