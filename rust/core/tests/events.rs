//! Every kind of event: whom it makes the engine judge again, and what it says of who fell.

#[allow(dead_code, reason = "other tests use the rest")]
mod random;

use std::collections::BTreeSet;
use std::sync::Arc;

use random::{Venue, build, nothing};
use xmfast_core::pool::never;
use xmfast_core::{
    AccountId, Accrual, Engine, Event, Extension, Fill, Key, Limits, MarginModel, NewOrder,
    Payment, Price, Rejudged,
};

const UNIT: i128 = 100_000_000;

fn some_venue() -> Venue {
    Venue {
        balances: vec![(0, 0, 1000.0), (1, 0, 1000.0), (1, 2, 5.0)],
        positions: vec![(0, 0, 5.0, 1.0, 0.0, None), (1, 1, -5.0, 1.0, 0.0, None)],
        rates: [(0.1, 0.05); 8],
        ..nothing()
    }
}

fn opened(key: Key) -> Engine {
    let built = build(&some_venue());
    let limits = Limits::none(built.book.universe());
    let model = Arc::new(MarginModel::Linear(built.model, key));
    let terms = (&[8; 4][..], limits);
    Engine::new(&built.book, &built.market, model, terms, &mut never).expect("an engine")
}

fn fill(account: u32, quantity: i128, price: f64) -> Fill {
    Fill {
        account,
        instrument: 0,
        quantity,
        price: price.into(),
        fee: 0,
        order: None,
    }
}

fn pay(account: u32, asset: u32, amount: i128) -> Payment {
    Payment {
        account,
        asset,
        amount,
    }
}

/// One of each kind, all of which are done, and whom each must make the engine judge.
fn one_of_each(engine: &Engine) -> Vec<(Event, Rejudged)> {
    let order = NewOrder {
        instrument: 0,
        quantity: UNIT,
        price: 1.0.into(),
        reduce_only: false,
    };
    let extension = Extension {
        model: Arc::clone(engine.model()),
        market: engine.market().clone(),
        decimals: Vec::new(),
        limits: Limits {
            position: Vec::new(),
            open_interest: Vec::new(),
            borrowable: Vec::new(),
            ..Limits::none(engine.universe())
        },
    };
    let accrual = Accrual {
        time: Some(1),
        funding: vec![(0, 0.5.into())],
        interest: vec![(0, [1.5.into(), 1.5.into()])],
    };
    let touched = [
        Event::Place { account: 0, order },
        Event::Amend {
            order: 1,
            quantity: Some(2 * UNIT),
            price: None,
        },
        Event::Cancel { order: 1 },
        Event::Fill(fill(0, UNIT, 1.0)),
        Event::Fills(vec![fill(0, UNIT, 1.0), fill(1, -UNIT, 1.0)]),
        Event::Trade {
            maker: fill(0, -UNIT, 1.0),
            taker: fill(1, UNIT, 1.0),
        },
        Event::Deposit(pay(0, 0, UNIT)),
        Event::Withdraw(pay(0, 0, UNIT)),
        Event::Transfer {
            payment: pay(0, 0, UNIT),
            to: 1,
        },
        Event::TransferPosition {
            from: 0,
            to: 1,
            instrument: 0,
            quantity: UNIT,
        },
        Event::Exchange {
            sold: pay(1, 2, UNIT),
            bought: 0,
            amount: UNIT,
            fee: 0,
        },
        Event::AddAccount(AccountId::Int(77)),
    ];
    let woken = [Event::Tick(vec![Price::Mark(0, 2.0.into())])];
    let paid = Event::Accrue(Box::new(accrual));
    let everybody = [
        Event::SetParameters(Arc::clone(engine.model())),
        Event::AddInstruments(Box::new(extension)),
    ];
    let settled = Event::Settle {
        instrument: 0,
        price: 2.0.into(),
    };
    let time_alone = Accrual {
        time: Some(2),
        ..Accrual::default()
    };
    let time_alone = Event::Accrue(Box::new(time_alone));
    let with = |whom: Rejudged| move |event: Event| (event, whom);
    let touched = touched.into_iter().map(with(Rejudged::Touched));
    let woken = woken.into_iter().map(with(Rejudged::Woken));
    touched
        .chain(woken)
        .chain(everybody.into_iter().map(with(Rejudged::Everybody)))
        .chain([
            (paid, Rejudged::Paid),
            (time_alone, Rejudged::TimeDependent),
            (settled, Rejudged::Touched),
        ])
        .collect()
}

/// So many accounts were judged again since then.
fn judged(engine: &Engine, before: u64) -> u64 {
    engine.metrics().rejudged - before
}

#[test]
fn every_kind_of_event_judges_whom_the_table_names() {
    for key in [Key::SettlementAsset, Key::Position] {
        let mut engine = opened(key);
        let mut kinds = BTreeSet::new();
        for (event, whom) in one_of_each(&engine) {
            assert_eq!(event.rejudges(), whom, "{event:?}");
            let before = engine.metrics().rejudged;
            // Debug builds assert that those were judged again.
            let applied = engine.apply(&event, &mut never);
            let applied = applied.unwrap_or_else(|error| panic!("{event:?}: {error}"));
            assert!(applied.check.is_none_or(|check| check.is_accepted()));
            let everybody = engine.accounts().len() as u64;
            let again = judged(&engine, before);
            match whom {
                // Without levels, to judge all is the way to judge many.
                Rejudged::Touched if key == Key::Position && event.name() == "settle" => {
                    assert_eq!(again, everybody);
                }
                Rejudged::TimeDependent if key == Key::SettlementAsset => assert_eq!(again, 0),
                Rejudged::TimeDependent => assert_eq!(again, everybody),
                Rejudged::Touched => assert!((1..=2).contains(&again), "{event:?}: {again}"),
                Rejudged::Paid if key == Key::Position => assert_eq!(again, everybody),
                Rejudged::Woken | Rejudged::Paid => {
                    assert!(again <= everybody, "{event:?}: {again}");
                }
                Rejudged::Everybody => assert_eq!(again, everybody, "{event:?}"),
            }
            kinds.insert(event.name());
        }
        assert_eq!(kinds.len(), 16, "{kinds:?}");
    }
}

#[test]
fn a_repetition_says_who_fell_whoever_was_asked_for_meanwhile() {
    let mut engine = opened(Key::SettlementAsset);
    let loss = Event::Fill(fill(0, 5 * UNIT, 1e6));
    let first = engine.apply_once("mine", &loss, &mut never).expect("done");
    assert_eq!(first.fallen, [0]);
    assert_eq!(engine.drain_fallen(), [0]);
    let again = engine.apply_once("mine", &loss, &mut never).expect("known");
    assert_eq!(again, first);
    assert_eq!(engine.fallen(), [0_u32; 0]);
}
