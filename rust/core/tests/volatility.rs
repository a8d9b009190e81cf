//! Volatilities behind prices, and between quotes.

use std::sync::Arc;

use proptest::prelude::*;
use xmfast_core::pool::never;
use xmfast_core::{
    Error, Id, IdColumn, ImpliedStatus, InstrumentColumns, OptionColumns, OptionModel,
    PriceColumns, SurfaceColumns, Universe, VolatilitySurface, implied_volatility, option_greeks,
};

/// A price with its terms.
#[derive(Clone, Copy, Debug)]
struct Quote {
    price: f64,
    forward: f64,
    strike: f64,
    expiry_years: f64,
    rate: f64,
    is_call: bool,
}

fn implied(quote: Quote, model: OptionModel, inverse: bool) -> (f64, ImpliedStatus) {
    let columns = PriceColumns {
        price: &[quote.price],
        forward: &[quote.forward],
        strike: &[quote.strike],
        expiry_years: &[quote.expiry_years],
        rate: &[quote.rate],
        is_call: &[quote.is_call],
    };
    implied_volatility(columns, model, inverse, &mut never).expect("columns of one length")[0]
}

fn price(quote: Quote, volatility: f64, model: OptionModel, inverse: bool) -> f64 {
    let columns = OptionColumns {
        forward: &[quote.forward],
        strike: &[quote.strike],
        volatility: &[volatility],
        expiry_years: &[quote.expiry_years],
        rate: &[quote.rate],
        is_call: &[quote.is_call],
    };
    option_greeks(columns, model, inverse, &mut never).expect("in bounds")[0].value
}

fn quotes() -> impl Strategy<Value = (Quote, f64)> {
    let forward = 0.01f64..100_000.0;
    let years = prop_oneof![4 => 0.005..3.0, 1 => 1e-6..0.005];
    let inputs = (
        forward,
        -1.5..1.5,
        0.01..3.0,
        years,
        -0.05..0.2,
        any::<bool>(),
    );
    inputs.prop_map(
        |(forward, moneyness, volatility, expiry_years, rate, is_call)| {
            let quote = Quote {
                price: 0.0,
                forward,
                strike: forward * f64::exp(moneyness),
                expiry_years,
                rate,
                is_call,
            };
            (quote, volatility)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_volatility_found_gives_the_price(
        (quote, volatility) in quotes(),
        inverse in any::<bool>(),
        normal in any::<bool>(),
    ) {
        let model = if normal { OptionModel::Bachelier } else { OptionModel::Black76 };
        let inverse = inverse && !normal;
        let volatility = if normal { volatility * quote.forward } else { volatility };
        let given = price(quote, volatility, model, inverse);
        let (found, status) = implied(Quote { price: given, ..quote }, model, inverse);
        let size = quote.forward.max(quote.strike) / if inverse { quote.forward } else { 1.0 };
        match status {
            ImpliedStatus::Ok => {
                let again = price(quote, found, model, inverse);
                prop_assert!((again - given).abs() <= 1e-13 * size, "{found} for {volatility}");
            }
            // All is lost to rounding only where the price says nothing of volatility.
            ImpliedStatus::AboveBound => prop_assert!(volatility * quote.expiry_years.sqrt() > 5.0),
            status => prop_assert!(false, "{:?}", status),
        }
    }
}

const AT_100: Quote = Quote {
    price: 5.0,
    forward: 100.0,
    strike: 110.0,
    expiry_years: 0.5,
    rate: 0.0,
    is_call: true,
};

#[test]
fn every_status_has_its_reason() {
    let black = |quote| implied(quote, OptionModel::Black76, false);
    let status = |quote| {
        let (volatility, status) = black(quote);
        assert!(volatility.is_nan());
        status
    };
    assert_eq!(black(AT_100).1, ImpliedStatus::Ok);
    let put = Quote {
        is_call: false,
        ..AT_100
    };
    assert_eq!(status(put), ImpliedStatus::BelowIntrinsic);
    assert_eq!(
        status(Quote {
            price: -1.0,
            ..AT_100
        }),
        ImpliedStatus::BelowIntrinsic
    );
    assert_eq!(
        status(Quote {
            price: 100.0,
            ..AT_100
        }),
        ImpliedStatus::AboveBound
    );
    assert_eq!(
        status(Quote {
            expiry_years: 0.0,
            ..AT_100
        }),
        ImpliedStatus::Expired
    );
    assert_eq!(
        status(Quote {
            expiry_years: -1.0,
            ..AT_100
        }),
        ImpliedStatus::Expired
    );
    for wrong in [
        Quote {
            price: f64::NAN,
            ..AT_100
        },
        Quote {
            forward: f64::INFINITY,
            ..AT_100
        },
        Quote {
            forward: 0.0,
            ..AT_100
        },
        Quote {
            strike: -1.0,
            ..AT_100
        },
        Quote {
            rate: f64::NAN,
            ..AT_100
        },
        Quote {
            expiry_years: f64::NAN,
            ..AT_100
        },
    ] {
        assert_eq!(status(wrong), ImpliedStatus::InvalidInput, "{wrong:?}");
    }
    let names = ImpliedStatus::ALL.map(|status| (status as usize, status.name()));
    assert_eq!(names[1], (1, "below_intrinsic"));
    assert!(
        names
            .iter()
            .enumerate()
            .all(|(at, (number, _))| at == *number)
    );
}

#[test]
fn an_intrinsic_price_has_no_volatility() {
    assert_eq!(
        implied(
            Quote {
                price: 0.0,
                ..AT_100
            },
            OptionModel::Black76,
            false
        ),
        (0.0, ImpliedStatus::Ok)
    );
    let put = Quote {
        price: 10.0,
        is_call: false,
        ..AT_100
    };
    assert_eq!(
        implied(put, OptionModel::Black76, false),
        (0.0, ImpliedStatus::Ok)
    );
    // A last bit below is rounding, a cent is not.
    let (volatility, status) = implied(
        Quote {
            price: 10f64.next_down(),
            ..put
        },
        OptionModel::Black76,
        false,
    );
    assert_eq!((volatility, status), (0.0, ImpliedStatus::Ok));
}

#[test]
fn negative_forwards_have_normal_volatilities() {
    let quote = Quote {
        price: 3.0,
        forward: -37.0,
        strike: -40.0,
        ..AT_100
    };
    let (volatility, status) = implied(quote, OptionModel::Bachelier, false);
    assert_eq!(status, ImpliedStatus::Ok);
    assert_eq!(volatility, 0.0);
    let (volatility, _) = implied(
        Quote {
            price: 9.0,
            ..quote
        },
        OptionModel::Bachelier,
        false,
    );
    assert!((price(quote, volatility, OptionModel::Bachelier, false) - 9.0).abs() < 1e-12);
}

const DAY: i64 = 86_400_000_000_000;

fn universe() -> Arc<Universe> {
    let text = |ids: &[&'static str]| ids.iter().copied().collect::<IdColumn>();
    let columns = InstrumentColumns {
        instrument: text(&["BTC-C", "BTC-PERP", "BTC-OLD", "ETH-C"]),
        kind: text(&["option", "perpetual", "option", "option"]),
        underlying: text(&["BTC", "BTC", "BTC", "ETH"]),
        settlement: text(&["USD", "USD", "USD", "USD"]),
        contract_multiplier: None,
        inverse: None,
        allow_negative_price: None,
        expiry: Some(vec![Some(365 * DAY), None, Some(-DAY), Some(DAY)]),
        strike: Some(vec![Some(200.0), None, Some(100.0), Some(100.0)]),
        right: Some(vec![
            Some("call".into()),
            None,
            Some("put".into()),
            Some("call".into()),
        ]),
        futures_style: None,
        settlement_average: None,
    };
    Universe::new(&text(&["USD"]), Some(&columns), Id::Text("USD")).expect("a universe")
}

/// Expiry in days, strike, volatility, forward.
type Row = (i64, f64, f64, f64);

fn columns(rows: &[Row]) -> SurfaceColumns {
    SurfaceColumns {
        underlying: rows.iter().map(|_| "BTC").collect(),
        expiry: rows.iter().map(|row| row.0 * DAY).collect(),
        strike: rows.iter().map(|row| row.1).collect(),
        volatility: rows.iter().map(|row| row.2).collect(),
        forward: Some(rows.iter().map(|row| row.3).collect()),
    }
}

fn surface(rows: &[Row]) -> Result<VolatilitySurface, Error> {
    VolatilitySurface::new(universe(), &columns(rows), 0)
}

/// Two expiries, of which the later has the higher forward; not sorted.
const ROWS: [Row; 4] = [
    (730, 400.0, 0.5, 200.0),
    (365, 100.0, 0.4, 100.0),
    (365, 200.0, 0.6, 100.0),
    (730, 200.0, 0.5, 200.0),
];

fn at(surface: &VolatilitySurface, strike: f64, days: i64) -> f64 {
    surface
        .volatility(Id::Text("BTC"), strike, days * DAY)
        .expect("quoted")
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
}

#[test]
fn between_quotes_total_variance_is_linear() {
    let surface = surface(&ROWS).expect("quotes in their bounds");
    near(at(&surface, 200.0, 365), 0.6);
    // Half way in ln(strike), half way in variance.
    near(
        at(&surface, f64::sqrt(20_000.0), 365),
        f64::sqrt((0.16 + 0.36) / 2.0),
    );
    // Outside, the volatility of the outer strike and the outer expiry.
    near(at(&surface, 1.0, 365), 0.4);
    near(at(&surface, 1e6, 365), 0.6);
    near(at(&surface, 200.0, 30), 0.6);
    near(at(&surface, 200.0, 3650), 0.5);
    // Half way in time the forward is sqrt(100 x 200); there, at the money, variances are 0.16 x 1 and 0.25 x 2.
    let (days, years) = (1095 / 2, f64::from(1095 / 2) / 365.0);
    let share = years - 1.0;
    let forward = 100.0 * f64::powf(2.0, share);
    let variance = 0.16 * (1.0 - share) + 0.5 * share;
    near(at(&surface, forward, days), f64::sqrt(variance / years));
}

#[test]
fn forwards_of_an_expiry_may_differ_a_little() {
    let mut rows = ROWS;
    rows[1].3 = 100.5;
    let surface = surface(&rows).expect("less than 1 % apart");
    near(at(&surface, 100.0, 365), 0.4);
    near(at(&surface, 200.0, 365), 0.6);
}

#[test]
fn instruments_find_their_volatility() {
    let found = surface(&ROWS)
        .expect("quotes in their bounds")
        .of_instruments();
    near(found[0].expect("an option on BTC"), 0.6);
    assert_eq!(found[1..], [None, None, None]);
}

#[test]
fn falling_variance_is_told() {
    let sound = surface(&ROWS).expect("quotes in their bounds");
    assert_eq!(sound.calendar_arbitrage(), []);
    let rows = [(365, 100.0, 0.6, 100.0), (730, 100.0, 0.4, 100.0)];
    let found = surface(&rows)
        .expect("it is told, not refused")
        .calendar_arbitrage();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].expiry, 730 * DAY);
    near(found[0].strike, 100.0);
    near(found[0].missing_variance, 0.36 - 0.32);
}

#[test]
fn faults_name_their_place() {
    let refused = |error: Error, words: &[&str]| {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let row = ROWS[0];
    let refuse = |rows: &[Row], words: &[&str]| refused(surface(rows).expect_err("refused"), words);
    refuse(
        &[row, (1, -1.0, 0.5, 1.0)],
        &["volatility surface, column 'strike', row 1", "not > 0"],
    );
    refuse(&[(1, 1.0, -0.5, 1.0)], &["'volatility', row 0", "not >= 0"]);
    refuse(
        &[(1, 1.0, f64::NAN, 1.0)],
        &["'volatility', row 0", "not a finite number"],
    );
    refuse(&[(1, 1.0, 0.5, 0.0)], &["'forward', row 0", "not > 0"]);
    refuse(
        &[(0, 1.0, 0.5, 1.0)],
        &["'expiry', row 0", "not after the time"],
    );
    refuse(&[row, row], &["'strike', row 1", "stands in row 0 already"]);
    refuse(
        &[row, (row.0, 1.0, 0.5, 7.0)],
        &["'forward'", "one forward"],
    );
    let unknown = SurfaceColumns {
        underlying: ["BTCC"].into_iter().collect(),
        ..columns(&[row])
    };
    let error = VolatilitySurface::new(universe(), &unknown, 0).expect_err("no such underlying");
    refused(
        error,
        &[
            "'underlying', row 0",
            "no underlying",
            "did you mean",
            "BTC",
        ],
    );
    let surface = surface(&ROWS).expect("quotes in their bounds");
    let ask = |id, strike, days| {
        surface
            .volatility(Id::Text(id), strike, days * DAY)
            .expect_err("refused")
    };
    refused(ask("ETH", 1.0, 1), &["no quotes of", "ETH", "BTC"]);
    refused(ask("BTX", 1.0, 1), &["no underlying", "BTC"]);
    refused(ask("BTC", 0.0, 1), &["'strike'", "not > 0"]);
    refused(ask("BTC", 1.0, 0), &["'expiry'", "not after"]);
}
