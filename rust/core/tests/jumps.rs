//! Prices that jump, one or all at once, there and back, with trades, funding and interest in between: after each event
//! the sets are those of a full evaluation.
//!
//! How many accounts are taken on at a time follows from how many there are, so that here many wait most of the time.

#[allow(dead_code, reason = "other tests use the rest")]
mod random;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use random::{Venue, build, venue};
use xmfast_core::pool::{never, set_threads};
use xmfast_core::{
    AccountId, Accrual, Engine, Event, Fill, Key, Limits, MarginModel, NewOrder, Payment, Price,
    margin_ratios, result,
};

/// Accounts of a drawn venue have smaller numbers.
const DRAWN: u32 = 45;
const POWER: usize = 5;
const ALERTS: [f64; 3] = [0.3, 0.8, 0.95];

/// A venue of many accounts: those that were drawn again and again, with more or less of the same.
fn many(drawn: &Venue, copies: u32) -> Venue {
    let mut many = drawn.clone();
    for copy in 1..copies {
        let (first, part) = (copy * DRAWN, 1.0 + f64::from(copy % 17) / 16.0);
        let balances = drawn.balances.iter();
        many.balances
            .extend(balances.map(|&(account, asset, amount)| (first + account, asset, amount)));
        for &(account, instrument, quantity, price, funding, isolated) in &drawn.positions {
            let account = first + account;
            let place = (account, instrument, quantity * part, price, funding);
            let position = (place.0, place.1, place.2, place.3, place.4, isolated);
            many.positions.push(position);
        }
        let orders = drawn.orders.iter();
        many.orders.extend(orders.map(|&order| {
            let mut order = order;
            order.0 += first;
            order
        }));
        let caps = drawn.caps.iter();
        many.caps
            .extend(caps.map(|&(account, cap)| (first + account, cap)));
    }
    many
}

#[derive(Clone, Debug)]
enum Step {
    /// One price, by a factor.
    One(usize, f64),
    /// All prices, by a factor.
    All(f64),
    /// All prices, to where they were at first.
    Back,
    Fill(prop::sample::Index, u32, i128),
    Order(prop::sample::Index, u32, i128),
    Deposit(prop::sample::Index, u32, i128),
    /// Funding of one instrument, or of all alike: so much of the mark price, so many times.
    Funding(Option<usize>, f64, usize),
    /// Interest on deposits and on loans of an asset.
    Interest(usize, [f64; 2]),
    Newcomer,
}

fn steps(times: usize) -> impl Strategy<Value = Vec<Step>> {
    let factor = prop_oneof![
        Just(0.5),
        Just(1.5),
        Just(2.0),
        0.98..1.02,
        0.9999..1.0001_f64
    ];
    let quantity = prop_oneof![-1_000_000_000_000_i128..1_000_000_000_000, 1_i128..100]
        .prop_map(|quantity| if quantity == 0 { 1 } else { quantity });
    // Most are so little that boxes bear many of them.
    let paid = prop_oneof![4 => -1e-4..1e-4_f64, 2 => -0.01..0.01_f64, 1 => -0.5..0.5_f64];
    let who = || any::<prop::sample::Index>();
    let step = prop_oneof![
        4 => (0..12_usize, factor.clone()).prop_map(|(at, factor)| Step::One(at, factor)),
        2 => factor.prop_map(Step::All),
        1 => Just(Step::Back),
        2 => (who(), 0..8_u32, quantity.clone()).prop_map(|(who, at, much)| Step::Fill(who, at, much)),
        1 => (who(), 0..8_u32, quantity).prop_map(|(who, at, much)| Step::Order(who, at, much)),
        1 => (who(), 0..4_u32, 1..1_000_000_000_000_i128).prop_map(|(who, at, much)| Step::Deposit(who, at, much)),
        4 => (prop::option::of(0..6_usize), paid.clone(), 1..times).prop_map(|(at, part, times)| Step::Funding(at, part, times)),
        2 => (0..4_usize, [paid.clone(), paid]).prop_map(|(asset, parts)| Step::Interest(asset, parts)),
        1 => Just(Step::Newcomer),
    ];
    prop::collection::vec(step, 1..24)
}

/// Marks, then index prices.
#[derive(Clone, Copy)]
struct Prices([f64; 12]);

impl Prices {
    fn of(venue: &Venue) -> Self {
        let mut prices = [1.0; 12];
        prices[..8].copy_from_slice(&venue.mark);
        prices[POWER] -= 1000.0;
        prices[8..].copy_from_slice(&venue.index);
        Self(prices)
    }

    fn price(&self, at: usize) -> Price {
        match at.checked_sub(8) {
            None => Price::Mark(at as u32, self.0[at].into()),
            Some(asset) => Price::Index(asset as u32, self.0[at].into()),
        }
    }

    /// All but the numeraire's.
    fn all(&self) -> Event {
        let moving = (0..12).filter(|&at| at != 8);
        Event::Tick(moving.map(|at| self.price(at)).collect())
    }

    /// Moves one; prices keep few digits, and stay where they can be.
    fn move_by(&mut self, at: usize, factor: f64) {
        let moved = self.0[at] * factor;
        if (1e-5..1e6).contains(&moved.abs()) {
            self.0[at] = format!("{moved:.6e}").parse().expect("a number");
        }
    }
}

/// What an engine says of everybody, or a full evaluation.
#[derive(Debug, Default, PartialEq)]
struct Sets {
    pools: Vec<bool>,
    positions: Vec<(u32, u32)>,
    /// By alert level.
    alerted: Vec<Vec<u32>>,
}

impl Sets {
    fn said(engine: &Engine) -> Self {
        let alerted = |level: &f64| engine.alerted(*level).unwrap_or_default();
        Self {
            pools: engine.liquidatable_pools().to_vec(),
            positions: engine.liquidatable_positions().collect(),
            alerted: ALERTS.iter().map(alerted).collect(),
        }
    }

    fn evaluated(engine: &Engine) -> Self {
        let book = engine.book().expect("a book");
        let evaluated = engine
            .model()
            .evaluate(&book, engine.market(), &mut never)
            .expect("figures");
        let is_down = |signs: u8| signs >> result::HEALTH & 1 == 1;
        let pools = evaluated.pools.signs().iter();
        let alone: Vec<(u32, u32)> = evaluated
            .positions
            .iter()
            .map(|place| {
                let held = book.holdings(place.account as usize).instrument;
                (place.account, held[place.position as usize])
            })
            .collect();
        let signs = alone.iter().zip(evaluated.isolated.signs());
        let down = signs.filter(|(_, signs)| is_down(**signs));
        let ratios = (0..).zip(margin_ratios(evaluated.pools.rows()));
        let ratios_alone = margin_ratios(evaluated.isolated.rows());
        let ratios_alone = alone.iter().map(|place| place.0).zip(ratios_alone);
        let ratios: Vec<(u32, f64)> = ratios.chain(ratios_alone).collect();
        let alerted = |level: &f64| {
            let near = ratios.iter().filter(|(_, ratio)| ratio >= level);
            let near: BTreeSet<u32> = near.map(|(account, _)| *account).collect();
            near.into_iter().collect()
        };
        Self {
            pools: pools.map(|&signs| is_down(signs)).collect(),
            positions: down.map(|(place, _)| *place).collect(),
            alerted: ALERTS.iter().map(alerted).collect(),
        }
    }

    /// Units that are liquidatable: accounts, or an account's instrument.
    fn down(&self) -> BTreeSet<(u32, Option<u32>)> {
        let pools = (0..).zip(&self.pools).filter(|(_, down)| **down);
        let pools = pools.map(|(account, _)| (account, None));
        let alone = self.positions.iter();
        let alone = alone.map(|&(account, instrument)| (account, Some(instrument)));
        pools.chain(alone).collect()
    }
}

fn play(drawn: &Venue, copies: u32, alerts: bool, steps: &[Step]) {
    let built = build(&many(drawn, copies));
    let mut limits = Limits::none(built.book.universe());
    limits.borrowable = vec![true; 4];
    if alerts {
        limits.alert_levels = ALERTS.to_vec();
    }
    let model = Arc::new(MarginModel::Linear(built.model, Key::SettlementAsset));
    let terms = (&[4; 4][..], limits);
    let mut engine =
        Engine::new(&built.book, &built.market, model, terms, &mut never).expect("an engine");
    let first = Prices::of(drawn);
    let mut prices = first;
    let mut newcomers = 0;
    for step in steps {
        let count = engine.accounts().len();
        let event = match step {
            Step::One(8, _) => continue,
            Step::One(at, factor) => {
                prices.move_by(*at, *factor);
                Event::Tick(vec![prices.price(*at)])
            }
            Step::All(factor) => {
                (0..12)
                    .filter(|&at| at != 8)
                    .for_each(|at| prices.move_by(at, *factor));
                prices.all()
            }
            Step::Back => {
                prices = first;
                prices.all()
            }
            Step::Fill(who, instrument, quantity) if count > 0 => Event::Fill(Fill {
                account: who.index(count) as u32,
                instrument: *instrument,
                quantity: *quantity,
                price: prices.0[*instrument as usize].into(),
                fee: 1,
                order: None,
            }),
            Step::Order(who, instrument, quantity) if count > 0 => Event::Place {
                account: who.index(count) as u32,
                order: NewOrder {
                    instrument: *instrument,
                    quantity: *quantity,
                    price: prices.0[*instrument as usize].into(),
                    reduce_only: false,
                },
            },
            Step::Deposit(who, asset, amount) if count > 0 => Event::Deposit(Payment {
                account: who.index(count) as u32,
                asset: *asset,
                amount: *amount,
            }),
            Step::Funding(at, part, times) => {
                for _ in 0..*times {
                    let event = funding(&engine, &prices, *at, *part);
                    checked(&mut engine, &event, alerts);
                }
                continue;
            }
            Step::Interest(asset, parts) => {
                let market = engine.market();
                let columns = [market.deposit_index(), market.borrow_index()];
                let before = columns.map(|column| column.floats()[*asset]);
                let grown = |at: usize| (before[at] * (1.0 + parts[at])).into();
                Event::Accrue(Box::new(Accrual {
                    interest: vec![(*asset as u32, [grown(0), grown(1)])],
                    ..Accrual::default()
                }))
            }
            Step::Newcomer => {
                newcomers += 1;
                Event::AddAccount(AccountId::Int(1_000_000 + newcomers))
            }
            _ => continue,
        };
        checked(&mut engine, &event, alerts);
    }
}

/// Funding of one instrument, or of all: so much of the mark price.
fn funding(engine: &Engine, prices: &Prices, at: Option<usize>, part: f64) -> Event {
    let chosen = (0..6).filter(|&other| at.is_none_or(|at| at == other));
    let paid = |at: usize| {
        let before = engine.market().cumulative_funding().floats()[at];
        (at as u32, (before + part * prices.0[at]).into())
    };
    Event::Accrue(Box::new(Accrual {
        funding: chosen.map(paid).collect(),
        ..Accrual::default()
    }))
}

/// Applies an event, and compares what the engine says of everybody with a full evaluation.
fn checked(engine: &mut Engine, event: &Event, alerts: bool) {
    let before = Sets::evaluated(engine).down();
    // What is refused changes nothing.
    let applied = engine.apply(event, &mut never);
    let said = Sets::said(engine);
    let mut right = Sets::evaluated(engine);
    if !alerts {
        right.alerted = vec![Vec::new(); ALERTS.len()];
    }
    assert_eq!(said, right, "after {event:?}, which said {applied:?}");
    let now = right.down();
    let accounts = |a: &BTreeSet<(u32, Option<u32>)>, b: &BTreeSet<(u32, Option<u32>)>| {
        let only = a.difference(b).map(|unit| unit.0);
        only.collect::<BTreeSet<u32>>().into_iter().collect()
    };
    let (fallen, recovered): (Vec<u32>, Vec<u32>) =
        (accounts(&now, &before), accounts(&before, &now));
    let sorted = |mut accounts: Vec<u32>| {
        accounts.sort_unstable();
        accounts
    };
    assert_eq!(sorted(engine.drain_fallen()), fallen, "after {event:?}");
    assert_eq!(
        sorted(engine.drain_recovered()),
        recovered,
        "after {event:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whoever_falls_when_prices_jump_is_told(
        venue in venue(),
        copies in 1..4_u32,
        alerts: bool,
        steps in steps(60),
    ) {
        play(&venue, copies, alerts, &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn so_are_those_of_several_blocks_on_any_number_of_threads(
        venue in venue(),
        copies in 92..110_u32,
        alerts: bool,
        threads in 1..4_usize,
        steps in steps(3),
    ) {
        set_threads(threads);
        play(&venue, copies, alerts, &steps);
        set_threads(0);
    }
}
