//! Isolated margin: the pool shared out among the positions for which nothing was posted, pro rata to initial margin.
//!
//! A second pass over accounts, because a position's share depends on the other positions' margin at this market.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::book::BLOCK;
use crate::buffer::ResultRows;
use crate::error::Result;
use crate::exact::{Number, Rational, nearest_signed};
use crate::kernel::{BlockResults, Row, RuleTable, column, result};
use crate::layout::{IsolatedPosition, Layout};
use crate::pool::{self, Stop};
use crate::settle::{Settlement, Subject, signs_of};
use crate::table::{LegKind, Rows, Table};
use crate::units::{AccountUnits, Key, Leg, Reader};
use crate::universe::Universe;

/// Columns in which a position has its part of the pool, and the pool's column that it is a part of.
const SHARED: [(usize, usize); 6] = [
    (column::EQUITY, column::EQUITY),
    (result::COLLATERAL, result::COLLATERAL),
    (column::INITIAL_COLLATERAL, column::INITIAL_COLLATERAL),
    (column::DEBTS, column::DEBTS),
    (result::HEALTH, result::COLLATERAL),
    (result::INITIAL_HEALTH, column::INITIAL_COLLATERAL),
];

/// Columns whose sign decides something.
const DECISIVE: [usize; 3] = [column::EQUITY, result::HEALTH, result::INITIAL_HEALTH];

/// Gives the pool of every account to its positions; `pools` keep what nobody needs.
///
/// # Errors
/// [`Error::Interrupted`](crate::Error::Interrupted).
pub(crate) fn share_out(
    settlement: Settlement<'_>,
    layout: &Layout,
    table: &Table,
    (pools, isolated): (&mut ResultRows, &mut ResultRows),
    stop: Stop<'_>,
) -> Result<()> {
    let accounts = settlement.book.accounts().len();
    let ends = (0..layout.isolated_ends.len()).map(|block| ((block + 1) * BLOCK).min(accounts));
    let isolated_ends = layout.isolated_ends.iter().copied();
    let rises_from_0 = rises_from_0(settlement.book.universe(), layout, table);
    let before = isolated.exact();
    let exact = AtomicUsize::new(0);
    let share =
        |((start, mut pools), (first, mut rows)): ((usize, _), (usize, BlockResults<'_>))| {
            let sharing = Sharing {
                settlement,
                table,
                rises_from_0,
                start,
                positions: &layout.isolated[first..first + rows.rows.len()],
            };
            exact.fetch_add(sharing.run(&mut pools, &mut rows), Ordering::Relaxed);
        };
    let blocks = pools
        .blocks_mut(ends)
        .zip(isolated.blocks_mut(isolated_ends));
    pool::for_each(blocks, share, stop)?;
    isolated.set_exact(before + exact.into_inner());
    Ok(())
}

/// Whether some position is free of initial margin up to a size, so that what is just above it may need next to nothing.
fn rises_from_0(universe: &Universe, layout: &Layout, table: &Table) -> bool {
    let kinds = Rows::of(universe);
    let rises = |rules: &RuleTable, row: usize| {
        let position = matches!(
            kinds.kind(row),
            Some(LegKind::Position(_) | LegKind::Exposure(_))
        );
        position && table.rows[row].0[column::INITIAL_MARGIN] == 0.0 && rules.legs.has(row)
    };
    let mut rows = layout.used.rows.iter();
    table
        .rules
        .as_ref()
        .is_some_and(|rules| rows.any(|&row| rises(rules, row)))
}

/// One block of accounts and its positions.
struct Sharing<'a> {
    settlement: Settlement<'a>,
    table: &'a Table,
    /// See [`rises_from_0`].
    rises_from_0: bool,
    /// Number of the first account.
    start: usize,
    positions: &'a [IsolatedPosition],
}

impl Sharing<'_> {
    /// Shares out every pool of the block; returns how many positions were decided in exact numbers.
    fn run(&self, pools: &mut BlockResults<'_>, isolated: &mut BlockResults<'_>) -> usize {
        let mut exact = 0;
        let mut end = 0;
        for mine in self.positions.chunk_by(|a, b| a.account == b.account) {
            let first = end;
            end += mine.len();
            let account = mine[0].account as usize;
            let holdings = self.settlement.book.holdings(account);
            let needs: Vec<usize> = (0..mine.len())
                .filter(|&at| !holdings.is_isolated(mine[at].position as usize))
                .collect();
            if needs.is_empty() {
                continue;
            }
            let slot = account - self.start;
            let mut pool = pools.rows[slot].0;
            let mut shared: Vec<[f64; 8]> = needs
                .iter()
                .map(|&at| isolated.rows[first + at].0)
                .collect();
            let initial: Vec<f64> = shared
                .iter()
                .map(|row| row[column::INITIAL_MARGIN])
                .collect();
            let before = pool;
            let given = share(&mut pool, &mut shared);
            let judged = self.judge(account, mine, &needs, &initial, (&before, &shared));
            if !given && !judged.needs_anything_in_doubt {
                continue;
            }
            let mut signs: Vec<u8> = shared.iter().map(signs_of).collect();
            let mut pool_signs = signs_of(&pool);
            let pool_in_doubt = judged.needs_anything_in_doubt
                || judged.orders_are_near && pool[column::INITIAL_MARGIN] <= judged.pool;
            if pool_in_doubt || judged.near.contains(&true) {
                let (exact_pool, exactly) = self.exactly(account, mine, &needs);
                for (at, exactly) in exactly.into_iter().enumerate() {
                    if judged.needs_anything_in_doubt || judged.near[at] {
                        (shared[at], signs[at]) = exactly;
                        exact += 1;
                    }
                }
                if pool_in_doubt {
                    (pool, pool_signs) = exact_pool;
                    exact += 1;
                }
            }
            (pools.rows[slot], pools.signs[slot]) = (Row(pool), pool_signs);
            for ((at, row), signs) in needs.into_iter().zip(shared).zip(signs) {
                (isolated.rows[first + at], isolated.signs[first + at]) = (Row(row), signs);
            }
        }
        exact
    }

    /// What of an account's shared figures is not proven.
    fn judge(
        &self,
        account: usize,
        mine: &[IsolatedPosition],
        needs: &[usize],
        initial: &[f64],
        (pool_row, shared): (&[f64; 8], &[[f64; 8]]),
    ) -> Judged {
        let Settlement { book, key, .. } = self.settlement;
        let reader = Reader::new(book.universe(), key);
        let holdings = book.holdings(account);
        let mut units = AccountUnits::default();
        units.read(reader, holdings);
        // As many more roundings as there are shares.
        let more = 2.0 + needs.len() as f64;
        let pool = self.bound(&units);
        let total: f64 = initial.iter().sum();
        // Margin of positions is 0 or it is not; only orders, and brackets above one that is free, can make it so small
        // that rounding hides it.
        let ordered = !holdings.order_instrument.is_empty();
        let mut may_hide = false;
        let given: f64 = SHARED.iter().map(|&(_, from)| pool_row[from].abs()).sum();
        let (mut near, mut bounds) = (Vec::with_capacity(needs.len()), 0.0);
        for ((&at, &initial), row) in needs.iter().zip(initial).zip(shared) {
            units.read_position(reader, holdings, mine[at].position as usize);
            let own = self.bound(&units);
            bounds += own;
            let hides = ordered || self.rises_from_0 && self.is_near_a_threshold(&units);
            may_hide |= hides;
            let mut bound = more * (pool * (initial / total) + own);
            if total > 0.0 && (ordered || self.rises_from_0) {
                // Margin that is small by cancellation has an error that moves the share.
                bound += more * (own / total) * given;
            }
            let within = |&column: &usize| row[column].abs() < bound || bound.is_nan();
            // What surely needs no margin is given nothing, and was decided before.
            let may_share = initial > 0.0 || hides && own > 0.0;
            near.push(may_share && DECISIVE.iter().any(within));
        }
        Judged {
            near,
            needs_anything_in_doubt: may_hide && bounds > 0.0 && total <= more * bounds,
            orders_are_near: ordered && pool > 0.0,
            pool: more * pool,
        }
    }

    /// Whether rounding may have moved a leg across a threshold.
    fn is_near_a_threshold(&self, units: &AccountUnits<f64>) -> bool {
        let rules = self.table.rules.as_ref();
        rules.is_some_and(|rules| {
            let near = |leg: &Leg<f64>| rules.legs.is_near(leg.row, leg.quantity.abs());
            units.legs().iter().any(near)
        })
    }

    /// How far figures of these units can be from exact arithmetic, at most.
    fn bound(&self, units: &AccountUnits<f64>) -> f64 {
        let (mut bound, mut charged) = (0.0, 0.0);
        for unit in units.units() {
            for leg in unit.legs {
                bound += leg.quantity.abs() * self.table.rows[leg.row].0[column::BOUND];
            }
            for exposure in unit.exposures {
                let rules = self.table.rules.as_ref().expect("there are exposures");
                if let Some(curve) = &rules.curves[exposure.instrument] {
                    charged += curve.margin(&exposure.quantity, &units.least_rate);
                }
                let mark = &rules.marks[exposure.instrument];
                for order in &exposure.orders {
                    let parts = order.value.abs() + mark.value.abs();
                    charged += order.quantity.abs() * parts * mark.price;
                }
            }
        }
        bound + charged * self.table.error_factor
    }

    /// The pool's row and the shared rows, with their signs, correctly rounded.
    fn exactly(
        &self,
        account: usize,
        mine: &[IsolatedPosition],
        needs: &[usize],
    ) -> (Rounded, Vec<Rounded>) {
        let settle = |subject: Subject| {
            let settled = self.settlement.settle::<Rational>(subject, false);
            settled.expect("prices and parameters were checked").row
        };
        let mut pool = settle(Subject {
            account,
            position: None,
        });
        let mut shared: Vec<[Rational; 8]> =
            needs.iter().map(|&at| settle(mine[at].into())).collect();
        share(&mut pool, &mut shared);
        let rounded = |row: &[Rational; 8]| {
            let figures = std::array::from_fn(|column| nearest_signed(&row[column]));
            (figures, signs_of(row))
        };
        (rounded(&pool), shared.iter().map(rounded).collect())
    }
}

/// A row, correctly rounded, and its signs.
type Rounded = ([f64; 8], u8);

/// What rounding may have decided.
struct Judged {
    /// For each position, whether one of its figures.
    near: Vec<bool>,
    /// Whether it is that anything is shared at all.
    needs_anything_in_doubt: bool,
    /// Whether orders that stay with the pool may need margin, though they seem to need none.
    orders_are_near: bool,
    /// How far figures of the pool can be from exact arithmetic.
    pool: f64,
}

/// What becomes of an account's pool where positions stand alone.
pub(crate) enum PoolUse {
    /// It stays where it is.
    Kept,
    /// All of it goes to positions.
    Gives,
    /// A position gets this much, as a result row.
    Gets(Box<[Rational; 8]>),
}

/// What sharing does to an account's pool or to a position, exactly.
///
/// # Errors
/// As [`Settlement::settle`].
pub(crate) fn pool_use(settlement: &Settlement<'_>, subject: Subject) -> Result<PoolUse> {
    let holdings = settlement.book.holdings(subject.account);
    let posted = |position| holdings.is_isolated(position);
    if settlement.key != Key::Position || subject.position.is_some_and(posted) {
        return Ok(PoolUse::Kept);
    }
    let settle = |position| {
        let subject = Subject {
            position,
            ..subject
        };
        Ok(settlement.settle::<Rational>(subject, false)?.row)
    };
    let needs = (0..holdings.instrument.len()).filter(|&position| !posted(position));
    let needs: Vec<usize> = needs.collect();
    let mut rows = needs
        .iter()
        .map(|&position| settle(Some(position)))
        .collect::<Result<Vec<[Rational; 8]>>>()?;
    let before = rows.clone();
    if !share(&mut settle(None)?, &mut rows) {
        return Ok(PoolUse::Kept);
    }
    let at = needs
        .iter()
        .position(|&position| Some(position) == subject.position);
    Ok(at.map_or(PoolUse::Gives, |at| {
        let share = |column: usize| &rows[at][column] - &before[at][column];
        PoolUse::Gets(Box::new(std::array::from_fn(share)))
    }))
}

/// Gives a pool to positions pro rata to their initial margin; false, and nothing changes, if they need none.
pub(crate) fn share<N: Number>(pool: &mut [N; 8], positions: &mut [[N; 8]]) -> bool {
    let zero = N::decimal(0.0);
    let initial = |row: &[N; 8]| row[column::INITIAL_MARGIN].clone();
    let total = positions
        .iter()
        .fold(zero.clone(), |total, row| total + initial(row));
    if total == zero {
        return false;
    }
    for row in positions {
        let part = initial(row) / total.clone();
        for (column, from) in SHARED {
            row[column] = part.mul_add(&pool[from], &row[column]);
        }
    }
    // Orders in instruments without a position stay, and are backed by nothing now.
    let orders = initial(pool);
    *pool = std::array::from_fn(|_| zero.clone());
    pool[result::INITIAL_HEALTH] = zero - orders.clone();
    pool[column::INITIAL_MARGIN] = orders;
    true
}
