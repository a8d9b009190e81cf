//! Options and shocks that are refused, by the place of what is wrong.

use xmfast_core::kernel::LossTable;
use xmfast_core::{
    Error, Gains, OptionModel, Row, ShockSet, ShockedOption, ShockedOptions, revalue,
};

const FINE: ShockedOption = ShockedOption {
    forward: 100.0,
    strike: 90.0,
    volatility: 0.5,
    expiry_years: 0.25,
    is_call: false,
    inverse: false,
    scale: 2.5,
    log_discount: -0.01,
    volatility_weight: 0.5,
    shocks: 0,
};

/// Their gains, option by option.
fn revalued(options: &[ShockedOption], set: &ShockSet) -> Result<LossTable, Error> {
    let mut table = LossTable::new(options.len(), set.len());
    let gains = Gains {
        rows: &mut table.rows_mut(),
        at: &(0..options.len()).collect::<Vec<usize>>(),
        weights: &vec![Row([1.0; 8]); set.len().div_ceil(8)],
        largest: &mut vec![0.0; options.len()],
    };
    let options: ShockedOptions = options.iter().copied().collect();
    revalue(&options, std::slice::from_ref(set), 0.01, gains)?;
    Ok(table)
}

#[test]
fn errors_say_what_is_wrong() {
    let refused = |error: Error, words: &[&str]| {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let refuse = |option: ShockedOption, model: OptionModel, words: &[&str]| {
        let set = ShockSet::new(&[0.1], &[0.1], model).expect("fine");
        refused(revalued(&[option], &set).expect_err("refused"), words);
    };
    let worthless = ShockedOption {
        forward: 0.0,
        ..FINE
    };
    let words = ["options, column 'forward', row 0", "0 is not > 0"];
    refuse(worthless, OptionModel::Black76, &words);
    let unknown = ShockedOption {
        strike: f64::NAN,
        ..FINE
    };
    let words = ["'strike'", "NaN is not a finite number"];
    refuse(unknown, OptionModel::Black76, &words);
    let certain = ShockedOption {
        volatility: -0.1,
        ..FINE
    };
    let words = ["'volatility'", "-0.1 is not >= 0"];
    refuse(certain, OptionModel::Black76, &words);
    let huge = ShockedOption {
        scale: f64::MAX,
        ..FINE
    };
    let words = ["options, row 0", "beyond the range of f64"];
    refuse(huge, OptionModel::Black76, &words);
    let coin = ShockedOption {
        inverse: true,
        ..FINE
    };
    refuse(coin, OptionModel::Bachelier, &["inverse"]);
    let below =
        ShockSet::new(&[0.0, -1.1], &[0.0, 0.0], OptionModel::Black76).expect_err("below -1");
    refused(below, &["scenarios, column 'price_shock', row 1", "-1.1"]);
    let uneven = ShockSet::new(&[0.0], &[], OptionModel::Bachelier).expect_err("uneven");
    let words = ["'volatility_shock'", "0 rows, but 'price_shock' has 1"];
    refused(uneven, &words);
}

/// Options of which one is wrong, wherever it stands, are refused by its row and column.
#[test]
fn one_wrong_option_among_many_is_found() {
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    type Set = fn(&mut ShockedOption, f64);
    let columns: [(&str, Set, &[f64]); 8] = [
        (
            "forward",
            |option, x| option.forward = x,
            &[nan, infinity, -infinity, 0.0, -0.0, -1.0],
        ),
        (
            "strike",
            |option, x| option.strike = x,
            &[nan, infinity, -infinity, 0.0, -0.0, -1.0],
        ),
        (
            "volatility",
            |option, x| option.volatility = x,
            &[nan, infinity, -0.1],
        ),
        (
            "expiry_years",
            |option, x| option.expiry_years = x,
            &[nan, infinity, -0.1],
        ),
        (
            "scale",
            |option, x| option.scale = x,
            &[nan, infinity, -infinity, -1.0],
        ),
        (
            "scale",
            |option, x| option.log_discount = x,
            &[nan, infinity, 1e9],
        ),
        (
            "volatility_weight",
            |option, x| option.volatility_weight = x,
            &[nan, infinity, -infinity],
        ),
        // A gain that f64 cannot hold has no column.
        ("", |option, x| option.scale = x, &[f64::MAX]),
    ];
    for model in [OptionModel::Black76, OptionModel::Bachelier] {
        let half_of_it = match model {
            OptionModel::Black76 => -0.5,
            OptionModel::Bachelier => -50.0,
        };
        let set = ShockSet::new(&[half_of_it; 35], &[0.1; 35], model).expect("fine");
        for (column, set_column, values) in columns {
            for (&value, wrong) in values
                .iter()
                .flat_map(|value| [0, 3, 7, 8, 16].map(|at| (value, at)))
            {
                let is_bound = ["forward", "strike"].contains(&column) && value.is_finite();
                if is_bound && model == OptionModel::Bachelier {
                    continue;
                }
                let mut options = [FINE; 17];
                set_column(&mut options[wrong], value);
                let error = revalued(&options, &set);
                let Err(Error::Value { place, .. }) = error else {
                    panic!("{column} = {value} in row {wrong}: {error:?}");
                };
                let named = (place.column.unwrap_or(""), place.row);
                assert_eq!(named, (column, Some(wrong)), "{value}");
            }
        }
    }
    // What is discounted to nothing is worth nothing.
    let nothing = ShockedOption {
        log_discount: f64::NEG_INFINITY,
        ..FINE
    };
    let set = ShockSet::new(&[0.5], &[0.5], OptionModel::Black76).expect("fine");
    let found = revalued(&[nothing], &set).expect("a gain of 0");
    assert_eq!(found.losses(0), [0.0]);
}
