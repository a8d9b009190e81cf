//! A plain account read straight from the ledger: one unit, no orders that could add to a position, no leverage cap,
//! nothing isolated. Nearly all accounts are so, and the long way, through a book and units, takes longer than to judge.

use crate::ledger::{Account, Accounts, QUANTITY_DECIMALS, Sum, float_of};
use crate::table::{PositionRow, Rows};
use crate::units::cancels;

/// Puts the legs of an account into lists, the same as `AccountUnits::read` makes of it, and returns their home; `None`
/// if it is not plain, or 128 bits do not say what its positions cost.
pub(super) fn read_plain(
    accounts: &Accounts,
    account: &Account,
    (rows, quantities): (&mut Vec<u32>, &mut Vec<f64>),
) -> Option<usize> {
    let opens = account.orders.iter().any(|order| !order.reduce_only);
    if opens || account.leverage_cap.is_some() {
        return None;
    }
    let kinds = Rows::of(accounts.universe());
    rows.clear();
    quantities.clear();
    let mut push = |row: usize, quantity: f64| {
        if quantity != 0.0 {
            rows.push(row as u32);
            quantities.push(quantity);
        }
    };
    let home = match account.positions.first() {
        Some(first) => {
            let specs = accounts.universe().specs();
            Some((
                specs[first.instrument as usize].settlement,
                cost(accounts, account)?,
            ))
        }
        None => None,
    };
    let mut cost = home;
    for cash in account.cash.iter().filter(|cash| cash.amount != 0) {
        let balance = accounts.balance(cash).float();
        if let Some((home, cost)) = cost.take_if(|(home, _)| *home < cash.asset) {
            push(kinds.cost(home as usize), cost);
        }
        let asset = cash.asset as usize;
        let is_home = home.is_some_and(|(home, _)| home == cash.asset);
        let row = if is_home {
            kinds.netted_cash(asset, balance)
        } else {
            kinds.cash(asset, balance)
        };
        push(row, balance);
    }
    if let Some((home, cost)) = cost {
        push(kinds.cost(home as usize), cost);
    }
    for position in &account.positions {
        let spec = &accounts.universe().specs()[position.instrument as usize];
        let row = kinds.position(PositionRow {
            instrument: position.instrument as usize,
            short_option: position.quantity < 0 && spec.is_paid_up_front(),
            by_exposure: false,
        });
        push(row, float_of(position.quantity, QUANTITY_DECIMALS));
    }
    Some(home.map_or(0, |(home, _)| home as usize + 1))
}

/// What the positions of an account cost, if all settle in one asset and none is isolated.
fn cost(accounts: &Accounts, account: &Account) -> Option<f64> {
    let specs = accounts.universe().specs();
    let settlement = specs[account.positions[0].instrument as usize].settlement;
    let decimals = accounts.decimals(settlement);
    let (mut cost, mut gross, mut whole, mut funded) = (0.0_f64, 0.0_f64, 0_i128, false);
    for position in &account.positions {
        let spec = &specs[position.instrument as usize];
        if position.isolated.is_some() || spec.settlement != settlement {
            return None;
        }
        let entry = float_of(position.cost, decimals);
        whole += position.cost;
        cost += entry;
        gross += entry.abs();
        let funding = accounts.entry_funding(position).float();
        if funding != 0.0 {
            funded = true;
            let quantity = float_of(position.quantity, QUANTITY_DECIMALS);
            let value: f64 = 0.0 - spec.funding_value(funding);
            cost = quantity.mul_add(value, cost);
            gross += quantity.abs() * value.abs();
        }
    }
    if !cancels(account.positions.len(), gross, cost) {
        return Some(cost);
    }
    // Whole units add up exactly.
    if !funded {
        return Some(float_of(whole, decimals));
    }
    let exact = (account.positions.iter()).try_fold(Sum::of(whole, decimals), |sum, position| {
        let multiplier = specs[position.instrument as usize]
            .contract_multiplier
            .as_ref();
        let funding = accounts.entry_funding(position).as_ref();
        // Entry values are less what was paid before.
        sum.with_funding(-position.quantity, multiplier, funding)
    });
    exact.map(Sum::float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{Block, Book, Frames};
    use crate::ids::Id;
    use crate::ledger::{Cash, Ledger, OpenOrder, Position};
    use crate::market::Market;
    use crate::pool::never;
    use crate::units::{AccountUnits, Key, Reader};
    use crate::universe::{InstrumentColumns, Universe};
    use proptest::prelude::*;

    /// Three assets; perpetuals and options, two of each settled in either of the last two.
    fn accounts() -> Accounts {
        let names = ["A-PERP", "A-CALL", "B-PERP", "B-CALL"];
        let is_option = |name: &&str| name.ends_with("CALL");
        let options = || names.iter().map(is_option);
        let columns = InstrumentColumns {
            instrument: names.into_iter().collect(),
            kind: options()
                .map(|option| if option { "option" } else { "perpetual" })
                .collect(),
            underlying: names.iter().map(|_| "U").collect(),
            settlement: ["A", "A", "B", "B"].into_iter().collect(),
            contract_multiplier: None,
            inverse: None,
            allow_negative_price: None,
            expiry: Some(options().map(|option| option.then_some(i64::MAX)).collect()),
            strike: Some(options().map(|option| option.then_some(5.0)).collect()),
            right: Some(
                options()
                    .map(|option| option.then(|| "call".to_owned()))
                    .collect(),
            ),
            futures_style: None,
            settlement_average: None,
        };
        let assets = ["USD", "A", "B"].into_iter().collect();
        let universe = Universe::new(&assets, Some(&columns), Id::Text("USD")).expect("a universe");
        let mut market = Market::new(universe.clone(), None);
        let book = Book::new(&universe, Frames::default(), &mut never).expect("a book");
        let (mut ledger, _) =
            Ledger::open(&book, &market, &[2, 8, 18], &mut never).expect("a ledger");
        market
            .set_cumulative_funding(0, 0.25.into())
            .expect("a funding");
        market.set_deposit_index(1, 1.25.into()).expect("an index");
        market.set_borrow_index(1, 1.5.into()).expect("an index");
        ledger.accrue(&market);
        ledger.accounts().clone()
    }

    /// Whole units of which many cancel, and some need more than an f64.
    fn amounts() -> impl Strategy<Value = i128> {
        prop_oneof![
            -3_000..3_000_i128,
            Just(10_i128.pow(14)),
            Just(-(10_i128.pow(14)) + 1),
            -(10_i128.pow(20))..10_i128.pow(20),
        ]
        .prop_filter("not 0", |amount| *amount != 0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_plain_account_reads_as_by_its_units(
            cash in prop::collection::vec((any::<bool>(), amounts(), 0..2_u32), 3),
            positions in prop::collection::vec((any::<bool>(), amounts(), amounts(), 0..2_u32), 4),
            others in 0..12_u32,
            cancels in any::<bool>(),
        ) {
            let accounts = accounts();
            let mut account = Account::default();
            for (asset, (held, amount, touched)) in (0..).zip(cash) {
                if held {
                    let touched = if asset == 1 { touched } else { 0 };
                    account.cash.push(Cash { asset, touched, amount });
                }
            }
            for (instrument, (held, quantity, cost, touched)) in (0..).zip(positions) {
                if held {
                    let touched = if instrument == 0 { touched } else { 0 };
                    let isolated = (others == 1).then_some(5);
                    account.positions.push(Position { instrument, touched, quantity, cost, isolated });
                }
            }
            if cancels && let Some((first, more)) = account.positions.split_first_mut() {
                // All but a unit, what was paid of a funding of a quarter included.
                let paid = if first.touched > 0 { first.quantity / 4 } else { 0 };
                first.cost = paid + 1 - more.iter().map(|position| position.cost).sum::<i128>();
            }
            if others == 2 || others == 3 {
                let reduce_only = others == 3;
                account.insert_order(OpenOrder { id: 1, instrument: 0, reduce_only, quantity: 1, price: 1.0.into() });
            }
            account.leverage_cap = (others == 4).then(|| 3.0.into());
            let (mut block, mut units) = (Block::default(), AccountUnits::<f64>::default());
            accounts.push_booked(&account, false, &mut block);
            units.read(Reader::new(accounts.universe(), Key::SettlementAsset), block.holdings(0));
            let (mut rows, mut quantities) = (Vec::new(), Vec::new());
            let home = read_plain(&accounts, &account, (&mut rows, &mut quantities));
            let isolated = others == 1 && !account.positions.is_empty();
            let plain = units.units().len() == 1 && !isolated && others != 2 && others != 4;
            if let Some(home) = home {
                prop_assert!(plain);
                let unit = units.units().next().expect("there is one");
                prop_assert_eq!(home, unit.home);
                let bits = |quantity: &f64| quantity.to_bits();
                let expected = unit.legs.iter().map(|leg| (leg.row as u32, leg.quantity.to_bits()));
                let found = rows.iter().copied().zip(quantities.iter().map(bits));
                prop_assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            } else {
                prop_assert!(!plain);
            }
        }
    }
}
