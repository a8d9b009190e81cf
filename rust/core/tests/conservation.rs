//! Money is conserved: a long history of random events, refused ones among them, with the sums looked at after each.
//!
//! `cargo test` plays some thousands of events. For more, in a release build:
//! `XMFAST_CONSERVATION_EVENTS=10000000 cargo test --release -p xmfast-core --test conservation -- --nocapture`

#[allow(dead_code, reason = "other tests use the rest")]
mod random;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use random::{ASSETS, Venue, build, model, venue};
use xmfast_core::exact::Given;
use xmfast_core::pool::never;
use xmfast_core::{
    AccountId, Accrual, Engine, Error, Event, Fill, Key, Limits, MarginModel, NewOrder, OpenOrder,
    Payment, Pool, Price, is_conserved,
};

/// Instruments of the random venue, and the one whose price may be negative.
const INSTRUMENTS: usize = 8;
const POWER: usize = 5;

/// Events from the opening of one random book to the next.
const CHAPTER: u64 = 20_000;

/// How often all holdings are added up, and how often the whole state is compared.
const RECOUNT: u64 = 37;
const COMPARE: u64 = 29;

/// A small generator: splitmix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Whole units of very different sizes, at least 1.
    fn units(&mut self, most_digits: f64) -> i128 {
        10_f64.powf(most_digits * self.unit()) as i128
    }
}

/// So many digits, as prices have.
fn digits(value: f64) -> f64 {
    format!("{value:.6e}").parse().expect("a number")
}

/// One engine and where its prices are.
struct Scene {
    engine: Engine,
    random: Random,
    mark: [f64; INSTRUMENTS],
    index: [f64; 4],
    funding: [f64; INSTRUMENTS],
    interest: [(f64, f64); 4],
    orders: Vec<(u32, OpenOrder)>,
    next_account: i64,
    time: i64,
    /// Other rules on the same universe.
    models: Vec<Arc<MarginModel>>,
}

impl Scene {
    fn open(drawn: &Venue, other: &Venue, seed: u64) -> Self {
        let built = build(drawn);
        let universe = Arc::clone(built.book.universe());
        let linear = |model| Arc::new(MarginModel::Linear(model, Key::SettlementAsset));
        let models = vec![linear(built.model), linear(model(other, &universe))];
        let mut limits = Limits::none(&universe);
        limits.borrowable = vec![true, true, false, false];
        limits.position[1] = Some(1_000_000_000_000);
        limits.open_interest[4] = Some(1_000_000_000_000);
        let first = Arc::clone(&models[0]);
        let terms = (&[6, 2, 8, 10][..], limits);
        let opened = Engine::new(&built.book, &built.market, first, terms, &mut never);
        let engine = opened.expect("an engine");
        let mut mark = drawn.mark;
        mark[POWER] -= 1000.0;
        let mut scene = Self {
            engine,
            random: Random(seed),
            mark,
            index: drawn.index,
            funding: drawn.funding,
            interest: drawn.interest,
            orders: Vec::new(),
            next_account: 1_000,
            time: 0,
            models,
        };
        scene.look_at_orders();
        scene
    }

    fn look_at_orders(&mut self) {
        self.orders.clear();
        for account in 0..self.engine.accounts().len() as u32 {
            let mine = self.engine.open_orders(account);
            self.orders
                .extend(mine.into_iter().map(|order| (account, order)));
        }
    }

    fn account(&mut self) -> u32 {
        let count = self.engine.accounts().len();
        self.random.below(count) as u32
    }

    /// An account and an instrument, mostly one that it holds, and how much of it.
    fn place(&mut self) -> (u32, u32, i128) {
        let account = self.account();
        let held = self.engine.positions(account);
        if held.is_empty() || self.random.one_in(3) {
            let instrument = self.random.below(INSTRUMENTS) as u32;
            let mine = held
                .iter()
                .find(|position| position.instrument == instrument);
            return (
                account,
                instrument,
                mine.map_or(0, |position| position.quantity),
            );
        }
        let position = held[self.random.below(held.len())];
        (account, position.instrument, position.quantity)
    }

    /// Contracts to trade where so many are held.
    fn contracts(&mut self, held: i128) -> i128 {
        let fresh = self.random.units(12.0) * self.random.of(&[1, -1]);
        let some = self
            .random
            .of(&[-held, -held, -held / 2, -held / 3, -2 * held, held, fresh]);
        match some {
            // Now and then there is nothing to do, which is refused.
            0 if !self.random.one_in(50) => fresh,
            some => some,
        }
    }

    fn price(&mut self, instrument: u32) -> f64 {
        let mark = self.mark[instrument as usize];
        let near = digits(mark * self.random.of(&[0.5, 0.9, 0.999, 1.0, 1.001, 1.1, 2.0]));
        if self.random.one_in(200) { 0.0 } else { near }
    }

    fn fee(&mut self) -> i128 {
        let fee = self.random.units(8.0);
        self.random.of(&[0, 1, fee, fee, -fee])
    }

    fn fill(&mut self) -> Fill {
        let (account, instrument, held) = self.place();
        Fill {
            account,
            instrument,
            quantity: self.contracts(held),
            price: self.price(instrument).into(),
            fee: self.fee(),
            order: None,
        }
    }

    fn fill_of_order(&mut self) -> Fill {
        let Some((account, order)) = self.some_order() else {
            return self.fill();
        };
        let part = order.quantity / 2;
        Fill {
            account,
            instrument: order.instrument,
            quantity: self.random.of(&[order.quantity, part, 2 * order.quantity]),
            price: order.price.given(),
            fee: self.fee(),
            order: Some(order.id),
        }
    }

    fn some_order(&mut self) -> Option<(u32, OpenOrder)> {
        if self.orders.is_empty() {
            return None;
        }
        let at = self.random.below(self.orders.len());
        Some(self.orders[at])
    }

    /// The number of an order, sometimes of none.
    fn order_number(&mut self) -> u64 {
        let some = self.some_order();
        match some {
            Some((_, order)) if !self.random.one_in(30) => order.id,
            _ => self.random.below(100_000) as u64,
        }
    }

    fn payment(&mut self) -> Payment {
        let amount = self.random.units(13.0);
        Payment {
            account: self.account(),
            asset: self.random.below(ASSETS.len()) as u32,
            amount: self
                .random
                .of(&[amount, amount, amount, amount, amount, 0, -amount, 1 << 97]),
        }
    }

    fn tick(&mut self) -> Price {
        let random = &mut self.random;
        let factor = random.of(&[0.999, 1.001, 0.99, 1.01, 0.7, 1.4]) + 1e-3 * random.unit();
        let moved = |price: f64| {
            let moved = price * factor;
            if (1e-3..1e5).contains(&moved.abs()) {
                digits(moved)
            } else {
                digits(price.signum())
            }
        };
        if random.one_in(3) {
            let asset = 1 + random.below(3);
            self.index[asset] = moved(self.index[asset]);
            return Price::Index(asset as u32, self.index[asset].into());
        }
        let instrument = random.below(INSTRUMENTS);
        let mut price = moved(self.mark[instrument]);
        if instrument == POWER && random.one_in(5) {
            price = random.of(&[-price, 0.0, 1.0]);
        }
        let is_possible = instrument == POWER || price > 0.0;
        if is_possible && price != 0.0 {
            self.mark[instrument] = price;
        }
        Price::Mark(instrument as u32, price.into())
    }

    fn accrual(&mut self) -> Accrual {
        let mut accrual = Accrual::default();
        self.time += 1;
        accrual.time = Some(self.time);
        for instrument in 0..6 {
            if self.random.one_in(2) {
                let more = digits(1e-3 * self.mark[instrument] * (self.random.unit() - 0.5));
                let funding = ((self.funding[instrument] + more) * 1e9).round() / 1e9;
                self.funding[instrument] = funding;
                accrual.funding.push((instrument as u32, funding.into()));
            }
        }
        for asset in 0..4 {
            if self.random.one_in(2) {
                let (deposit, borrow) = self.interest[asset];
                let grown = |index: f64, most: f64, part: f64| {
                    (index * (1.0 + most * part) * 1e9).round() / 1e9
                };
                let (a, b) = (self.random.unit(), self.random.unit());
                let indices = (grown(deposit, 1e-4, a), grown(borrow, 2e-4, b));
                self.interest[asset] = indices;
                let indices = [indices.0, indices.1].map(Given::from);
                accrual.interest.push((asset as u32, indices));
            }
        }
        accrual
    }

    fn new_order(&mut self) -> (u32, NewOrder) {
        let (account, instrument, held) = self.place();
        let reduce_only = held != 0 && self.random.one_in(4);
        let quantity = if reduce_only {
            self.random.of(&[-held, -held / 2, held])
        } else {
            self.contracts(held)
        };
        let order = NewOrder {
            instrument,
            quantity,
            price: self.price(instrument).into(),
            reduce_only,
        };
        (account, order)
    }

    /// What happens next. `settle` says whether it is time for an instrument to end.
    fn next(&mut self, settle: bool) -> Event {
        if settle {
            let instrument = self.random.below(INSTRUMENTS) as u32;
            let price = self.mark[instrument as usize].into();
            return Event::Settle { instrument, price };
        }
        match self.random.below(1000) {
            0..=219 => Event::Fill(self.fill()),
            220..=279 => Event::Fill(self.fill_of_order()),
            280..=419 => {
                let taker = if self.random.one_in(3) {
                    self.fill_of_order()
                } else {
                    self.fill()
                };
                let maker = Fill {
                    account: self.account(),
                    quantity: -taker.quantity,
                    fee: self.fee(),
                    order: None,
                    ..taker.clone()
                };
                Event::Trade { maker, taker }
            }
            420..=539 if self.orders.len() < 200 => {
                let (account, order) = self.new_order();
                Event::Place { account, order }
            }
            540..=579 => {
                let order = self.order_number();
                let quantity = self.some_order().map(|(_, order)| order.quantity);
                let price = self.some_order().map(|(_, order)| order.price);
                Event::Amend {
                    order,
                    quantity,
                    price,
                }
            }
            580..=639 => Event::Deposit(self.payment()),
            640..=699 => Event::Withdraw(self.payment()),
            700..=749 => Event::Transfer {
                payment: self.payment(),
                to: self.account(),
            },
            750..=789 => {
                let (from, instrument, held) = self.place();
                let quantity = self
                    .random
                    .of(&[held.abs(), held.abs() / 2, 1, 2 * held.abs()]);
                Event::TransferPosition {
                    from,
                    to: self.account(),
                    instrument,
                    quantity,
                }
            }
            790..=839 => Event::Exchange {
                sold: self.payment(),
                bought: self.random.below(ASSETS.len()) as u32,
                amount: self.random.units(13.0),
                fee: self.fee(),
            },
            840..=939 => {
                let count = self.random.of(&[1, 1, 1, 3]);
                Event::Tick((0..count).map(|_| self.tick()).collect())
            }
            940..=959 => Event::Accrue(Box::new(self.accrual())),
            960 => Event::SetParameters(Arc::clone(&self.models[self.random.below(2)])),
            961 => {
                self.next_account += i64::from(!self.random.one_in(3));
                Event::AddAccount(AccountId::Int(self.next_account))
            }
            _ => Event::Cancel {
                order: self.order_number(),
            },
        }
    }

    /// What all accounts hold of each asset, added up.
    fn counted(&self) -> [i128; 4] {
        let mut counted = [0; 4];
        for account in 0..self.engine.accounts().len() as u32 {
            for cash in self.engine.cash(account) {
                counted[cash.asset as usize] += cash.amount;
            }
            for position in self.engine.positions(account) {
                let posted = i128::from(position.isolated.unwrap_or(0));
                let settlement = self.engine.settlement(position.instrument);
                counted[settlement as usize] += posted - position.cost;
            }
        }
        counted
    }

    fn check_sums(&self, what: &str, recount: bool) {
        for (asset, totals) in ASSETS.iter().zip(self.engine.totals()) {
            assert!(is_conserved(totals), "{what}: {asset} {totals:?}");
        }
        if recount {
            let booked = self
                .engine
                .totals()
                .iter()
                .map(|totals| totals[Pool::Accounts as usize]);
            assert!(booked.eq(self.counted()), "{what}: {:?}", self.counted());
        }
    }

    /// Does what comes next; whether it was refused.
    fn play(&mut self, number: u64, settle: bool) -> (&'static str, bool) {
        let many = !settle && self.random.one_in(100);
        let event = if many {
            Event::Fills((0..1 + self.random.below(6)).map(|_| self.fill()).collect())
        } else {
            self.next(settle)
        };
        let before = self.engine.totals().to_vec();
        let state = number
            .is_multiple_of(COMPARE)
            .then(|| self.engine.state_hash());
        let done = self.engine.apply(&event, &mut never);
        let done = done.map(|applied| applied.check);
        let name = if many { "fills" } else { event.name() };
        let refused = match &done {
            Ok(check) => check.is_some_and(|check| !check.is_accepted()),
            Err(Error::Refused { .. } | Error::Value { .. }) => true,
            Err(error) => panic!("event {number}, {event:?}: {error}"),
        };
        let what = || format!("event {number}, {event:?}: {done:?}");
        if refused {
            assert_eq!(before, self.engine.totals(), "{}", what());
            if let Some(state) = state {
                assert_eq!(state, self.engine.state_hash(), "{}", what());
            }
        }
        if !self.engine.totals().iter().all(is_conserved) || number.is_multiple_of(RECOUNT) {
            self.check_sums(&what(), true);
        }
        let orders = [
            "place", "amend", "cancel", "fill", "fills", "trade", "settle",
        ];
        if !refused && orders.contains(&name) {
            self.look_at_orders();
        }
        (name, refused)
    }

    /// Who is liquidatable is what a full evaluation says.
    fn check_flags(&self) {
        let engine = &self.engine;
        let book = engine.book().expect("a book");
        let evaluated = engine.model().evaluate(&book, engine.market(), &mut never);
        let signs = evaluated.expect("figures").pools.signs().to_vec();
        let flags = signs
            .iter()
            .map(|signs| signs >> xmfast_core::result::HEALTH & 1 == 1);
        assert!(flags.eq(engine.liquidatable_pools().iter().copied()));
    }
}

#[test]
fn money_is_conserved_through_all_that_can_happen() {
    let wanted = std::env::var("XMFAST_CONSERVATION_EVENTS");
    let wanted: u64 = wanted.map_or(10_000, |text| text.parse().expect("a number"));
    let chapter = CHAPTER.min(wanted.div_ceil(20));
    let mut runner = TestRunner::deterministic();
    let mut drawn = || venue().new_tree(&mut runner).expect("a venue").current();
    let mut counts: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    let mut played = 0;
    while played < wanted {
        let (mut first, other) = (drawn(), drawn());
        // Half of the accounts are rich, so that not all is refused.
        first.balances.retain(|row| row.0 % 2 == 1 || row.1 > 0);
        first
            .balances
            .extend((0..20).map(|account| (2 * account, 0, 1e7)));
        let mut scene = Scene::open(&first, &other, played);
        scene.check_sums("opening", true);
        for at in 0..chapter.min(wanted - played) {
            let settle = at % (chapter / 5) == chapter / 5 - 1;
            let (name, refused) = scene.play(played, settle);
            counts.entry(name).or_default()[usize::from(refused)] += 1;
            played += 1;
        }
        scene.check_sums("at the end", true);
        scene.check_flags();
    }
    println!("{played} events in books of up to 47 accounts, and of these:");
    for (name, [done, refused]) in counts {
        println!("{name:>18} {done:>9} done {refused:>9} refused");
    }
}
