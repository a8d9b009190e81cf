//! Buying power: the largest order that still passes.

use std::sync::Arc;

use crate::book::{BLOCK, Block, Book, Holdings};
use crate::concave::{Line, at_least_zero, from_here, lines_of};
use crate::error::{Error, Place, Result, finite};
use crate::exact::{Given, Number, Rational};
use crate::kernel::{FloatState, InitialCurve, MarkValue, Row, result};
use crate::layout::IsolatedPosition;
use crate::market::Market;
use crate::model::{CrossMargin, Known};
use crate::pool::{self, Stop};
use crate::report::evaluate;
use crate::settle::{Settlement, Subject};
use crate::table::Missing;
use crate::units::{Key, Reader};
use crate::universe::Instrument;

use super::at_most;

/// Contracts of the largest order to buy and to sell, at least 0; infinite where nothing limits it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BuyingPower {
    /// To buy.
    pub long: f64,
    /// To sell.
    pub short: f64,
}

/// The instrument of an order that is thought of, and its price.
#[derive(Debug)]
struct Order<'a, N> {
    instrument: usize,
    spec: &'a Instrument,
    /// Value of one contract at the order's price, settlement asset.
    value: N,
    mark: MarkValue<N>,
    curve: InitialCurve<N>,
}

impl<'a, N: Number> Order<'a, N> {
    fn new(
        model: &'a CrossMargin,
        market: &Market,
        instrument: usize,
        price: Option<&Given>,
    ) -> Known<Self> {
        let spec = &model.universe().specs()[instrument];
        let mark = model.mark_value::<N>(instrument, market)?;
        let value = price.map_or(mark.value.clone(), |price| {
            spec.price_value(N::given(price.as_ref()))
        });
        Ok(Self {
            instrument,
            spec,
            value,
            mark,
            curve: model.curve(instrument, market)?,
        })
    }

    /// The largest order on either side that leaves initial health, now `health`, at least 0; `None`: no limit.
    fn limits(&self, holdings: Holdings<'_>, health: &N) -> [Option<N>; 2] {
        let zero = || N::decimal(0.0);
        if *health < zero() {
            return [Some(zero()), Some(zero())];
        }
        let instrument = self.instrument as u32;
        let place = holdings.instrument.binary_search(&instrument);
        let quantity = place.map_or(zero(), |place| N::given(holdings.quantity.get(place)));
        let (mut bought, mut sold) = (quantity.clone(), quantity);
        let (mut bids_lose, mut asks_lose) = (zero(), zero());
        let ordered = holdings.order_instrument;
        let orders = ordered.partition_point(|&other| other < instrument)
            ..ordered.partition_point(|&other| other <= instrument);
        for order in orders {
            let quantity = N::given(holdings.order_quantity.get(order));
            let price = N::given(holdings.order_price.get(order));
            let worse = self.spec.price_value(price) - self.mark.value.clone();
            let loss = quantity.clone() * worse;
            let (side, lose) = if quantity > zero() {
                (&mut bought, &mut bids_lose)
            } else {
                (&mut sold, &mut asks_lose)
            };
            *side = side.clone() + quantity;
            if loss > zero() {
                *lose = lose.clone() + loss;
            }
        }
        let least_rate = holdings
            .leverage_cap
            .map_or(zero(), |cap| N::decimal(1.0) / N::given(cap));
        let margin = self.margin_lines(&least_rate);
        let worse = self.value.clone() - self.mark.value.clone();
        [true, false].map(|buys| {
            let mut needed = Vec::new();
            // Exposure is the largest of these, each `at + step x size`.
            let one = N::decimal(1.0);
            let (grows, stays) = if buys {
                (&bought, &sold)
            } else {
                (&sold, &bought)
            };
            let step = if buys { one } else { -one };
            let mut exposures = Vec::new();
            if self.spec.is_paid_up_front() {
                // The short side alone is charged.
                let step = if buys { zero() } else { N::decimal(1.0) };
                exposures.push((-sold.clone(), step));
                exposures.push((zero(), zero()));
            } else {
                exposures.push((grows.clone(), step.clone()));
                exposures.push((-grows.clone(), -step));
                exposures.push((stays.magnitude(), zero()));
            }
            for (at, step) in &exposures {
                needed.extend(margin.iter().map(|line| Line {
                    slope: -(line.slope.clone() * step.clone()),
                    offset: -line.at(at),
                }));
            }
            from_here(&mut needed);
            let loses = if buys { worse.clone() } else { -worse.clone() };
            let rate = if loses > zero() { loses } else { zero() };
            let price = &self.mark.price;
            let (same, other) = if buys {
                (&bids_lose, &asks_lose)
            } else {
                (&asks_lose, &bids_lose)
            };
            let mut lost = vec![
                Line {
                    slope: -(rate * price.clone()),
                    offset: -(same.clone() * price.clone()),
                },
                Line {
                    slope: zero(),
                    offset: -(other.clone() * price.clone()),
                },
            ];
            from_here(&mut lost);
            let passes = at_least_zero(health, (&N::decimal(1.0), &needed), &lost);
            passes.map_or(Some(zero()), |interval| interval.to)
        })
    }

    /// Initial margin as lines of the exposure, of which the greatest counts.
    fn margin_lines(&self, least_rate: &N) -> Vec<Line<N>> {
        let least = self.curve.notional.clone() * least_rate.clone();
        let raised = |(from, slope): &(N, N)| {
            let slope = if *slope < least { &least } else { slope };
            (from.clone(), slope.clone())
        };
        let brackets: Vec<(N, N)> = self.curve.brackets.iter().map(raised).collect();
        let mut lines = lines_of(&brackets);
        lines.push(Line {
            slope: self.curve.floor.clone(),
            offset: N::decimal(0.0),
        });
        lines
    }
}

/// Refuses a price that the instrument cannot have.
fn check_price(model: &CrossMargin, instrument: usize, price: Option<&Given>) -> Result<()> {
    let Some(price) = price else {
        return Ok(());
    };
    let universe = model.universe();
    let place = || Place::frame("price").id(universe.instruments().get(instrument));
    let price = finite(price.float(), place)?;
    match universe.specs()[instrument].price_problem(price) {
        None => Ok(()),
        Some(problem) => Err(Error::Value {
            place: place(),
            problem: format!("{price}: {problem}"),
        }),
    }
}

/// The largest new order of an account on either side with which its initial health is at least 0: exact, and rounded so
/// that it passes.
///
/// # Errors
/// As [`Settlement::settle`]; a price that the instrument cannot have.
pub fn buying_power(
    settlement: &Settlement<'_>,
    account: usize,
    instrument: usize,
    price: Option<&Given>,
) -> Result<BuyingPower> {
    let _state = FloatState::standard();
    check_price(settlement.model, instrument, price)?;
    let Settlement {
        model,
        book,
        market,
        key,
    } = *settlement;
    let holdings = book.holdings(account);
    let reader = Reader::new(book.universe(), key);
    let place = holdings.instrument.binary_search(&(instrument as u32)).ok();
    let position = place.filter(|&place| reader.stands_alone(holdings, place));
    let settled = settlement.settle::<Rational>(Subject { account, position }, false)?;
    let order = Order::new(model, market, instrument, price).map_err(|missing: Missing| {
        missing.error(book.universe(), book.accounts().get(account).to_string())
    })?;
    let [long, short] = order.limits(holdings, &settled.row[result::INITIAL_HEALTH]);
    Ok(BuyingPower {
        long: at_most(long.as_ref()),
        short: at_most(short.as_ref()),
    })
}

/// [`buying_power`] of every account, in f64.
///
/// # Errors
/// As [`evaluate`]; a price that the instrument cannot have.
pub fn buying_power_of_all(
    (model, key): (&CrossMargin, Key),
    book: &Book,
    market: &Market,
    instrument: usize,
    price: Option<&Given>,
    stop: Stop<'_>,
) -> Result<Vec<BuyingPower>> {
    check_price(model, instrument, price)?;
    let evaluated = evaluate(model, key, book, market, &mut *stop)?;
    let _state = FloatState::standard();
    let order = Order::<f64>::new(model, market, instrument, price)
        .map_err(|missing| missing.error(book.universe(), String::new()))?;
    let mut found = vec![BuyingPower::default(); book.accounts().len()];
    let pools = evaluated.pools.rows().chunks(BLOCK);
    let tasks = book.blocks().iter().zip(pools).zip(found.chunks_mut(BLOCK));
    let infinite = |limit: Option<f64>| limit.unwrap_or(f64::INFINITY);
    let power = |holdings: Holdings<'_>, row: &Row| {
        let [long, short] = order.limits(holdings, &row.0[result::INITIAL_HEALTH]);
        BuyingPower {
            long: infinite(long),
            short: infinite(short),
        }
    };
    let work = |((block, pools), found): ((&Arc<Block>, &[Row]), &mut [BuyingPower])| {
        for (slot, (pool, found)) in pools.iter().zip(found).enumerate() {
            *found = power(block.holdings(slot), pool);
        }
    };
    pool::for_each(tasks, work, stop)?;
    // An isolated position in the instrument is what the order would join.
    for (IsolatedPosition { account, position }, row) in
        evaluated.positions.iter().zip(evaluated.isolated.rows())
    {
        let holdings = book.holdings(*account as usize);
        if holdings.instrument[*position as usize] as usize == instrument {
            found[*account as usize] = power(holdings, row);
        }
    }
    Ok(found)
}
