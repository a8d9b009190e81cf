//! Times of the live engine without Python: ticks on a hard book, checks of orders, fills.
//!
//! `cargo bench -p xmfast-core --bench engine -- [ACCOUNTS]`: the hard book of `benches/live.py` but for coins and ids, with 16 % of the accounts
//! liquidatable and 0.5 % within 0.1 % of gross notional of the edge. That holds for the first million; more are healthy, so
//! that a larger book has as many near the edge. Of ten million accounts the bench itself keeps nothing but the book, and that
//! until the engine is open. After ticks come fills of many accounts; then prices jump, one at a time or all at once, beside
//! full evaluations of the same book, funding is paid, and fills come again: by then hardly anybody has a box.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use xmfast_core::pool::never;
use xmfast_core::{
    Accrual, Balances, Book, CrossMargin, Engine, Event, Fill, Frames, Id, IdColumn,
    InstrumentColumns, Key, Limits, MarginColumns, MarginModel, Market, NewOrder, Positions, Price,
    Universe,
};

const INSTRUMENTS: usize = 512;
const TICKS: usize = 1_000_000;
const WARM_UP: usize = 20_000;
/// Accounts of which a part is near the edge or liquidatable.
const HARD: usize = 1_000_000;
/// Which parts these are, and how near some are.
const LIQUIDATABLE: f64 = 0.16;
const NEAR: f64 = 0.005;
const WITHIN: f64 = 0.001;

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
    // Ten million accounts have seventy million positions: they are gathered as the book reads them, each number once.
    let (mut owner, mut instrument) = (
        Vec::with_capacity(8 * accounts),
        Vec::with_capacity(8 * accounts),
    );
    let (mut quantity, mut entry) = (
        Vec::with_capacity(8 * accounts),
        Vec::with_capacity(8 * accounts),
    );
    // Gross notional, and health without a balance.
    let mut bare = vec![(0.0, 0.0); accounts];
    for (account, (gross, health)) in bare.iter_mut().enumerate() {
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
            let contracts = digits(side * notional / marks[row]);
            let paid = digits(marks[row] * (0.05 * random.normal()).exp());
            *health += contracts * (marks[row] - paid) - rate(row) * contracts.abs() * marks[row];
            owner.push(account as u32);
            instrument.push(row as u32);
            quantity.push(contracts);
            entry.push(paid);
        }
    }
    let health = wanted_health(&bare, random);
    let balance = bare.iter().zip(health);
    let balance = balance.map(|((_, bare), wanted)| digits(wanted - bare));
    let everybody: IdColumn = (0..accounts as i64).collect();
    let frames = Frames {
        positions: Some(Positions {
            account: IdColumn {
                codes: owner,
                ids: everybody.ids.clone(),
            },
            instrument: IdColumn {
                codes: instrument,
                ids: universe.instruments().clone(),
            },
            quantity: quantity.into(),
            entry_price: entry.into(),
            entry_funding: None,
            isolated_margin: None,
        }),
        balances: Some(Balances {
            account: everybody,
            asset: (0..accounts).map(|_| "USD").collect(),
            balance: balance.collect::<Vec<f64>>().into(),
        }),
        ..Frames::default()
    };
    drop(bare);
    Venue {
        book: Book::new(&universe, frames, &mut never).expect("a book"),
        model: Arc::new(MarginModel::Linear(model, Key::SettlementAsset)),
        market,
        marks,
    }
}

/// The health that each account's balance leaves, from gross notional and health without it: leverage is lognormal about 7,
/// and then everybody's is moved so far that as many are down as there shall be.
fn wanted_health(bare: &[(f64, f64)], random: &mut Random) -> Vec<f64> {
    let wealth = |_| (-(7.0_f64.ln() + 0.85 * random.normal())).exp();
    let wealth: Vec<f64> = bare.iter().map(wealth).collect();
    let distances = bare.iter().zip(&wealth);
    let distances = distances.map(|((gross, health), wealth)| wealth + health / gross);
    let mut distances: Vec<f64> = distances.collect();
    let mut sorted = distances[..HARD.min(distances.len())].to_vec();
    let rank = (LIQUIDATABLE * sorted.len() as f64) as usize;
    let (_, edge, _) = sorted.select_nth_unstable_by(rank, f64::total_cmp);
    for (account, distance) in distances.iter_mut().enumerate() {
        *distance = match account < HARD {
            true if random.next() < NEAR => WITHIN * (2.0 * random.next() - 1.0),
            true => *distance - *edge + WITHIN.copysign(*distance - *edge),
            false => WITHIN + wealth[account],
        };
    }
    let healths = distances.iter().zip(bare);
    healths
        .map(|(distance, (gross, _))| distance * gross)
        .collect()
}

/// The most memory that this process had so far, where the system says it.
fn most_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<f64> = line.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or_else(String::new, |kib| {
        format!("; at most {:.2} GiB so far", kib / 1_048_576.0)
    })
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
            before = engine.metrics().woken;
        }
        if tick >= WARM_UP {
            latencies.push(took);
            fallen += applied.fallen.len();
        }
    }
    let woken = (engine.metrics().woken - before) as f64 / TICKS as f64;
    println!(
        "tick: {}; {woken:.2} woken and {:.3} fallen a tick",
        quantiles(latencies),
        fallen as f64 / TICKS as f64
    );
}

fn quantiles(mut latencies: Vec<Duration>) -> String {
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    let mean = latencies.iter().sum::<Duration>() / latencies.len() as u32;
    format!(
        "mean {mean:?}, p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    )
}

/// Prices that jump: one of those that most hold, by two percent mostly; or all of them, by one percent and by what
/// is their own.
fn jump_latency(engine: &mut Engine, model: &MarginModel, marks: &mut [f64], random: &mut Random) {
    // Fills changed the book: the first evaluation packs it anew.
    let book = engine.book().expect("a book");
    let evaluated = model.evaluate(&book, engine.market(), &mut never);
    drop(evaluated.expect("figures"));
    drop(book);
    for (name, rounds, at_once) in [("one", 2_000, false), ("all", 60, true)] {
        let (mut latencies, mut evaluations) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let rows = if at_once {
                0..INSTRUMENTS
            } else {
                let row = random.below(32);
                row..row + 1
            };
            let common = if at_once { 0.01 * random.normal() } else { 0.0 };
            let own = if at_once { 0.002 } else { 0.02 };
            let prices = rows.map(|row| {
                marks[row] = digits(marks[row] * (1.0 + common + own * random.normal()));
                Price::Mark(row as u32, marks[row].into())
            });
            let event = Event::Tick(prices.collect());
            let start = Instant::now();
            engine.apply(&event, &mut never).expect("a tick");
            latencies.push(start.elapsed());
            if round % (rounds / 20) == 0 {
                let book = engine.book().expect("a book");
                let start = Instant::now();
                let evaluated = model.evaluate(&book, engine.market(), &mut never);
                evaluations.push(start.elapsed());
                drop(evaluated.expect("figures"));
            }
        }
        println!(
            "{name} jumps: {}; a full evaluation meanwhile: {}",
            quantiles(latencies),
            quantiles(evaluations)
        );
    }
}

/// Funding of all instruments, of a hundredth of a percent of their marks and both signs, as after every eight hours.
fn funding_latency(engine: &mut Engine, marks: &[f64], random: &mut Random) {
    let (mut latencies, before) = (Vec::new(), engine.metrics().rejudged);
    for _ in 0..60 {
        let cumulative = engine.market().cumulative_funding().floats();
        let paid = (0u32..).zip(cumulative.iter().zip(marks));
        let paid = paid
            .map(|(row, (paid, mark))| (row, digits(paid + 1e-4 * random.normal() * mark).into()));
        let event = Event::Accrue(Box::new(Accrual {
            funding: paid.collect(),
            ..Accrual::default()
        }));
        let start = Instant::now();
        engine.apply(&event, &mut never).expect("an accrual");
        latencies.push(start.elapsed());
    }
    let judged = (engine.metrics().rejudged - before) / latencies.len() as u64;
    println!(
        "funding: {}; {judged} judged each time",
        quantiles(latencies)
    );
}

/// What a random account holds: its number and an instrument.
fn place(book: &Book, random: &mut Random) -> (u32, u32) {
    let account = random.below(book.accounts().len());
    let held = book.holdings(account).instrument;
    (account as u32, held[random.below(held.len())])
}

/// A million fills of what is held already, of random accounts, bought, and as many sold.
const MANY_FILLS: usize = 1_000_000;

fn fill_rate(engine: &mut Engine, when: &str, marks: &[f64], random: &mut Random) {
    let book = engine.book().expect("a book");
    let sides = [1_000_000, -1_000_000].map(|quantity| many_fills(&book, marks, random, quantity));
    drop(book);
    for side in &sides {
        let start = Instant::now();
        engine.apply(side, &mut never).expect("fills");
        let rate = MANY_FILLS as f64 / start.elapsed().as_secs_f64();
        println!(
            "many fills {when}: {:.2} M a second{}",
            rate / 1e6,
            most_memory()
        );
    }
}

fn many_fills(book: &Book, marks: &[f64], random: &mut Random, quantity: i128) -> Event {
    let fill = |_| {
        let (account, instrument) = place(book, random);
        Fill {
            account,
            instrument,
            quantity,
            price: marks[instrument as usize].into(),
            fee: 1,
            order: None,
        }
    };
    Event::Fills((0..MANY_FILLS).map(fill).collect())
}

fn main() {
    let accounts = std::env::args().filter_map(|text| text.parse().ok()).next();
    let accounts: usize = accounts.unwrap_or(100_000);
    let mut random = Random(20_200_312);
    let Venue {
        book,
        market,
        model,
        mut marks,
    } = venue(accounts, &mut random);
    let legs = book.position_count() + accounts;
    println!("{accounts} accounts, {legs} legs{}", most_memory());
    let limits = Limits::none(model.universe());
    let start = Instant::now();
    let scale = (&[8][..], limits);
    let opened = Engine::new(&book, &market, model.clone(), scale, &mut never);
    let mut engine = opened.expect("an engine");
    drop(book);
    let (ledger, levels, watched) = engine.memory();
    let down = engine.liquidatable().len() as f64 / accounts as f64;
    println!(
        "{:.1} % liquidatable; opened in {:?}; {levels} levels; a leg takes {} bytes of ledger and {} of watch{}",
        100.0 * down,
        start.elapsed(),
        ledger / legs,
        watched / legs,
        most_memory(),
    );
    let book = engine.book().expect("a book");
    for what in ["a first full evaluation", "one full evaluation"] {
        let start = Instant::now();
        let evaluated = model.evaluate(&book, &market, &mut never);
        evaluated.expect("figures");
        println!("{what}: {:?}{}", start.elapsed(), most_memory());
    }
    drop(book);
    if std::env::var_os("XMFAST_BENCH_NO_TICKS").is_none() {
        tick_latency(&mut engine, &mut marks, &mut random);
        fill_rate(&mut engine, "after ticks", &marks, &mut random);
        jump_latency(&mut engine, &model, &mut marks, &mut random);
        funding_latency(&mut engine, &marks, &mut random);
        fill_rate(&mut engine, "after jumps and funding", &marks, &mut random);
    }

    let mut criterion = Criterion::default().without_plots();
    let book = engine.book().expect("a book");
    // Nine legs: cash and eight positions.
    let nine: Vec<u32> = (0..accounts as u32)
        .filter(|&account| book.holdings(account as usize).instrument.len() == 8)
        .take(64)
        .collect();
    let anybody: Vec<u32> = (0..65_536).map(|_| random.below(accounts) as u32).collect();
    drop(book);
    for (name, accounts) in [("64 of nine legs", nine), ("anybody", anybody)] {
        let order = |&account| {
            let instrument = random.below(INSTRUMENTS);
            let order = NewOrder {
                instrument: instrument as u32,
                quantity: 100_000_000,
                price: marks[instrument].into(),
                reduce_only: false,
            };
            (account, order)
        };
        let orders: Vec<(u32, NewOrder)> =
            accounts.iter().cycle().take(65_536).map(order).collect();
        let mut next = orders.iter().cycle();
        criterion.bench_function(&format!("check_order, {name}"), |bencher| {
            bencher.iter(|| {
                let (account, order) = next.next().expect("there is always one");
                engine.check_order(*account, *order, None).expect("a check")
            });
        });
    }
    // Of what is held already, bought and sold in turn.
    let book = engine.book().expect("a book");
    let held: Vec<(u32, u32)> = (0..65_536).map(|_| place(&book, &mut random)).collect();
    drop(book);
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
                price: marks[*instrument as usize].into(),
                fee: 1,
                order: None,
            });
            engine.apply(&fill, &mut never).expect("a fill")
        });
    });
}
