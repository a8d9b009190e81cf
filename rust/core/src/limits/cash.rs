//! How much of an asset may leave an account, and how much another one needs of it.

use std::sync::Arc;

use crate::book::{BLOCK, Block, Book, Holdings};
use crate::concave::{Interval, Line, at_least_zero};
use crate::error::{Error, Place, Result};
use crate::exact::{Given, Number, Rational};
use crate::kernel::{FloatState, Row, column, result};
use crate::market::Market;
use crate::model::{CrossMargin, Known, NetLines, Step, Weights};
use crate::pool::{self, Stop};
use crate::report::evaluate;
use crate::settle::{Settlement, Subject};
use crate::table::{LegKind, Missing};
use crate::units::{AccountUnits, Key, Leg, Reader, Unit};

use super::{at_least, at_most};

/// An asset that is paid in or out.
struct Paid<'a, N> {
    model: &'a CrossMargin,
    market: &'a Market,
    reader: Reader<'a>,
    asset: usize,
    price: N,
    lines: NetLines<N>,
}

impl<'a, N: Number> Paid<'a, N> {
    fn new(settlement: &Settlement<'a>, asset: usize) -> Known<Self> {
        let Settlement {
            model, market, key, ..
        } = *settlement;
        let price = market.index(asset).ok_or(Missing::IndexPrice(asset))?;
        Ok(Self {
            model,
            market,
            reader: Reader::new(model.universe(), key),
            asset,
            price,
            lines: model.net_lines(asset, market, Weights::Initial),
        })
    }

    /// What is held of it or owed, interest counted; asset units.
    fn balance(&self, holdings: Holdings<'_>) -> N {
        let Ok(place) = holdings.asset.binary_search(&(self.asset as u32)) else {
            return N::decimal(0.0);
        };
        let balance = holdings.balance.get(place);
        let index = if balance.float < 0.0 {
            self.market.borrow_index()
        } else {
            self.market.deposit_index()
        };
        N::given(balance) * N::given(index.get(self.asset))
    }

    /// The amounts to pay in (below 0: out) with which initial health, now `health`, is at least 0.
    fn amounts(
        &self,
        units: &AccountUnits<N>,
        holdings: Holdings<'_>,
        health: &N,
    ) -> Known<Option<Interval<N>>> {
        let home = units.units().find(|unit| unit.home == self.asset + 1);
        let (net, cash) = match &home {
            Some(unit) => self.net_and_cash(unit)?,
            None => {
                let value = self.balance(holdings) * self.price.clone();
                (value.clone(), value)
            }
        };
        let mut steps = Vec::new();
        self.lines.steps(Step::Cash, &net, &cash, &mut steps);
        let nothing = Line {
            slope: N::decimal(0.0),
            offset: N::decimal(0.0),
        };
        Ok(at_least_zero(health, (&self.price, &steps), &[nothing]))
    }

    fn net_and_cash(&self, unit: &Unit<'_, N>) -> Known<(N, N)> {
        let (mut net, mut cash) = (N::decimal(0.0), N::decimal(0.0));
        for Leg { row, quantity } in unit.legs {
            let kind = self.reader.rows.kind(*row);
            let kind = kind.expect("a leg never points to the all-zero row");
            if matches!(kind, LegKind::Deposit(_) | LegKind::Loan(_)) {
                continue;
            }
            let row = self.model.row::<N>(kind, self.market)?;
            let value = &row.columns[column::NET];
            net = quantity.mul_add(value, &net);
            if kind.is_netted_cash() {
                cash = quantity.mul_add(value, &cash);
            }
        }
        Ok((net, cash))
    }

    /// The largest amount that may leave.
    fn withdrawable(
        &self,
        units: &AccountUnits<N>,
        holdings: Holdings<'_>,
        health: &N,
    ) -> Known<N> {
        let zero = || N::decimal(0.0);
        let cash = self.balance(holdings);
        if *health < zero() || cash <= zero() {
            return Ok(zero());
        }
        let amounts = self.amounts(units, holdings, health)?;
        let Some(Interval { from, .. }) = amounts else {
            return Ok(zero());
        };
        let most = from.map(|from| -from).filter(|most| *most < cash);
        Ok(most.unwrap_or(cash))
    }
}

/// The model with which a withdrawal is judged: no more than a share of unrealized gains counts.
///
/// # Errors
/// A share outside 0..1.
fn judging(model: &CrossMargin, unrealized_gain_share: &Given) -> Result<CrossMargin> {
    if (0.0..=1.0).contains(&unrealized_gain_share.float()) {
        return Ok(model.with_gain_share_at_most(unrealized_gain_share, |_| true));
    }
    Err(Error::Parameter {
        place: Place::frame("unrealized_gain_share"),
        problem: format!("{} is not within 0 and 1", unrealized_gain_share.float()),
    })
}

/// What an account may withdraw of an asset: at most its cash, and no more than leaves its initial health at least 0,
/// where no more than a share of unrealized gains counts. Exact, and rounded down.
///
/// # Errors
/// As [`Settlement::settle`]; a share outside 0..1.
pub fn withdrawable(
    settlement: &Settlement<'_>,
    account: usize,
    asset: usize,
    unrealized_gain_share: &Given,
) -> Result<f64> {
    let _state = FloatState::standard();
    let model = judging(settlement.model, unrealized_gain_share)?;
    let settlement = Settlement {
        model: &model,
        ..*settlement
    };
    let judged = Judged::new(&settlement, account, asset)?;
    let amount = judged.known(judged.paid.withdrawable(
        &judged.units,
        judged.holdings,
        &judged.health,
    ))?;
    Ok(at_most(Some(&amount)))
}

/// One account in exact numbers.
struct Judged<'a> {
    settlement: Settlement<'a>,
    account: usize,
    holdings: Holdings<'a>,
    units: AccountUnits<Rational>,
    health: Rational,
    paid: Paid<'a, Rational>,
}

impl<'a> Judged<'a> {
    fn new(settlement: &Settlement<'a>, account: usize, asset: usize) -> Result<Self> {
        let subject = Subject {
            account,
            position: None,
        };
        let settled = settlement.settle::<Rational>(subject, false)?;
        let holdings = settlement.book.holdings(account);
        let reader = Reader::new(settlement.book.universe(), settlement.key);
        let mut units = AccountUnits::default();
        units.read(reader, holdings);
        let paid = Paid::new(settlement, asset);
        let paid = paid.map_err(|missing| error(settlement, account, missing))?;
        Ok(Self {
            settlement: *settlement,
            account,
            holdings,
            units,
            health: settled.row[result::INITIAL_HEALTH].clone(),
            paid,
        })
    }

    fn known<T>(&self, known: Known<T>) -> Result<T> {
        known.map_err(|missing| error(&self.settlement, self.account, missing))
    }
}

fn error(settlement: &Settlement<'_>, account: usize, missing: Missing) -> Error {
    let account = settlement.book.accounts().get(account).to_string();
    missing.error(settlement.book.universe(), account)
}

/// How much of an asset one account may pass to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transferable {
    /// The smallest amount after which the target's initial health is at least 0; `None` if none does it.
    pub least: Option<f64>,
    /// The largest that the source may let go.
    pub most: f64,
}

/// What one account may pass to another, and what the other needs.
///
/// # Errors
/// As [`withdrawable`]; an account that is both.
pub fn transferable(
    settlement: &Settlement<'_>,
    (source, target): (usize, usize),
    asset: usize,
    unrealized_gain_share: &Given,
) -> Result<Transferable> {
    let _state = FloatState::standard();
    if source == target {
        return Err(Error::Value {
            place: Place::frame("target").id(settlement.book.accounts().get(target)),
            problem: "an account cannot transfer to itself".to_owned(),
        });
    }
    let most = withdrawable(settlement, source, asset, unrealized_gain_share)?;
    let judged = Judged::new(settlement, target, asset)?;
    let zero = Rational::decimal(0.0);
    let least = if judged.health >= zero {
        Some(0.0)
    } else {
        let amounts = judged
            .paid
            .amounts(&judged.units, judged.holdings, &judged.health);
        let from = judged.known(amounts)?.and_then(|amounts| amounts.from);
        from.map(|from| at_least(&from))
            .filter(|least| least.is_finite())
    };
    Ok(Transferable { least, most })
}

/// [`withdrawable`] of every account, in f64.
///
/// # Errors
/// As [`evaluate`]; a share outside 0..1.
pub fn withdrawable_of_all(
    (model, key): (&CrossMargin, Key),
    book: &Book,
    market: &Market,
    asset: usize,
    unrealized_gain_share: &Given,
    stop: Stop<'_>,
) -> Result<Vec<f64>> {
    let model = &judging(model, unrealized_gain_share)?;
    let evaluated = evaluate(model, key, book, market, &mut *stop)?;
    let _state = FloatState::standard();
    let settlement = Settlement {
        model,
        book,
        market,
        key,
    };
    let paid = Paid::<f64>::new(&settlement, asset)
        .map_err(|missing| missing.error(book.universe(), String::new()))?;
    let mut found = vec![0.0; book.accounts().len()];
    let pools = evaluated.pools.rows().chunks(BLOCK);
    let tasks = book.blocks().iter().zip(pools).zip(found.chunks_mut(BLOCK));
    let work = |((block, pools), found): ((&Arc<Block>, &[Row]), &mut [f64])| {
        let mut units = AccountUnits::default();
        for (slot, (pool, found)) in pools.iter().zip(found).enumerate() {
            let holdings = block.holdings(slot);
            if holdings.asset.binary_search(&(asset as u32)).is_ok() {
                units.read(paid.reader, holdings);
                let health = &pool.0[result::INITIAL_HEALTH];
                let amount = paid.withdrawable(&units, holdings, health);
                *found = amount.expect("prices and parameters were checked");
            }
        }
    };
    pool::for_each(tasks, work, stop)?;
    Ok(found)
}
