//! Random venues that mix every rule of cross and isolated margin.

use std::sync::Arc;

use proptest::prelude::*;
use xmfast_core::exact::{GivenColumn, Number, Rational};
use xmfast_core::pool::never;
use xmfast_core::{
    Accounts, Balances, Book, CollateralColumns, CrossMargin, Evaluated, Frames, Id, IdColumn,
    InstrumentColumns, Key, MarginColumns, Market, Orders, Positions, Settled, Settlement, Subject,
    Universe, evaluate,
};

pub(crate) const ASSETS: [&str; 4] = ["USD", "USDT", "BTC", "ETH"];
const INSTRUMENTS: [(&str, &str, usize, bool); 8] = [
    // Name, kind, settlement asset, inverse.
    ("BTC-PERP", "perpetual", 0, false),
    ("ETH-PERP", "perpetual", 0, false),
    ("BTC-USDT", "perpetual", 1, false),
    ("BTC-COIN", "perpetual", 2, true),
    ("ETH-FUTURE", "future", 3, true),
    ("POWER", "future", 0, false),
    ("BTC-CALL", "option", 2, false),
    ("ETH-PUT", "option", 0, false),
];

/// A position: account, instrument, quantity, entry price, entry funding, isolated margin.
pub(crate) type Position = (u32, usize, f64, f64, f64, Option<f64>);

/// An order: account, instrument, quantity, price, reduce only.
pub(crate) type Order = (u32, usize, f64, f64, bool);

#[derive(Clone, Debug)]
pub(crate) struct Venue {
    pub(crate) balances: Vec<(u32, usize, f64)>,
    pub(crate) positions: Vec<Position>,
    pub(crate) orders: Vec<Order>,
    pub(crate) caps: Vec<(u32, f64)>,
    pub(crate) index: [f64; 4],
    pub(crate) mark: [f64; 8],
    /// Deposit index, borrow index.
    pub(crate) interest: [(f64, f64); 4],
    pub(crate) funding: [f64; 8],
    pub(crate) haircuts: [(f64, f64); 4],
    pub(crate) rates: [(f64, f64); 8],
    pub(crate) rules: Rules,
}

/// What goes beyond sums. All of it neutral is a plain venue.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Amounts where the second haircut tier starts, and the part of what counted that stops counting there.
    pub(crate) tiers: [(f64, f64); 4],
    pub(crate) amount_caps: [Option<f64>; 4],
    pub(crate) gain_shares: [f64; 4],
    /// Notional where the second bracket starts, and what it adds to both rates.
    pub(crate) brackets: [(f64, f64); 8],
    pub(crate) floors: [f64; 8],
    pub(crate) fees: [f64; 8],
}

fn rules() -> impl Strategy<Value = Rules> {
    let share = prop_oneof![Just(1.0), 0.0..1.0, Just(0.0)];
    (
        prop::array::uniform4((1e-2..1e4, prop_oneof![Just(0.0), 0.0..1.0])),
        prop::array::uniform4(prop::option::of(1e-2..2e4)),
        prop::array::uniform4(share),
        prop::array::uniform8((1.0..1e7, prop_oneof![Just(0.0), 0.0..0.5])),
        prop::array::uniform8(prop_oneof![Just(0.0), 0.0..50.0]),
        prop::array::uniform8(0.0..0.1),
    )
        .prop_map(
            |(tiers, amount_caps, gain_shares, brackets, floors, fees)| Rules {
                tiers,
                amount_caps,
                gain_shares,
                brackets,
                floors,
                fees,
            },
        )
}

fn plain() -> Rules {
    Rules {
        tiers: [(1.0, 0.0); 4],
        amount_caps: [None; 4],
        gain_shares: [1.0; 4],
        brackets: [(1.0, 0.0); 8],
        floors: [0.0; 8],
        fees: [0.0; 8],
    }
}

/// A venue where nobody holds anything and no rule applies.
pub(crate) fn nothing() -> Venue {
    Venue {
        balances: Vec::new(),
        positions: Vec::new(),
        orders: Vec::new(),
        caps: Vec::new(),
        index: [1.0; 4],
        mark: [1.0; 8],
        interest: [(1.0, 1.0); 4],
        funding: [0.0; 8],
        haircuts: [(0.0, 0.0); 4],
        rates: [(0.0, 0.0); 8],
        rules: plain(),
    }
}

pub(crate) fn venue() -> impl Strategy<Value = Venue> {
    let quantity = prop_oneof![8 => -1e4..1e4, 1 => Just(0.0), 1 => -1e-6..1e-6];
    let price = prop_oneof![3 => 0.5..2e3, 1 => 1e-4..1.0];
    let balances = prop::collection::btree_map((0..40u32, 0..4usize), quantity.clone(), 0..80);
    let isolated = prop::option::weighted(0.2, 0.0..1e4);
    let position = (quantity.clone(), price.clone(), -50.0..50.0, isolated);
    let positions = prop::collection::btree_map((0..40u32, 0..8usize), position, 0..160);
    let order = (
        0..45u32,
        0..8usize,
        quantity,
        price.clone(),
        prop::bool::weighted(0.1),
    );
    let orders = prop_oneof![Just(Vec::new()), prop::collection::vec(order, 0..60)];
    let caps = prop::collection::btree_map(0..45u32, 0.5..50.0, 0..12);
    let halves = (0.0..1.0, 0.0..1.0).prop_map(|(a, b): (f64, f64)| (a.max(b), a.min(b)));
    let market = (
        prop::array::uniform4(price.clone()),
        prop::array::uniform8(price),
        prop::array::uniform4((0.9..3.0, 0.9..3.0)),
        prop::array::uniform8(prop_oneof![Just(0.0), -50.0..50.0]),
    );
    let rates = (
        prop::array::uniform4(halves.clone()),
        prop::array::uniform8(halves),
    );
    let rules = prop_oneof![1 => Just(plain()), 3 => rules()];
    (balances, positions, orders, caps, market, rates, rules).prop_map(
        |(balances, positions, orders, caps, market, (haircuts, rates), rules)| Venue {
            balances: balances.into_iter().map(|((a, c), b)| (a, c, b)).collect(),
            positions: positions
                .into_iter()
                .map(|((a, i), (q, p, f, m))| (a, i, q, p, if i < 6 { f } else { 0.0 }, m))
                .collect(),
            orders,
            caps: caps.into_iter().collect(),
            index: market.0,
            mark: market.1,
            interest: market.2,
            funding: std::array::from_fn(|i| if i < 6 { market.3[i] } else { 0.0 }),
            haircuts,
            rates,
            rules,
        },
    )
}

pub(crate) struct Built {
    pub(crate) book: Book,
    pub(crate) market: Market,
    pub(crate) model: CrossMargin,
}

fn universe() -> Arc<Universe> {
    let pick = |f: fn(&(&'static str, &'static str, usize, bool)) -> &'static str| -> IdColumn {
        INSTRUMENTS.iter().map(f).collect()
    };
    let underlying = |spec: &(&'static str, _, _, _)| {
        if spec.0.starts_with("ETH") {
            "ETH"
        } else {
            "BTC"
        }
    };
    let multipliers = vec![1.0, 1.0, 0.1, 100.0, 10.0, 5.0, 1.0, 1.0];
    let columns = InstrumentColumns {
        instrument: pick(|spec| spec.0),
        kind: pick(|spec| spec.1),
        underlying: pick(underlying),
        settlement: pick(|spec| ASSETS[spec.2]),
        contract_multiplier: Some(multipliers.into()),
        inverse: Some(INSTRUMENTS.iter().map(|spec| spec.3).collect()),
        allow_negative_price: Some(INSTRUMENTS.iter().map(|spec| spec.0 == "POWER").collect()),
        expiry: None,
        strike: None,
        right: None,
        futures_style: Some(
            INSTRUMENTS
                .iter()
                .map(|spec| spec.0 == "BTC-CALL")
                .collect(),
        ),
        settlement_average: None,
    };
    let assets = ASSETS.into_iter().collect();
    Universe::new(&assets, Some(&columns), Id::Text("USD")).expect("valid")
}

fn frames(venue: &Venue) -> Frames {
    let name = |instrument: usize| INSTRUMENTS[instrument].0;
    let balances = Balances {
        account: venue.balances.iter().map(|row| i64::from(row.0)).collect(),
        asset: venue.balances.iter().map(|row| ASSETS[row.1]).collect(),
        balance: venue.balances.iter().map(|row| row.2).collect(),
    };
    let positions = Positions {
        account: venue.positions.iter().map(|row| i64::from(row.0)).collect(),
        instrument: venue.positions.iter().map(|row| name(row.1)).collect(),
        quantity: venue.positions.iter().map(|row| row.2).collect(),
        entry_price: venue.positions.iter().map(|row| row.3).collect(),
        entry_funding: Some(venue.positions.iter().map(|row| row.4).collect()),
        isolated_margin: Some(
            venue
                .positions
                .iter()
                .map(|row| row.5.unwrap_or(f64::NAN))
                .collect(),
        ),
    };
    let orders = Orders {
        account: venue.orders.iter().map(|row| i64::from(row.0)).collect(),
        instrument: venue.orders.iter().map(|row| name(row.1)).collect(),
        quantity: venue.orders.iter().map(|row| row.2).collect(),
        price: venue.orders.iter().map(|row| row.3).collect(),
        reduce_only: Some(venue.orders.iter().map(|row| row.4).collect()),
    };
    let accounts = Accounts {
        account: venue.caps.iter().map(|row| i64::from(row.0)).collect(),
        leverage_cap: venue.caps.iter().map(|row| row.1).collect(),
    };
    Frames {
        balances: Some(balances),
        positions: Some(positions),
        orders: Some(orders),
        accounts: Some(accounts),
    }
}

fn market(venue: &Venue, universe: &Arc<Universe>) -> Market {
    let mut market = Market::new(Arc::clone(universe), None);
    for asset in 0..4 {
        let (deposit, borrow) = venue.interest[asset];
        if asset > 0 {
            market
                .set_index_price(asset, venue.index[asset].into())
                .expect("valid");
        }
        market
            .set_deposit_index(asset, deposit.into())
            .expect("valid");
        market
            .set_borrow_index(asset, borrow.into())
            .expect("valid");
    }
    for (instrument, spec) in INSTRUMENTS.iter().enumerate() {
        let shift = if spec.0 == "POWER" { 1000.0 } else { 0.0 };
        let mark = venue.mark[instrument] - shift;
        let funding = venue.funding[instrument];
        market
            .set_mark_price(instrument, mark.into())
            .expect("valid");
        market
            .set_cumulative_funding(instrument, funding.into())
            .expect("valid");
    }
    market
}

pub(crate) fn model(venue: &Venue, universe: &Arc<Universe>) -> CrossMargin {
    let Rules {
        tiers,
        amount_caps,
        gain_shares,
        brackets,
        floors,
        fees,
    } = &venue.rules;
    // Two rows for each asset and instrument: from 0, and from the threshold.
    let twice = |names: &mut dyn Iterator<Item = &'static str>| -> IdColumn {
        names.flat_map(|name| [name, name]).collect()
    };
    let column = |count: usize, f: &dyn Fn(usize, bool) -> f64| -> GivenColumn {
        (0..2 * count).map(|row| f(row / 2, row % 2 == 1)).collect()
    };
    let haircut = |pick: fn(&(f64, f64)) -> f64| {
        column(4, &|asset, further| {
            let haircut = pick(&venue.haircuts[asset]);
            haircut
                + if further {
                    (1.0 - haircut) * tiers[asset].1
                } else {
                    0.0
                }
        })
    };
    let once = |count: usize, f: &dyn Fn(usize) -> f64| {
        Some(column(count, &|at, further| {
            if further { f64::NAN } else { f(at) }
        }))
    };
    let collateral = CollateralColumns {
        asset: twice(&mut ASSETS.into_iter()),
        amount_floor: Some(column(4, &|asset, further| {
            if further { tiers[asset].0 } else { 0.0 }
        })),
        initial_haircut: Some(haircut(|h| h.0)),
        maintenance_haircut: Some(haircut(|h| h.1)),
        initial_liability_weight: once(4, &|asset| 1.0 + venue.haircuts[asset].0),
        maintenance_liability_weight: once(4, &|asset| 1.0 + venue.haircuts[asset].1),
        amount_cap: once(4, &|asset| amount_caps[asset].unwrap_or(f64::NAN)),
        unrealized_gain_share: once(4, &|asset| gain_shares[asset]),
    };
    let rate = |pick: fn(&(f64, f64)) -> f64, fee: bool| {
        column(8, &|instrument, further| {
            let more = if further { brackets[instrument].1 } else { 0.0 };
            // The fee fits between the two rates.
            pick(&venue.rates[instrument]) + more + if fee { fees[instrument] * 1.001 } else { 0.0 }
        })
    };
    let margin = MarginColumns {
        instrument: twice(&mut INSTRUMENTS.iter().map(|spec| spec.0)),
        notional_floor: Some(column(8, &|at, further| {
            if further { brackets[at].0 } else { 0.0 }
        })),
        initial_rate: rate(|r| r.0, true),
        maintenance_rate: rate(|r| r.1, false),
        margin_floor_per_contract: once(8, &|instrument| floors[instrument]),
        close_out_fee_rate: once(8, &|instrument| fees[instrument]),
    };
    CrossMargin::new(universe, Some(&collateral), Some(&margin)).expect("valid")
}

pub(crate) fn build(venue: &Venue) -> Built {
    let universe = universe();
    let book = Book::new(&universe, frames(venue), &mut never).expect("valid");
    Built {
        book,
        market: market(venue, &universe),
        model: model(venue, &universe),
    }
}

impl Built {
    pub(crate) fn evaluate(&self, key: Key) -> xmfast_core::Result<Evaluated> {
        evaluate(&self.model, key, &self.book, &self.market, &mut never)
    }

    /// All that an evaluation settles: pools, then isolated positions.
    pub(crate) fn subjects(&self, evaluated: &Evaluated) -> Vec<Subject> {
        let pools = (0..self.book.accounts().len()).map(|account| Subject {
            account,
            position: None,
        });
        pools
            .chain(evaluated.positions.iter().map(|&position| position.into()))
            .collect()
    }

    pub(crate) fn settle<N: Number>(&self, subject: Subject) -> Settled<N> {
        let settlement = Settlement {
            model: &self.model,
            book: &self.book,
            market: &self.market,
            key: Key::SettlementAsset,
        };
        settlement.settle(subject, true).expect("all is priced")
    }

    /// The settled row in exact numbers.
    pub(crate) fn exactly(&self, subject: Subject) -> Settled<Rational> {
        self.settle(subject)
    }
}
