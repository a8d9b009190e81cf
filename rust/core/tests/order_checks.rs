//! A check of an order says the same alone, among many, on any number of threads, and when the order is placed.

#[allow(dead_code, reason = "other tests use the rest")]
mod random;

use std::sync::Arc;

use proptest::prelude::*;
use random::{Venue, build, venue};
use xmfast_core::pool::{never, set_threads};
use xmfast_core::{
    Engine, Error, Event, Key, Limits, MarginModel, NewOrder, OrderCheck, ReadOrders, Reason,
};

fn engine(venue: &Venue, key: Key) -> Engine {
    let built = build(venue);
    let mut limits = Limits::none(built.book.universe());
    limits.position[1] = Some(50_000_000_000);
    limits.open_interest[2] = Some(1_000_000_000_000);
    let model = Arc::new(MarginModel::Linear(built.model, key));
    let terms = (&[8; 4][..], limits);
    Engine::new(&built.book, &built.market, model, terms, &mut never).expect("an engine")
}

/// The figures to the bit.
fn bits(check: OrderCheck) -> (Reason, u64, u64) {
    let figures = [check.initial_margin, check.free_collateral];
    let [margin, free] = figures.map(f64::to_bits);
    (check.reason, margin, free)
}

fn reader(orders: &[(u32, NewOrder)]) -> impl ReadOrders {
    move |_: &Engine, rows: &[usize], into: &mut Vec<_>| {
        into.extend(rows.iter().map(|&row| orders[row]));
        Ok(())
    }
}

fn orders(count: usize) -> impl Strategy<Value = Vec<(prop::sample::Index, NewOrder)>> {
    let quantity = prop_oneof![-1_000_000_000_000_i128..1_000_000_000_000, -100_i128..100];
    let nonzero = quantity.prop_map(|quantity| if quantity == 0 { 1 } else { quantity });
    let order = (0..8_u32, nonzero, 0.01..2e3_f64, prop::bool::weighted(0.2)).prop_map(
        |(instrument, quantity, price, reduce_only)| NewOrder {
            instrument,
            quantity,
            price: price.into(),
            reduce_only,
        },
    );
    prop::collection::vec((any::<prop::sample::Index>(), order), 1..count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn many_checks_are_single_checks_are_those_of_placing(
        venue in venue(),
        orders in orders(60),
        alone: bool,
        repeat in prop::sample::select(vec![1_usize, 40]),
    ) {
        let key = if alone { Key::Position } else { Key::SettlementAsset };
        let mut single = engine(&venue, key);
        let accounts = single.accounts().len();
        prop_assume!(accounts > 0);
        let orders: Vec<(u32, NewOrder)> = orders
            .iter()
            .map(|(account, order)| (account.index(accounts) as u32, *order))
            .collect();
        // Enough for several tasks, if the threads have levels to go by.
        let repeat = if alone { 1 } else { repeat };
        let rows = orders.repeat(repeat);
        let singles: Vec<_> = orders
            .iter()
            .map(|(account, order)| bits(single.check_order(*account, *order, None).expect("a check")))
            .collect();
        for threads in [1, 3] {
            // Its table lacks what the first orders need.
            let mut many = engine(&venue, key);
            set_threads(threads);
            let checked = many.check_orders(rows.len(), reader(&rows), &mut never);
            set_threads(0);
            let checked: Vec<_> = checked.expect("checks").into_iter().map(bits).collect();
            prop_assert_eq!(&checked, &singles.repeat(repeat));
            prop_assert_eq!(many.state_hash(), single.state_hash());
        }
        for ((account, order), said) in orders.iter().zip(&singles) {
            let event = Event::Place { account: *account, order: *order };
            let placed = single.apply(&event, &mut never).expect("an order");
            prop_assert_eq!(&bits(placed.check.expect("it was checked")), said);
            prop_assert_eq!(placed.order.is_some(), said.0 == Reason::Accepted);
            if let Some(order) = placed.order {
                single.apply(&Event::Cancel { order }, &mut never).expect("it is open");
            }
        }
    }

    #[test]
    fn of_wrong_orders_the_first_is_named(
        venue in venue(),
        orders in orders(40),
        wrong in prop::collection::btree_set(0..4_000_usize, 1..4),
    ) {
        let mut engine = engine(&venue, Key::SettlementAsset);
        let accounts = engine.accounts().len();
        prop_assume!(accounts > 0);
        let mut rows: Vec<(u32, NewOrder)> = orders
            .iter()
            .cycle()
            .take(4_000)
            .map(|(account, order)| (account.index(accounts) as u32, *order))
            .collect();
        for &row in &wrong {
            rows[row].1.quantity = 0;
        }
        let before = engine.state_hash();
        let error = engine.check_orders(rows.len(), reader(&rows), &mut never);
        let first = wrong.first().expect("at least one");
        let text = error.expect_err("it is wrong").to_string();
        prop_assert!(text.contains(&format!("row {first}:")), "{}", text);
        prop_assert_eq!(engine.state_hash(), before);
    }
}

#[test]
fn the_caller_can_end_many_checks() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let venue = venue().new_tree(&mut runner).expect("a venue").current();
    let mut engine = engine(&venue, Key::SettlementAsset);
    let order = NewOrder {
        instrument: 0,
        quantity: 1,
        price: 1.0.into(),
        reduce_only: false,
    };
    let slow = |_: &Engine, rows: &[usize], into: &mut Vec<_>| {
        std::thread::sleep(std::time::Duration::from_millis(60));
        into.extend(rows.iter().map(|_| (0, order)));
        Ok(())
    };
    let ended = engine.check_orders(1_000_000, slow, &mut || true);
    assert_eq!(ended, Err(Error::Interrupted));
}
