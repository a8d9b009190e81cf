//! The golden portfolios of `tests/golden`, which the Python suite reads too.

use std::path::Path;

use serde::Deserialize;
use xmfast_core::pool::never;
use xmfast_core::{
    Balances, Book, CollateralColumns, CrossMargin, Frames, Id, InstrumentColumns, Key,
    MarginColumns, Market, Place, Positions, Universe, column, evaluate, margin_ratios, result,
};

#[derive(Deserialize)]
struct Portfolio {
    universe: UniverseFrames,
    balances: BalanceFrame,
    positions: PositionFrame,
    market: Prices,
    collateral: CollateralFrame,
    margin: MarginFrame,
    expected: Expected,
}

#[derive(Deserialize)]
struct UniverseFrames {
    assets: AssetFrame,
    instruments: InstrumentFrame,
    numeraire: String,
}

#[derive(Deserialize)]
struct AssetFrame {
    asset: Vec<String>,
}

#[derive(Deserialize)]
struct InstrumentFrame {
    instrument: Vec<String>,
    kind: Vec<String>,
    underlying: Vec<String>,
    settlement: Vec<String>,
    contract_multiplier: Vec<f64>,
    inverse: Vec<bool>,
    allow_negative_price: Vec<bool>,
    strike: Vec<Option<f64>>,
    right: Vec<Option<String>>,
    futures_style: Option<Vec<bool>>,
}

#[derive(Deserialize)]
struct BalanceFrame {
    account: Vec<String>,
    asset: Vec<String>,
    balance: Vec<f64>,
}

#[derive(Deserialize)]
struct PositionFrame {
    account: Vec<String>,
    instrument: Vec<String>,
    quantity: Vec<f64>,
    entry_price: Vec<f64>,
}

#[derive(Deserialize)]
struct Prices {
    index_price: std::collections::BTreeMap<String, f64>,
    mark_price: std::collections::BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct CollateralFrame {
    asset: Vec<String>,
    initial_haircut: Vec<f64>,
    maintenance_haircut: Vec<f64>,
    initial_liability_weight: Vec<f64>,
    maintenance_liability_weight: Vec<f64>,
}

#[derive(Deserialize)]
struct MarginFrame {
    instrument: Vec<String>,
    initial_rate: Vec<f64>,
    maintenance_rate: Vec<f64>,
}

/// JSON has no infinity: null stands for it in `margin_ratio`.
#[derive(Deserialize)]
struct Expected {
    account: Vec<String>,
    equity: Vec<f64>,
    collateral_value: Vec<f64>,
    initial_collateral_value: Vec<f64>,
    initial_margin: Vec<f64>,
    maintenance_margin: Vec<f64>,
    initial_health: Vec<f64>,
    health: Vec<f64>,
    margin_ratio: Vec<Option<f64>>,
    liquidatable: Vec<bool>,
    bankrupt: Vec<bool>,
}

fn ids(names: &[String]) -> xmfast_core::IdColumn {
    names.iter().map(String::as_str).collect()
}

fn check(portfolio: Portfolio) -> xmfast_core::Result<()> {
    let Portfolio {
        universe,
        balances,
        positions,
        market: prices,
        collateral,
        margin,
        expected,
    } = portfolio;
    let instruments = InstrumentColumns {
        instrument: ids(&universe.instruments.instrument),
        kind: ids(&universe.instruments.kind),
        underlying: ids(&universe.instruments.underlying),
        settlement: ids(&universe.instruments.settlement),
        contract_multiplier: Some(universe.instruments.contract_multiplier.into()),
        inverse: Some(universe.instruments.inverse),
        allow_negative_price: Some(universe.instruments.allow_negative_price),
        expiry: None,
        strike: Some(universe.instruments.strike),
        right: Some(universe.instruments.right),
        futures_style: universe.instruments.futures_style,
        settlement_average: None,
    };
    let universe = Universe::new(
        &ids(&universe.assets.asset),
        Some(&instruments),
        Id::Text(&universe.numeraire),
    )?;
    let balances = Balances {
        account: ids(&balances.account),
        asset: ids(&balances.asset),
        balance: balances.balance.into(),
    };
    let positions = Positions {
        account: ids(&positions.account),
        instrument: ids(&positions.instrument),
        quantity: positions.quantity.into(),
        entry_price: positions.entry_price.into(),
        entry_funding: None,
        isolated_margin: None,
    };
    let frames = Frames {
        balances: Some(balances),
        positions: Some(positions),
        ..Frames::default()
    };
    let book = Book::new(&universe, frames, &mut never)?;
    let mut market = Market::new(universe.clone(), None);
    for (name, price) in prices.index_price {
        let slot = universe.index_slot(Id::Text(&name), Place::default)?;
        market.set_index_price(slot, price.into())?;
    }
    for (name, price) in prices.mark_price {
        market.set_mark_price(
            universe.instrument_row(Id::Text(&name), Place::default)? as usize,
            price.into(),
        )?;
    }
    let model = CrossMargin::new(
        &universe,
        Some(&CollateralColumns {
            asset: ids(&collateral.asset),
            initial_haircut: Some(collateral.initial_haircut.into()),
            maintenance_haircut: Some(collateral.maintenance_haircut.into()),
            initial_liability_weight: Some(collateral.initial_liability_weight.into()),
            maintenance_liability_weight: Some(collateral.maintenance_liability_weight.into()),
            amount_floor: None,
            amount_cap: None,
            unrealized_gain_share: None,
        }),
        Some(&MarginColumns {
            instrument: ids(&margin.instrument),
            notional_floor: None,
            initial_rate: margin.initial_rate.into(),
            maintenance_rate: margin.maintenance_rate.into(),
            margin_floor_per_contract: None,
            close_out_fee_rate: None,
        }),
    )?;
    let report = evaluate(&model, Key::SettlementAsset, &book, &market, &mut never)?.pools;

    let accounts: Vec<Id<'_>> = book.accounts().iter().collect();
    assert_eq!(
        accounts,
        expected
            .account
            .iter()
            .map(|id| Id::Text(id))
            .collect::<Vec<_>>()
    );
    let ratios = margin_ratios(report.rows());
    for (account, row) in report.rows().iter().enumerate() {
        let close = |name: &str, found: f64, expected: f64| {
            let tolerance = 1e-9 * expected.abs().max(1.0);
            assert!(
                (found - expected).abs() <= tolerance,
                "{name} of {account}: {found}, not {expected}"
            );
        };
        close("equity", row.0[column::EQUITY], expected.equity[account]);
        close(
            "collateral_value",
            row.0[result::COLLATERAL],
            expected.collateral_value[account],
        );
        let initial = expected.initial_collateral_value[account];
        close(
            "initial_collateral_value",
            row.0[column::INITIAL_COLLATERAL],
            initial,
        );
        close(
            "initial_margin",
            row.0[column::INITIAL_MARGIN],
            expected.initial_margin[account],
        );
        close(
            "maintenance_margin",
            row.0[column::MAINTENANCE_MARGIN],
            expected.maintenance_margin[account],
        );
        close(
            "initial_health",
            row.0[result::INITIAL_HEALTH],
            expected.initial_health[account],
        );
        close("health", row.0[result::HEALTH], expected.health[account]);
        match expected.margin_ratio[account] {
            Some(ratio) => close("margin_ratio", ratios[account], ratio),
            None => assert!(ratios[account] == f64::INFINITY),
        }
        assert_eq!(row.0[result::HEALTH] < 0.0, expected.liquidatable[account]);
        assert_eq!(row.0[column::EQUITY] < 0.0, expected.bankrupt[account]);
    }
    Ok(())
}

#[test]
fn golden_portfolios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).expect("the golden portfolios are there") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let Ok(portfolio) = serde_json::from_str::<Portfolio>(&text) else {
            // Published vectors of other shapes stand in subfolders and under other keys.
            assert!(
                !text.contains("\"balances\""),
                "{} is no portfolio",
                path.display()
            );
            continue;
        };
        check(portfolio).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        read += 1;
    }
    assert!(read >= 15, "only {read} golden portfolios");
}
