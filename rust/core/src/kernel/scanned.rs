//! The worst of few scenarios on the way: while the legs of an account are summed, so are their losses.
//!
//! Where an account is one unit whatever it is grouped by, its legs are read once instead of twice.

use super::few::worst_of;
use super::lanes::Lanes;
use super::legs::{SumLegs, Summed};
use super::losses::LossTable;
use super::scenarios::{NO_SCENARIO, positive};
use super::{Row, RowId, Simd, column, zero_rows};

/// Lines of losses that a wide table may have.
const MOST_LANES: usize = 5;

/// A block's table with the losses of every leg beside its figures: one line of figures and `lanes` of losses a row.
#[derive(Clone, Debug)]
pub struct WideTable {
    rows: Vec<Row>,
    lanes: usize,
    scenarios: usize,
}

impl WideTable {
    /// Whether one pass with the losses of a table is quicker than two, as measured: sums of two units have to fit into
    /// registers, and balances, which lose nothing in any scenario, are read with all of it.
    #[must_use]
    pub fn pays(simd: Simd, losses: &LossTable) -> bool {
        let most = match simd {
            Simd::Avx512 => MOST_LANES,
            Simd::Avx2 => 2,
            Simd::Scalar => 0,
        };
        losses.lanes <= most
    }

    /// Rows that are all 0, for the scenarios of a table of losses.
    ///
    /// # Panics
    /// If there are more scenarios than 40.
    #[must_use]
    pub fn new(rows: usize, losses: &LossTable) -> Self {
        assert!((1..=MOST_LANES).contains(&losses.lanes), "few scenarios");
        Self {
            rows: zero_rows(rows * (1 + losses.lanes)),
            lanes: losses.lanes,
            scenarios: losses.scenarios,
        }
    }

    /// Sets the figures of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn set_figures(&mut self, row: usize, figures: &Row) {
        self.rows[row * (1 + self.lanes)] = *figures;
    }

    /// Sets the losses of a row to those of row `from` of the table of losses. The bound among the row's figures must be at
    /// least theirs: it tells whether sums of losses are numbers.
    ///
    /// # Panics
    /// If there is no such row in one of them, or the scenarios are not those of [`WideTable::new`].
    pub fn set_losses(&mut self, row: usize, losses: &LossTable, from: usize) {
        assert_eq!(losses.scenarios, self.scenarios, "scenarios");
        let width = 1 + self.lanes;
        let mine = &mut self.rows[row * width + 1..(row + 1) * width];
        mine.copy_from_slice(&losses.rows[from * width + 1..(from + 1) * width]);
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len() / (1 + self.lanes)
    }

    /// Lines of losses in each.
    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }
}

/// Sums figures and the losses in `8 N` scenarios at most.
#[derive(Clone, Copy)]
pub(super) struct Scanned<'a, L, const N: usize> {
    table: &'a WideTable,
    operand_mask: L,
    /// What is charged for a loss of 1.
    charged: L,
}

/// Sums of a unit.
#[derive(Clone, Copy)]
struct UnitSums<L, const N: usize> {
    figures: L,
    losses: [L; N],
}

impl<'a, L: Lanes, const N: usize> Scanned<'a, L, N> {
    #[inline(always)]
    pub(super) fn new(table: &'a WideTable, charged: L) -> Self {
        assert_eq!(table.lanes, N, "lines of losses");
        Self {
            table,
            operand_mask: L::operand_mask(&column::ABSOLUTE),
            charged,
        }
    }

    /// Adds a leg.
    ///
    /// # Safety
    /// The row is a row of the table.
    #[inline(always)]
    unsafe fn add<R: RowId>(self, row: R, quantity: f64, sums: &mut UnitSums<L, N>) {
        let place = row.index() * (1 + N);
        // SAFETY: the caller's promise.
        let row = unsafe { self.table.rows.get_unchecked(place..place + 1 + N) };
        let (figures, losses) = row.split_first().expect("a row of figures");
        let quantity = L::splat(quantity);
        let operand = quantity.and(self.operand_mask);
        sums.figures = operand.mul_add(L::load(figures), sums.figures);
        for (sum, losses) in sums.losses.iter_mut().zip(losses) {
            *sum = quantity.mul_add(L::load(losses), *sum);
        }
    }

    /// Finds the worst scenario of a unit.
    #[inline(always)]
    fn worst(self, UnitSums { figures, losses }: UnitSums<L, N>) -> Summed<L> {
        // Bounds of figures add to those of losses, and make the check stricter.
        let bound = figures.to_row().0[column::BOUND];
        let (loss, worst) = worst_of(losses, bound, self.table.scenarios);
        let worst = if loss > 0.0 { worst } else { NO_SCENARIO };
        Summed {
            figures,
            charged: L::splat(positive(loss)).mul_add(self.charged, L::zero()),
            // As bits: none is -1.
            worst: worst as i32,
        }
    }
}

impl<L: Lanes, const N: usize> UnitSums<L, N> {
    #[inline(always)]
    fn nothing() -> Self {
        Self {
            figures: L::zero(),
            losses: [L::zero(); N],
        }
    }
}

impl<L: Lanes, R: RowId, const N: usize> SumLegs<L, R> for Scanned<'_, L, N> {
    #[inline(always)]
    unsafe fn one(self, rows: &[R], quantities: &[f64]) -> Summed<L> {
        let mut sums = UnitSums::nothing();
        for (row, &quantity) in rows.iter().zip(quantities) {
            // SAFETY: the caller's promise.
            unsafe { self.add(*row, quantity, &mut sums) };
        }
        self.worst(sums)
    }

    #[inline(always)]
    unsafe fn pair(self, rows: &[R], quantities: &[f64]) -> (Summed<L>, Summed<L>) {
        let slots = rows.len() / 2;
        let (first_rows, second_rows) = rows.split_at(slots);
        let (first, second) = quantities.split_at(slots);
        let (mut one, mut other) = (UnitSums::nothing(), UnitSums::nothing());
        let rows = first_rows.iter().zip(second_rows);
        for ((&row, &other_row), (&quantity, &other_quantity)) in rows.zip(first.iter().zip(second))
        {
            // SAFETY: the caller's promise.
            unsafe {
                self.add(row, quantity, &mut one);
                self.add(other_row, other_quantity, &mut other);
            }
        }
        (self.worst(one), self.worst(other))
    }
}
