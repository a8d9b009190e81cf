//! Times of the live engine without Python: ticks on a hard book, checks of orders, fills.
//!
//! `cargo bench -p xmfast-core --bench engine -- [ACCOUNTS]`: a book of the law of `benches/venue.py`, with 16 % of the accounts
//! liquidatable and 0.5 % within 0.1 % of gross notional of the edge.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use xmfast_core::pool::never;
use xmfast_core::{
    Balances, Book, CrossMargin, Engine, Event, Fill, Frames, Id, IdColumn, InstrumentColumns, Key,
    Limits, MarginColumns, MarginModel, Market, NewOrder, Positions, Price, Universe, result,
};

const INSTRUMENTS: usize = 512;
const TICKS: usize = 1_000_000;
const WARM_UP: usize = 20_000;

/// A small generator, so that the bench needs no other crate: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() * limit as f64) as usize
    }

    fn normal(&mut self) -> f64 {
        let (a, b) = (self.next().max(1e-300), self.next());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

/// So many digits, as prices and sizes have.
fn digits(value: f64) -> f64 {
    format!("{value:.7e}").parse().expect("a number")
}

struct Venue {
    book: Book,
    market: Market,
    model: Arc<MarginModel>,
    marks: Vec<f64>,
}

fn venue(accounts: usize, random: &mut Random) -> Venue {
    let names: Vec<String> = (0..INSTRUMENTS).map(|row| format!("C{row:03}")).collect();
    let texts = |names: &[String]| names.iter().map(String::as_str).collect::<IdColumn>();
    let columns = InstrumentColumns {
        instrument: texts(
            &names
                .iter()
                .map(|name| format!("{name}-PERP"))
                .collect::<Vec<_>>(),
        ),
        kind: names.iter().map(|_| "perpetual").collect(),
        underlying: texts(&names),
        settlement: names.iter().map(|_| "USD").collect(),
        contract_multiplier: None,
        inverse: None,
        allow_negative_price: None,
        expiry: None,
        strike: None,
        right: None,
        futures_style: None,
        settlement_average: None,
    };
    let universe = Universe::new(
        &["USD"].into_iter().collect(),
        Some(&columns),
        Id::Text("USD"),
    )
    .expect("a universe");
    let marks: Vec<f64> = (0..INSTRUMENTS)
        .map(|_| digits((random.next() * 15.0 - 7.0).exp()))
        .collect();
    let mut market = Market::new(universe.clone(), None);
    for (row, &mark) in marks.iter().enumerate() {
        market.set_mark_price(row, mark.into()).expect("a price");
    }
    let rate = |row: usize| digits(0.005 + 0.045 * row as f64 / INSTRUMENTS as f64);
    let margin = MarginColumns {
        instrument: columns.instrument.clone(),
        notional_floor: None,
        initial_rate: (0..INSTRUMENTS).map(|row| 2.0 * rate(row)).collect(),
        maintenance_rate: (0..INSTRUMENTS).map(rate).collect(),
        margin_floor_per_contract: None,
        close_out_fee_rate: None,
    };
    let model = CrossMargin::new(&universe, None, Some(&margin)).expect("a model");
    let popularity: Vec<f64> = (1..=INSTRUMENTS)
        .scan(0.0, |sum, rank| {
            *sum += (rank as f64).powf(-0.9);
            Some(*sum)
        })
        .collect();
    let (mut owner, mut instrument, mut quantity, mut entry) = (vec![], vec![], vec![], vec![]);
    let mut gross = vec![0.0; accounts];
    for (account, gross) in gross.iter_mut().enumerate() {
        let size = (2_000_f64.ln() + 1.5 * random.normal()).exp();
        let mut held: Vec<usize> = Vec::new();
        let wanted = 1 + ((1.0 - random.next()).ln() / (1.0 - 1.0 / 8.0_f64).ln()) as usize;
        for _ in 0..wanted.min(63) {
            let at = random.next() * popularity[INSTRUMENTS - 1];
            held.push(popularity.partition_point(|&sum| sum < at));
        }
        held.sort_unstable();
        held.dedup();
        for row in held {
            let notional = size * random.normal().exp();
            *gross += notional;
            let side = if random.next() < 0.55 { 1.0 } else { -1.0 };
            owner.push(account as i64);
            instrument.push(format!("C{row:03}-PERP"));
            quantity.push(digits(side * notional / marks[row]));
            entry.push(digits(marks[row] * (0.05 * random.normal()).exp()));
        }
    }
    let made = |balance: Vec<f64>| {
        let frames = Frames {
            balances: Some(Balances {
                account: (0..accounts as i64).collect(),
                asset: (0..accounts).map(|_| "USD").collect(),
                balance: balance.into(),
            }),
            positions: Some(Positions {
                account: owner.iter().copied().collect(),
                instrument: instrument.iter().map(String::as_str).collect(),
                quantity: quantity.clone().into(),
                entry_price: entry.clone().into(),
                entry_funding: None,
                isolated_margin: None,
            }),
            ..Frames::default()
        };
        Book::new(&universe, frames, &mut never).expect("a book")
    };
    // Health without a balance, and then the balance that leaves the health that is wanted.
    let model = Arc::new(MarginModel::Linear(model, Key::SettlementAsset));
    let bare = made(vec![0.0; accounts]);
    let evaluated = model.evaluate(&bare, &market, &mut never).expect("figures");
    let rows = evaluated.pools.rows();
    let balance = (0..accounts).map(|account| {
        let distance = match random.next() {
            part if part < 0.005 => 0.001 * (2.0 * random.next() - 1.0),
            part if part < 0.165 => -0.3 * random.next() - 0.001,
            _ => 0.001 + (-2.0 + 0.85 * random.normal()).exp(),
        };
        distance * gross[account] - rows[account].0[result::HEALTH]
    });
    let book = made(balance.map(digits).collect());
    Venue {
        book,
        market,
        model,
        marks,
    }
}

fn tick_latency(engine: &mut Engine, marks: &mut [f64], random: &mut Random) {
    let mut latencies = Vec::with_capacity(TICKS);
    let (mut fallen, mut before) = (0, 0);
    for tick in 0..WARM_UP + TICKS {
        let row = random.below(INSTRUMENTS);
        marks[row] = digits(marks[row] * (1.0 + 1e-4 * random.normal()));
        let event = Event::Tick(vec![Price::Mark(row as u32, marks[row].into())]);
        let start = Instant::now();
        let applied = engine.apply(&event, &mut never).expect("a tick");
        let took = start.elapsed();
        if tick == WARM_UP {
            before = engine.metrics().rejudged;
        }
        if tick >= WARM_UP {
            latencies.push(took);
            fallen += applied.fallen.len();
        }
    }
    latencies.sort_unstable();
    let at = |part: f64| latencies[((TICKS - 1) as f64 * part) as usize];
    let mean = latencies.iter().sum::<Duration>() / TICKS as u32;
    let woken = (engine.metrics().rejudged - before) as f64 / TICKS as f64;
    println!(
        "tick: mean {mean:?}, p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}; {woken:.2} woken and {:.3} fallen a tick",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        fallen as f64 / TICKS as f64
    );
}

/// A million fills of what is held already, of random accounts.
fn many_fills(venue: &Venue, accounts: usize, random: &mut Random, quantity: i128) -> Vec<Fill> {
    let fill = |_| {
        let account = random.below(accounts);
        let held = venue.book.holdings(account).instrument;
        let instrument = held[random.below(held.len())];
        Fill {
            account: account as u32,
            instrument,
            quantity,
            price: venue.marks[instrument as usize].into(),
            fee: 1,
            order: None,
        }
    };
    (0..1_000_000).map(fill).collect()
}

fn main() {
    let accounts = std::env::args().filter_map(|text| text.parse().ok()).next();
    let accounts: usize = accounts.unwrap_or(100_000);
    let mut random = Random(20_200_312);
    let mut venue = venue(accounts, &mut random);
    let limits = Limits::none(venue.model.universe());
    let start = Instant::now();
    let scale = (&[8][..], limits);
    let opened = Engine::new(
        &venue.book,
        &venue.market,
        venue.model.clone(),
        scale,
        &mut never,
    );
    let mut engine = opened.expect("an engine");
    let (ledger, levels, watched) = engine.memory();
    let down = engine.liquidatable().len() as f64 / accounts as f64;
    println!(
        "{accounts} accounts, {} legs, {:.1} % liquidatable; opened in {:?}; {levels} levels; a leg takes {} bytes of ledger and {} of watch",
        venue.book.position_count() + accounts,
        100.0 * down,
        start.elapsed(),
        ledger / (venue.book.position_count() + accounts),
        watched / (venue.book.position_count() + accounts),
    );
    // The first one packs the book.
    venue
        .model
        .evaluate(&venue.book, &venue.market, &mut never)
        .expect("figures");
    let evaluated = Instant::now();
    venue
        .model
        .evaluate(&venue.book, &venue.market, &mut never)
        .expect("figures");
    println!("one full evaluation: {:?}", evaluated.elapsed());
    if std::env::var_os("XMFAST_BENCH_NO_TICKS").is_none() {
        tick_latency(&mut engine, &mut venue.marks, &mut random);
    }

    let mut criterion = Criterion::default().without_plots();
    let orders: Vec<(u32, NewOrder)> = (0..65_536)
        .map(|_| {
            let instrument = random.below(INSTRUMENTS);
            let order = NewOrder {
                instrument: instrument as u32,
                quantity: 100_000_000,
                price: venue.marks[instrument],
                reduce_only: false,
            };
            (random.below(accounts) as u32, order)
        })
        .collect();
    let mut next = orders.iter().cycle();
    criterion.bench_function("check_order", |bencher| {
        bencher.iter(|| {
            let (account, order) = next.next().expect("there is always one");
            engine.check_order(*account, *order, None).expect("a check")
        });
    });
    // Of what is held already, bought and sold in turn.
    let held: Vec<(u32, u32)> = (0..65_536)
        .map(|_| {
            let account = random.below(accounts);
            let held = venue.book.holdings(account).instrument;
            (account as u32, held[random.below(held.len())])
        })
        .collect();
    let sides =
        [1_000_000, -1_000_000].map(|quantity| many_fills(&venue, accounts, &mut random, quantity));
    for side in &sides {
        let start = Instant::now();
        engine.apply_fills(side, &mut never).expect("fills");
        let rate = side.len() as f64 / start.elapsed().as_secs_f64();
        println!("many fills: {:.2} M a second", rate / 1e6);
    }
    let mut next = held.iter().enumerate().cycle();
    let mut fills = 0;
    criterion.bench_function("fill", |bencher| {
        bencher.iter(|| {
            let (number, (account, instrument)) = next.next().expect("there is always one");
            let bought = (number + fills / held.len()).is_multiple_of(2);
            fills += 1;
            let fill = Event::Fill(Fill {
                account: *account,
                instrument: *instrument,
                quantity: if bought { 1_000_000 } else { -1_000_000 },
                price: venue.marks[*instrument as usize].into(),
                fee: 1,
                order: None,
            });
            engine.apply(&fill, &mut never).expect("a fill")
        });
    });
}
