//! Options against 30 digits, against each other and against the laws that no model may break.

use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;
use xmfast_core::kernel::LossTable;
use xmfast_core::pool::never;
use xmfast_core::{
    Error, Gains, Greeks, OptionColumns, OptionModel, Row, ShockSet, ShockedOption, ShockedOptions,
    Simd, option_greeks, revalue,
};

/// One option with its rate.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Terms {
    forward: f64,
    strike: f64,
    volatility: f64,
    expiry_years: f64,
    rate: f64,
    is_call: bool,
}

fn all_greeks(options: &[Terms], model: OptionModel, inverse: bool) -> Vec<Greeks<f64>> {
    let column = |f: fn(&Terms) -> f64| options.iter().map(f).collect::<Vec<f64>>();
    let is_call: Vec<bool> = options.iter().map(|option| option.is_call).collect();
    let columns = OptionColumns {
        forward: &column(|option| option.forward),
        strike: &column(|option| option.strike),
        volatility: &column(|option| option.volatility),
        expiry_years: &column(|option| option.expiry_years),
        rate: &column(|option| option.rate),
        is_call: &is_call,
    };
    option_greeks(columns, model, inverse, &mut never).expect("inputs in their bounds")
}

fn greeks(option: Terms, model: OptionModel, inverse: bool) -> Greeks<f64> {
    all_greeks(&[option], model, inverse)[0]
}

fn black(option: Terms) -> Greeks<f64> {
    greeks(option, OptionModel::Black76, false)
}

#[derive(Deserialize)]
struct GoldenOption {
    model: String,
    inverse: bool,
    #[serde(flatten)]
    terms: Terms,
    expected: [f64; 6],
}

#[derive(Deserialize)]
struct Golden {
    options: Vec<GoldenOption>,
}

#[test]
fn golden_values() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/options/values.json");
    let text = std::fs::read_to_string(path).expect("the golden values are there");
    let golden: Golden = serde_json::from_str(&text).expect("columns of numbers");
    assert!(golden.options.len() > 200);
    for option in golden.options {
        let model = match option.model.as_str() {
            "black76" => OptionModel::Black76,
            _ => OptionModel::Bachelier,
        };
        let terms = option.terms;
        let found = greeks(terms, model, option.inverse);
        let size = terms.forward.abs().max(terms.strike.abs());
        let unit = if option.inverse {
            size / terms.forward
        } else {
            size
        };
        let [value, delta, gamma, vega, theta, rho] = option.expected;
        let what = |name| {
            format!(
                "{name} of {} {terms:?} inverse {}",
                option.model, option.inverse
            )
        };
        let near = |name, found: f64, expected: f64, scale: f64| {
            let error = (found - expected).abs();
            assert!(
                error <= 1e-12 * scale,
                "{}: {found}, not {expected}",
                what(name)
            );
        };
        near("value", found.value, value, unit);
        near("rho", found.rho, rho, unit * (1.0 + terms.expiry_years));
        // The others are smooth in the value's units only where volatility is; what d1 loses by rounding, they lose
        // divided by the total volatility.
        let total = terms.volatility * terms.expiry_years.sqrt();
        let width = if model == OptionModel::Black76 {
            total
        } else {
            total / size
        };
        let lost = 1.0 + 1e-3 / width.max(1e-12);
        let delta_unit = unit / terms.forward.abs().max(1.0).min(size);
        near("delta", found.delta, delta, lost * delta_unit.max(1.0));
        near(
            "gamma",
            found.gamma,
            gamma,
            lost * (gamma.abs() + delta_unit),
        );
        near("vega", found.vega, vega, lost * (vega.abs() + unit));
        near("theta", found.theta, theta, lost * (theta.abs() + unit));
    }
}

fn terms() -> impl Strategy<Value = Terms> {
    let forward = 0.01f64..100_000.0;
    let moneyness = prop_oneof![4 => -1.5..1.5, 1 => -12.0..12.0, 1 => Just(0.0)];
    let volatility = prop_oneof![6 => 0.05..1.5, 1 => 1e-6..30.0, 1 => Just(0.0)];
    let years = prop_oneof![6 => 0.01..2.0, 1 => 1e-9..40.0, 1 => Just(0.0)];
    (
        forward,
        moneyness,
        volatility,
        years,
        -0.05..0.3,
        any::<bool>(),
    )
        .prop_map(
            |(forward, moneyness, volatility, expiry_years, rate, is_call)| Terms {
                forward,
                strike: forward * f64::exp(moneyness),
                volatility,
                expiry_years,
                rate,
                is_call,
            },
        )
}

/// Where no figure is extreme, so that differences show derivatives.
fn ordinary() -> impl Strategy<Value = Terms> {
    (
        10.0f64..1000.0,
        -0.5..0.5,
        0.1..1.0,
        0.1..2.0,
        -0.05..0.2,
        any::<bool>(),
    )
        .prop_map(
            |(forward, moneyness, volatility, expiry_years, rate, is_call)| Terms {
                forward,
                strike: forward * f64::exp(moneyness),
                volatility,
                expiry_years,
                rate,
                is_call,
            },
        )
}

fn discount(option: &Terms) -> f64 {
    (-option.rate * option.expiry_years).exp()
}

fn tolerance(option: &Terms) -> f64 {
    1e-13 * option.forward.max(option.strike) * discount(option).max(1.0)
}

proptest! {
    #[test]
    fn a_call_less_a_put_is_the_discounted_forward(option in terms()) {
        let worth = |is_call| black(Terms { is_call, ..option }).value;
        let parity = discount(&option) * (option.forward - option.strike);
        prop_assert!((worth(true) - worth(false) - parity).abs() <= 4.0 * tolerance(&option));
    }

    #[test]
    fn a_value_lies_between_intrinsic_and_all(option in terms()) {
        let value = black(option).value;
        let (receive, pay) = if option.is_call {
            (option.forward, option.strike)
        } else {
            (option.strike, option.forward)
        };
        let slack = tolerance(&option);
        prop_assert!(value >= 0.0 && value >= discount(&option) * (receive - pay) - slack);
        prop_assert!(value <= discount(&option) * receive + slack);
        if option.volatility * option.expiry_years == 0.0 {
            let intrinsic = discount(&option) * (receive - pay).max(0.0);
            prop_assert!((value - intrinsic).abs() <= slack);
        }
    }

    #[test]
    fn more_volatility_is_never_worth_less(option in terms(), more in 0.0..2.0) {
        let volatility = option.volatility + more;
        let later = black(Terms { volatility, ..option }).value;
        prop_assert!(later >= black(option).value - tolerance(&option));
    }

    #[test]
    fn values_scale_with_prices(option in terms(), factor in 1e-3f64..1e3) {
        let scaled = Terms { forward: factor * option.forward, strike: factor * option.strike, ..option };
        let expected = factor * black(option).value;
        prop_assert!((black(scaled).value - expected).abs() <= 4.0 * factor * tolerance(&option));
    }

    #[test]
    fn coin_is_value_over_forward(option in terms()) {
        let coin = greeks(option, OptionModel::Black76, true).value;
        let expected = black(option).value / option.forward;
        prop_assert!((coin - expected).abs() <= tolerance(&option) / option.forward);
    }

    #[test]
    fn greeks_are_derivatives(
        option in ordinary(),
        inverse in any::<bool>(),
        normal in any::<bool>(),
    ) {
        let model = if normal { OptionModel::Bachelier } else { OptionModel::Black76 };
        let inverse = inverse && !normal;
        let unit = if normal { option.forward } else { 1.0 };
        let option = Terms { volatility: option.volatility * unit, ..option };
        let at = |terms: Terms| greeks(terms, model, inverse);
        let found = at(option);
        let size = if inverse { 1.0 } else { option.forward };
        let near = |name: &str, found: f64, difference: f64, scale: f64| {
            prop_assert!((found - difference).abs() <= 1e-6 * scale, "{name}: {found}, not {difference}");
            Ok(())
        };
        let step = 1e-4 * option.forward;
        let up = at(Terms { forward: option.forward + step, ..option });
        let down = at(Terms { forward: option.forward - step, ..option });
        near("delta", found.delta, (up.value - down.value) / (2.0 * step), size / option.forward)?;
        near("gamma", found.gamma, (up.delta - down.delta) / (2.0 * step), 10.0 * size / option.forward.powi(2))?;
        let step = 1e-4 * unit;
        let more = at(Terms { volatility: option.volatility + step, ..option }).value;
        let less = at(Terms { volatility: option.volatility - step, ..option }).value;
        near("vega", found.vega, (more - less) / (2.0 * step), 10.0 * size / unit)?;
        let step = 1e-5;
        let later = at(Terms { expiry_years: option.expiry_years - step, ..option }).value;
        let sooner = at(Terms { expiry_years: option.expiry_years + step, ..option }).value;
        near("theta", found.theta, (later - sooner) / (2.0 * step), 10.0 * size)?;
        let step = 1e-5;
        let dear = at(Terms { rate: option.rate + step, ..option }).value;
        let cheap = at(Terms { rate: option.rate - step, ..option }).value;
        near("rho", found.rho, (dear - cheap) / (2.0 * step), 10.0 * size)?;
    }

    #[test]
    fn a_small_normal_volatility_is_a_lognormal_one(option in ordinary()) {
        // At the money both are forward x volatility x sqrt(T / 2 pi) in the limit.
        let lognormal = Terms { strike: option.forward, volatility: 1e-3, ..option };
        let normal = Terms { volatility: 1e-3 * option.forward, ..lognormal };
        let (a, b) = (black(lognormal).value, greeks(normal, OptionModel::Bachelier, false).value);
        prop_assert!((a - b).abs() <= 1e-6 * a);
    }
}

fn shocked(option: &Terms, inverse: bool, shocks: u32) -> ShockedOption {
    ShockedOption {
        forward: option.forward,
        strike: option.strike,
        volatility: option.volatility,
        expiry_years: option.expiry_years,
        is_call: option.is_call,
        inverse,
        scale: 2.5,
        log_discount: -option.rate * option.expiry_years,
        volatility_weight: option.volatility,
        shocks,
    }
}

/// What `revalue` says, plainly: value after less value before.
fn plain_gain(
    option: &Terms,
    inverse: bool,
    price: f64,
    volatility: f64,
    model: OptionModel,
) -> f64 {
    let forward = match model {
        OptionModel::Black76 => option.forward * (1.0 + price),
        OptionModel::Bachelier => option.forward + price,
    };
    let moved = option.volatility + volatility * option.volatility;
    let after = Terms {
        forward,
        volatility: moved.max(FLOOR.min(option.volatility)),
        ..*option
    };
    2.5 * (greeks(after, model, inverse).value - greeks(*option, model, inverse).value)
}

const FLOOR: f64 = 0.01;

/// By lane.
const WEIGHTS: [f64; 8] = [1.0, -1.0, 0.35, -0.35, 0.0, -0.0, 1.0, -1.0];

/// One test, because the instruction set is the process's.
#[test]
fn scenarios_are_values_after_less_before_on_every_path() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let extreme = prop::sample::select(vec![0.0, -1.0 + 1e-9, 1e3, 1e12]);
    let price = prop_oneof![8 => -0.9..1.0, 1 => extreme];
    let shocks = prop::collection::vec((price, -1.2..3.0), 1..20);
    let options = prop::collection::vec((terms(), any::<bool>(), any::<bool>()), 1..40);
    let inputs = (options, shocks, any::<bool>());
    runner
        .run(&inputs, |(options, shocks, normal)| {
            let model = if normal {
                OptionModel::Bachelier
            } else {
                OptionModel::Black76
            };
            let (mut price, volatility): (Vec<f64>, Vec<f64>) = shocks.into_iter().unzip();
            if normal {
                price.iter_mut().for_each(|price| *price *= 1000.0);
            }
            let set = |sign: f64| {
                let price: Vec<f64> = price.iter().map(|price| price * sign).collect();
                ShockSet::new(&price, &volatility, model).expect("shocks in their bounds")
            };
            let sets = [set(1.0), set(0.5)];
            let many: Vec<ShockedOption> = options
                .iter()
                .map(|(option, inverse, half)| {
                    shocked(option, *inverse && !normal, u32::from(*half))
                })
                .collect();
            let lanes = price.len().div_ceil(8);
            let weights = vec![Row(WEIGHTS); lanes];
            let run = |simd, at_once| {
                assert!(Simd::force(Some(simd)));
                let mut table = LossTable::new(many.len(), price.len());
                let mut rows = table.rows_mut();
                let mut largest = vec![f64::NAN; many.len()];
                let at: Vec<usize> = (0..many.len()).collect();
                for (number, many) in many.chunks(at_once).enumerate() {
                    let those = number * at_once..number * at_once + many.len();
                    let gains = Gains {
                        rows: &mut rows,
                        at: &at[those.clone()],
                        weights: &weights,
                        largest: &mut largest[those],
                    };
                    let options: ShockedOptions = many.iter().copied().collect();
                    revalue(&options, &sets, FLOOR, gains).expect("in range");
                }
                let gains = table.rows_mut().map(|row| row.lanes.to_vec());
                let gains: Vec<Vec<Row>> = gains.collect();
                for (gains, largest) in gains.iter().zip(largest) {
                    let sizes = gains.iter().flat_map(|row| row.0.map(f64::abs));
                    assert_eq!(largest, sizes.fold(0.0, f64::max));
                }
                gains.concat()
            };
            let expected = run(Simd::Scalar, many.len());
            for simd in Simd::ALL.into_iter().filter(|simd| simd.available()) {
                let bits = |gains: Vec<Row>| {
                    gains
                        .into_iter()
                        .map(|row| row.0.map(f64::to_bits))
                        .collect::<Vec<_>>()
                };
                prop_assert_eq!(bits(run(simd, 11)), bits(expected.clone()));
            }
            Simd::force(None);
            for (((option, inverse, half), gains), shocked) in
                options.iter().zip(expected.chunks(lanes)).zip(&many)
            {
                let factor = if *half { 0.5 } else { 1.0 };
                let gains: Vec<f64> = gains.iter().flat_map(|row| row.0).collect();
                for (scenario, (price, volatility)) in price.iter().zip(&volatility).enumerate() {
                    let inverse = *inverse && !normal;
                    let expected = WEIGHTS[scenario % 8]
                        * plain_gain(option, inverse, price * factor, *volatility, model);
                    let move_of_1 = if normal { 1.0 } else { option.forward };
                    let moved = option.forward + price * factor * move_of_1;
                    let unit = option.forward.max(moved.abs()).max(option.strike) + 1000.0;
                    let unit = if inverse {
                        unit / option.forward.min(moved)
                    } else {
                        unit
                    };
                    let error = (gains[scenario] - expected).abs();
                    prop_assert!(
                        error <= 1e-12 * unit * shocked.discounted_scale().max(1.0),
                        "{option:?} {price} {volatility}"
                    );
                }
                prop_assert!(gains[price.len()..].iter().all(|gain| *gain == 0.0));
            }
            Ok(())
        })
        .expect("every path gives the same bits");
}

#[test]
fn no_rounding_makes_more_of_it_than_is_received() {
    // Without the limit both roundings go up, and the call is worth an ulp more than its forward.
    let call = |volatility| Terms {
        forward: 1.5 + 2f64.powi(-52),
        strike: 0.25 + 3.0 * 2f64.powi(-53),
        volatility,
        expiry_years: 1.0,
        rate: 0.0,
        is_call: true,
    };
    for volatility in [20.0, 30.0, 44.0, 100.0] {
        let inverse = greeks(call(volatility), OptionModel::Black76, true).value;
        assert_eq!(black(call(volatility)).value, call(volatility).forward);
        assert_eq!(inverse, 1.0);
    }
}

fn at_100() -> Terms {
    Terms {
        forward: 100.0,
        strike: 90.0,
        volatility: 0.5,
        expiry_years: 0.25,
        rate: 0.0,
        is_call: false,
    }
}

fn gains(
    option: ShockedOption,
    price: &[f64],
    volatility: &[f64],
    model: OptionModel,
) -> Result<Vec<f64>, Error> {
    let set = ShockSet::new(price, volatility, model)?;
    let mut table = LossTable::new(1, price.len());
    let gains = Gains {
        rows: &mut table.rows_mut(),
        at: &[0],
        weights: &vec![Row([1.0; 8]); price.len().div_ceil(8)],
        largest: &mut [0.0],
    };
    revalue(&[option].into_iter().collect(), &[set], FLOOR, gains)?;
    Ok(table.losses(0).to_vec())
}

#[test]
fn a_price_may_fall_to_nothing() {
    let put = shocked(&at_100(), false, 0);
    let fallen =
        gains(put, &[-1.0, 0.0], &[0.3, 0.0], OptionModel::Black76).expect("a put stays finite");
    let before = black(at_100()).value;
    assert!((fallen[0] - 2.5 * (90.0 - before)).abs() < 1e-12);
    assert_eq!(fallen[1], 0.0);
    let inverse = ShockedOption {
        inverse: true,
        ..put
    };
    let error = gains(inverse, &[0.1, -1.0], &[0.0, 0.0], OptionModel::Black76).expect_err("1 / 0");
    assert!(
        error.to_string().contains("row 0") && error.to_string().contains("no finite value"),
        "{error}"
    );
}

#[test]
fn the_volatility_floor_leaves_low_volatilities_alone() {
    let option = ShockedOption {
        volatility: FLOOR / 2.0,
        ..shocked(&at_100(), false, 0)
    };
    let found = gains(option, &[0.0, 0.0], &[0.0, -5.0], OptionModel::Black76).expect("in range");
    assert_eq!(found, [0.0, 0.0]);
}

#[test]
fn what_expired_is_intrinsic() {
    for is_call in [true, false] {
        let expired = Terms {
            expiry_years: 0.0,
            is_call,
            rate: 0.2,
            ..at_100()
        };
        let found = black(expired);
        let worth = if is_call { 10.0 } else { 0.0 };
        assert_eq!(
            (found.value, found.gamma, found.vega, found.theta),
            (worth, 0.0, 0.0, 0.0)
        );
        assert_eq!(found.delta, if is_call { 1.0 } else { 0.0 });
    }
}
