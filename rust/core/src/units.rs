//! An account taken apart: legs grouped into units, and the exposures that initial margin is charged on.
//!
//! A *unit* is a group of an account's legs that are netted before anything non-linear happens. Balances whose sign
//! is known (no position settles in the asset) are linear and ride along with the account's first unit; each asset in
//! which positions settle makes one unit, its *home*. So most accounts are one unit; the others are folded. An
//! isolated position is a unit of its own that belongs to no account's row.

use crate::book::Holdings;
use crate::exact::{GivenSlice, Number, Rational};
use crate::kernel::Order;
use crate::table::{PositionRow, Rows};
use crate::universe::{Instrument, Universe};

/// An entry cost in f64 is off by at most this many times its own rounding: where entry values cancel further, the cost
/// is computed exactly. More would blur decisions, so that many are made in exact numbers; less would pack slowly.
pub(crate) const COST_CANCELLATION: f64 = 1_024.0;

/// Whether so many entry values cancel so far that rounding might show in their cost.
pub(crate) fn cancels(terms: usize, gross: f64, cost: f64) -> bool {
    terms as f64 * gross > COST_CANCELLATION * cost.abs() && gross > 0.0
}

/// What the legs of a layout are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Cross margin: positions by settlement asset, but for those that are isolated.
    SettlementAsset,
    /// Isolated margin: every position alone.
    Position,
}

/// One leg: a table row and a signed quantity.
#[derive(Clone, Debug)]
pub(crate) struct Leg<N> {
    pub(crate) row: usize,
    pub(crate) quantity: N,
}

/// What is netted in an asset in which positions settle.
#[derive(Clone, Debug)]
struct Entry<N> {
    asset: u32,
    /// Signed entry cost of the positions.
    cost: N,
    /// Sum of absolute entry values: what bounds the rounding error of the cost.
    gross: f64,
}

/// One unit of an account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit<'a, N> {
    /// 0 if nothing is netted, else asset + 1.
    pub(crate) home: usize,
    pub(crate) legs: &'a [Leg<N>],
    pub(crate) exposures: &'a [Exposure<N>],
}

/// An instrument's worst position with orders filled, and the orders.
#[derive(Clone, Debug)]
pub(crate) struct Exposure<N> {
    pub(crate) instrument: usize,
    /// What initial margin is charged on.
    pub(crate) quantity: N,
    /// Whether any is: not where an option is only bought.
    pub(crate) charged: bool,
    /// In canonical order: by price, then by quantity.
    pub(crate) orders: Vec<Order<N>>,
}

/// The units of one account, or one isolated position. In f64 for the layout, in exact numbers for decisions.
#[derive(Clone, Debug)]
pub(crate) struct AccountUnits<N> {
    legs: Vec<Leg<N>>,
    /// Where each unit's legs end; as many as entries, or one if there is none.
    ends: Vec<usize>,
    /// Ascending by asset.
    entries: Vec<Entry<N>>,
    /// All charged in the first unit, by legs or under a leverage cap.
    exposures: Vec<Exposure<N>>,
    /// 1 / leverage cap, or 0.
    pub(crate) least_rate: N,
}

/// Where an account's holdings are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) universe: &'a Universe,
    pub(crate) rows: Rows,
    pub(crate) key: Key,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(universe: &'a Universe, key: Key) -> Self {
        Self {
            universe,
            rows: Rows::of(universe),
            key,
        }
    }

    /// Whether a position is a unit of its own.
    pub(crate) fn stands_alone(self, holdings: Holdings<'_>, position: usize) -> bool {
        self.key == Key::Position || holdings.is_isolated(position)
    }

    fn spec(self, instrument: u32) -> &'a Instrument {
        &self.universe.specs()[instrument as usize]
    }
}

impl<N: Number> Default for AccountUnits<N> {
    fn default() -> Self {
        Self {
            legs: Vec::new(),
            ends: Vec::new(),
            entries: Vec::new(),
            exposures: Vec::new(),
            least_rate: N::decimal(0.0),
        }
    }
}

impl<N: Number> AccountUnits<N> {
    /// Takes the pool of an account apart; the former content is replaced.
    ///
    /// Legs come by ascending row: cash and cost of each asset, then instruments, in universe order.
    pub(crate) fn read(&mut self, reader: Reader<'_>, holdings: Holdings<'_>) {
        self.clear(holdings);
        let pooled = |position: usize| !reader.stands_alone(holdings, position);
        for position in 0..holdings.instrument.len() {
            if pooled(position) {
                self.add_entry(reader, holdings, position);
            }
        }
        self.entries.sort_unstable_by_key(|entry| entry.asset);
        self.refine_costs(reader, holdings, pooled);
        self.push_exposures(reader, holdings);
        if self.entries.is_empty() {
            self.push_balances(reader.rows, holdings, None);
            self.push_exposure_legs(reader.rows);
            self.ends.push(self.legs.len());
        }
        for unit in 0..self.entries.len() {
            let Entry {
                asset: home, cost, ..
            } = self.entries[unit].clone();
            if unit == 0 {
                self.push_balances(reader.rows, holdings, Some((home, cost)));
            } else {
                self.push_home(reader.rows, holdings, home, cost);
            }
            for position in 0..holdings.instrument.len() {
                let settlement = reader.spec(holdings.instrument[position]).settlement;
                if settlement == home && pooled(position) {
                    self.push_position(reader, holdings, position);
                }
            }
            if unit == 0 {
                self.push_exposure_legs(reader.rows);
            }
            self.ends.push(self.legs.len());
        }
    }

    /// Takes one isolated position apart; the former content is replaced.
    pub(crate) fn read_position(
        &mut self,
        reader: Reader<'_>,
        holdings: Holdings<'_>,
        position: usize,
    ) {
        self.clear(holdings);
        let instrument = holdings.instrument[position];
        let home = reader.spec(instrument).settlement;
        self.add_entry(reader, holdings, position);
        self.refine_costs(reader, holdings, |other| other == position);
        if holdings.is_isolated(position) {
            let margin = holdings.isolated_margin.expect("there is one");
            let row = reader.rows.isolated_margin(home as usize);
            self.push(row, N::given(margin.get(position)));
        }
        if self.entries.is_empty() {
            // A position of 0 contracts: what is posted for it is netted all the same.
            self.entries.push(Entry {
                asset: home,
                cost: N::decimal(0.0),
                gross: 0.0,
            });
        }
        let cost = self.entries[0].cost.clone();
        self.push(reader.rows.cost(home as usize), cost);
        self.push_position(reader, holdings, position);
        let quantity = N::given(holdings.quantity.get(position));
        self.push_exposure(reader, holdings, instrument, quantity);
        self.push_exposure_legs(reader.rows);
        self.ends.push(self.legs.len());
    }

    /// The units, the one with balances of known sign and all exposures first.
    pub(crate) fn units(&self) -> impl ExactSizeIterator<Item = Unit<'_, N>> {
        (0..self.ends.len()).map(|unit| {
            let start = if unit == 0 { 0 } else { self.ends[unit - 1] };
            let entry = self.entries.get(unit);
            Unit {
                home: entry.map_or(0, |entry| entry.asset as usize + 1),
                legs: &self.legs[start..self.ends[unit]],
                exposures: if unit == 0 { &self.exposures } else { &[] },
            }
        })
    }

    /// All legs, unit by unit.
    pub(crate) fn legs(&self) -> &[Leg<N>] {
        &self.legs
    }

    fn clear(&mut self, holdings: Holdings<'_>) {
        self.legs.clear();
        self.ends.clear();
        self.entries.clear();
        self.exposures.clear();
        self.least_rate = match holdings.leverage_cap {
            Some(cap) => N::decimal(1.0) / N::given(cap),
            None => N::decimal(0.0),
        };
    }

    /// Adds a leg of something held, unless it is nothing.
    fn push(&mut self, row: usize, quantity: N) {
        if quantity != N::decimal(0.0) {
            self.legs.push(Leg { row, quantity });
        }
    }

    /// Adds a position's entry cost, quantity x unit value at entry, to that of its settlement asset.
    fn add_entry(&mut self, reader: Reader<'_>, holdings: Holdings<'_>, position: usize) {
        let quantity = holdings.quantity.get(position);
        if quantity.float == 0.0 {
            return;
        }
        let spec = reader.spec(holdings.instrument[position]);
        let found = self
            .entries
            .iter()
            .position(|entry| entry.asset == spec.settlement);
        let at = found.unwrap_or_else(|| {
            self.entries.push(Entry {
                asset: spec.settlement,
                cost: N::decimal(0.0),
                gross: 0.0,
            });
            self.entries.len() - 1
        });
        let entry = &mut self.entries[at];
        let (mut unit_value, mut unit_gross) = (N::decimal(0.0), 0.0);
        if let Some(cost) = holdings.entry_cost {
            let cost = cost.get(position);
            entry.cost = entry.cost.clone() + N::given(cost);
            entry.gross += cost.float.abs();
        } else {
            let price = holdings.entry_price.get(position);
            unit_value = spec.price_value(N::given(price));
            unit_gross = spec.price_value(price.float).abs();
        }
        if let Some(funding) = holdings.entry_funding {
            let funding = funding.get(position);
            unit_value = unit_value - spec.funding_value(N::given(funding));
            unit_gross += spec.funding_value(funding.float).abs();
        }
        entry.cost = N::given(quantity).mul_add(&unit_value, &entry.cost);
        entry.gross += quantity.float.abs() * unit_gross;
    }

    /// Where entry values cancel so far that rounding might show in the cost: the exact cost, rounded once.
    ///
    /// So the error of a cost is bounded by the cost itself, and no unit has to carry the sum of its entries.
    fn refine_costs(
        &mut self,
        reader: Reader<'_>,
        holdings: Holdings<'_>,
        mine: impl Fn(usize) -> bool,
    ) {
        if N::EXACT {
            return;
        }
        let terms = holdings.instrument.len();
        let cancelled = |entry: &Entry<N>| cancels(terms, entry.gross, entry.cost.float());
        if !self.entries.iter().any(cancelled) {
            return;
        }
        let mut exact = AccountUnits::<Rational>::default();
        for position in 0..holdings.instrument.len() {
            if mine(position) {
                exact.add_entry(reader, holdings, position);
            }
        }
        for entry in self.entries.iter_mut().filter(|entry| cancelled(entry)) {
            let exact = exact
                .entries
                .iter()
                .find(|exact| exact.asset == entry.asset);
            entry.cost = N::decimal(exact.expect("the same assets").cost.float());
        }
    }

    fn push_position(&mut self, reader: Reader<'_>, holdings: Holdings<'_>, position: usize) {
        let instrument = holdings.instrument[position];
        let quantity = holdings.quantity.get(position);
        let row = reader.rows.position(PositionRow {
            instrument: instrument as usize,
            short_option: quantity.float < 0.0 && reader.spec(instrument).is_paid_up_front(),
            by_exposure: holdings.leverage_cap.is_some()
                || holdings.order_instrument.binary_search(&instrument).is_ok(),
        });
        self.push(row, N::given(quantity));
    }

    /// Balances of the first unit: those of known sign, and cash and cost of its home.
    fn push_balances(&mut self, rows: Rows, holdings: Holdings<'_>, home: Option<(u32, N)>) {
        let home_asset = home.as_ref().map(|(asset, _)| *asset);
        let mut cost = home;
        for (place, &asset) in holdings.asset.iter().enumerate() {
            let balance = holdings.balance.get(place);
            if let Some((home, value)) = cost.take_if(|(home, _)| *home < asset) {
                self.push(rows.cost(home as usize), value);
            }
            if home_asset == Some(asset) {
                let row = rows.netted_cash(asset as usize, balance.float);
                self.push(row, N::given(balance));
            } else if self.entries.iter().all(|entry| entry.asset != asset) {
                let row = rows.cash(asset as usize, balance.float);
                self.push(row, N::given(balance));
            }
        }
        if let Some((home, value)) = cost {
            self.push(rows.cost(home as usize), value);
        }
    }

    /// Cash and cost of a further unit's home.
    fn push_home(&mut self, rows: Rows, holdings: Holdings<'_>, home: u32, cost: N) {
        if let Ok(place) = holdings.asset.binary_search(&home) {
            let balance = holdings.balance.get(place);
            let row = rows.netted_cash(home as usize, balance.float);
            self.push(row, N::given(balance));
        }
        self.push(rows.cost(home as usize), cost);
    }

    /// Exposures of the pool, by instrument: all if the account has a leverage cap, else those with orders.
    fn push_exposures(&mut self, reader: Reader<'_>, holdings: Holdings<'_>) {
        if holdings.leverage_cap.is_none() && holdings.order_instrument.is_empty() {
            return;
        }
        let positions = holdings.instrument.iter().chain(holdings.order_instrument);
        let mut instruments: Vec<u32> = positions.copied().collect();
        instruments.sort_unstable();
        instruments.dedup();
        for instrument in instruments {
            let position = holdings.instrument.binary_search(&instrument).ok();
            if position.is_none_or(|position| !reader.stands_alone(holdings, position)) {
                let quantity = position.map_or(N::decimal(0.0), |position| {
                    N::given(holdings.quantity.get(position))
                });
                self.push_exposure(reader, holdings, instrument, quantity);
            }
        }
    }

    /// Exposures as legs, unless a leverage cap asks for more than a row can say.
    fn push_exposure_legs(&mut self, rows: Rows) {
        if self.least_rate > N::decimal(0.0) {
            return;
        }
        for at in 0..self.exposures.len() {
            let (row, quantity) = {
                let exposure = &self.exposures[at];
                (
                    rows.exposure(exposure.instrument),
                    exposure.quantity.clone(),
                )
            };
            if self.exposures[at].charged {
                self.push(row, quantity);
            }
        }
    }

    /// The exposure of a position (or of none) with its orders, if it is charged by exposure.
    fn push_exposure(
        &mut self,
        reader: Reader<'_>,
        holdings: Holdings<'_>,
        instrument: u32,
        quantity: N,
    ) {
        let ordered = holdings.order_instrument;
        let orders = ordered.partition_point(|&other| other < instrument)
            ..ordered.partition_point(|&other| other <= instrument);
        let spec = reader.spec(instrument);
        let sells = |order: usize| holdings.order_quantity.floats()[order] < 0.0;
        let zero = N::decimal(0.0);
        let charged = !spec.is_paid_up_front() || quantity < zero || orders.clone().any(sells);
        if orders.is_empty() && !(charged && holdings.leverage_cap.is_some()) {
            return;
        }
        let mut sorted: Vec<usize> = orders.collect();
        sorted.sort_by(|&a, &b| {
            let by = |column: GivenSlice<'_>| column.floats()[a].total_cmp(&column.floats()[b]);
            by(holdings.order_price).then_with(|| by(holdings.order_quantity))
        });
        let order = |order: usize| Order {
            quantity: N::given(holdings.order_quantity.get(order)),
            value: spec.price_value(N::given(holdings.order_price.get(order))),
        };
        let orders: Vec<Order<N>> = sorted.into_iter().map(order).collect();
        let (mut bought, mut sold) = (quantity.clone(), quantity);
        for Order { quantity, .. } in &orders {
            let side = if *quantity > zero {
                &mut bought
            } else {
                &mut sold
            };
            *side = side.clone() + quantity.clone();
        }
        let larger = |a: N, b: N| if a < b { b } else { a };
        let exposure = if spec.is_paid_up_front() {
            // The short side alone is charged; buying can only make it smaller.
            larger(zero, -sold)
        } else {
            larger(bought.magnitude(), sold.magnitude())
        };
        self.exposures.push(Exposure {
            instrument: instrument as usize,
            quantity: exposure,
            charged,
            orders,
        });
    }
}
