//! What the rows of a table were last made of: where a market still says the same, so do the rows.

use std::mem::replace;

use super::RiskModel;
use crate::market::Market;
use crate::universe::Universe;

/// Figures of which rows are made, in `N` columns, as they were when the rows were last made.
#[derive(Clone, Debug)]
struct Figures<const N: usize> {
    columns: [Vec<f64>; N],
    /// Which rows have been made of them.
    is_made: Vec<bool>,
}

/// Figures of rows that follow one another.
#[derive(Debug)]
struct FigureRows<'a, const N: usize> {
    columns: [&'a mut [f64]; N],
    is_made: &'a mut [bool],
}

impl<const N: usize> Figures<N> {
    /// Nothing has been made yet.
    fn new(rows: usize) -> Self {
        Self {
            columns: std::array::from_fn(|_| vec![f64::NAN; rows]),
            is_made: vec![false; rows],
        }
    }

    fn rows_mut(&mut self) -> FigureRows<'_, N> {
        FigureRows {
            columns: self.columns.each_mut().map(Vec::as_mut_slice),
            is_made: &mut self.is_made,
        }
    }

    /// Takes over the figures of now, and says of each row whether they are others.
    fn replace(&mut self, now: [&[f64]; N]) -> Vec<bool> {
        let mut rows = self.rows_mut();
        rows.update(now);
        (0..rows.is_made.len()).map(|row| rows.make(row)).collect()
    }
}

impl<'a, const N: usize> FigureRows<'a, N> {
    /// Takes the first `count` rows away.
    fn take_rows(&mut self, count: usize) -> Self {
        let columns = self.columns.each_mut();
        Self {
            columns: columns.map(|column| column.split_off_mut(..count).expect("rows are left")),
            is_made: self.is_made.split_off_mut(..count).expect("rows are left"),
        }
    }

    /// Takes over the figures of now: what has been made of others is to be made anew.
    fn update(&mut self, now: [&[f64]; N]) {
        for (column, now) in self.columns.iter_mut().zip(now) {
            // Bits, because what is not known is not equal to itself.
            let before: &[u64] = bytemuck::cast_slice(column);
            let after: &[u64] = bytemuck::cast_slice(now);
            if before == after {
                continue;
            }
            let rows = column.iter_mut().zip(now).zip(&mut *self.is_made);
            for ((figure, now), is_made) in rows {
                *is_made &= figure.to_bits() == now.to_bits();
                *figure = *now;
            }
        }
    }

    /// Whether a row is to be made; from now on it has been.
    fn make(&mut self, row: usize) -> bool {
        !replace(&mut self.is_made[row], true)
    }
}

/// All of a market that rows of instruments and assets depend on.
#[derive(Clone, Debug)]
pub(super) struct MadeOf {
    instruments: Figures<5>,
    assets: Figures<3>,
    /// By slot.
    index_price: Figures<1>,
    /// By asset.
    discount_rate: Figures<1>,
    time: Option<i64>,
}

/// The same of instruments that follow one another.
#[derive(Debug)]
pub(super) struct InstrumentsMadeOf<'a> {
    first: usize,
    rows: FigureRows<'a, 5>,
}

/// What has moved of that which many instruments share.
#[derive(Debug)]
pub(super) struct Moved {
    any: bool,
    /// By slot.
    index_price: Vec<bool>,
    /// By asset.
    discount_rate: Vec<bool>,
    time: bool,
}

impl MadeOf {
    pub(super) fn nothing(universe: &Universe) -> Self {
        let assets = universe.assets().len();
        Self {
            instruments: Figures::new(universe.specs().len()),
            assets: Figures::new(assets),
            index_price: Figures::new(universe.index_count()),
            discount_rate: Figures::new(assets),
            time: None,
        }
    }

    /// Takes over what many instruments share; whoever does has to [`InstrumentsMadeOf::update`] all instruments, too.
    pub(super) fn update(&mut self, market: &Market) -> Moved {
        let index_price = self.index_price.replace([market.index_price().floats()]);
        let discount_rate = market.discount_rate().floats();
        let discount_rate = self.discount_rate.replace([discount_rate]);
        let time = replace(&mut self.time, market.time()) != market.time();
        let is_moved = |moved: &bool| *moved;
        Moved {
            any: time || index_price.iter().chain(&discount_rate).any(is_moved),
            index_price,
            discount_rate,
            time,
        }
    }

    /// Assets whose rows are to be made; from now on they have been.
    pub(super) fn assets_to_make(&mut self, market: &Market) -> Vec<usize> {
        let assets = self.assets.columns[0].len();
        let now = [
            &market.index_price().floats()[..assets],
            market.deposit_index().floats(),
            market.borrow_index().floats(),
        ];
        let moved = self.assets.replace(now);
        (0..assets).filter(|&asset| moved[asset]).collect()
    }

    pub(super) fn instruments(&mut self) -> InstrumentsMadeOf<'_> {
        InstrumentsMadeOf {
            first: 0,
            rows: self.instruments.rows_mut(),
        }
    }
}

impl InstrumentsMadeOf<'_> {
    /// Takes the first `count` away.
    pub(super) fn take_rows(&mut self, count: usize) -> Self {
        let first = self.first;
        self.first += count;
        Self {
            first,
            rows: self.rows.take_rows(count),
        }
    }

    /// Takes over the figures of now.
    pub(super) fn update(&mut self, model: &RiskModel, market: &Market, moved: &Moved) {
        let (first, count) = (self.first, self.rows.is_made.len());
        let now = [
            market.mark_price(),
            market.cumulative_funding(),
            market.implied_volatility(),
            market.forward(),
            market.settlement_average(),
        ];
        self.rows
            .update(now.map(|column| &column.floats()[first..first + count]));
        if !moved.any {
            return;
        }
        let universe = model.universe();
        let specs = &universe.specs()[first..first + count];
        for (spec, is_made) in specs.iter().zip(&mut *self.rows.is_made) {
            let settlement = spec.settlement as usize;
            let follows_time = spec.is_option() || spec.settlement_average != 0.0;
            let is_moved = moved.index_price[settlement]
                || moved.index_price[universe.underlying_slot(spec.underlying)]
                || moved.discount_rate[settlement]
                || (moved.time && follows_time);
            *is_made &= !is_moved;
        }
    }

    /// Whether the rows of an instrument are to be made; from now on they have been.
    pub(super) fn make(&mut self, instrument: usize) -> bool {
        self.rows.make(instrument - self.first)
    }
}
