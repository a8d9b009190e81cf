//! Liquidation and bankruptcy prices: the mark of one instrument at which the whole account's health, or equity, is 0.
//!
//! As one mark moves, all that depends on it is concave and made of lines ([`crate::concave`]): the weighed net of the
//! unit, less the margin of the position. So the marks at which the account is healthy form one interval, and its ends
//! are found in closed form: in f64 for whole books, in exact numbers for one account.

mod book;
mod moving;

pub use book::position_prices;

use crate::error::Result;
use crate::exact::{Number, Rational};
use crate::kernel::{FloatState, column, result};
use crate::market::Market;
use crate::model::{CrossMargin, Known, NetLines, Weights};
use crate::settle::{Settlement, Subject};
use crate::share::{PoolUse, pool_use};
use crate::table::{LegKind, Missing};
use crate::units::{AccountUnits, Leg, Reader};
use moving::{MovingMark, MovingUnit};

/// What is 0 at the price that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// Health: the liquidation price.
    Liquidation,
    /// Equity: the bankruptcy price.
    Bankruptcy,
}

impl Threshold {
    /// The figure's column of a result row.
    pub(crate) fn column(self) -> usize {
        match self {
            Self::Liquidation => result::HEALTH,
            Self::Bankruptcy => column::EQUITY,
        }
    }

    /// What a net amount of an asset adds to the figure.
    fn net_lines<N: Number>(
        self,
        model: &CrossMargin,
        asset: usize,
        market: &Market,
    ) -> NetLines<N> {
        match self {
            Self::Liquidation => model.net_lines(asset, market, Weights::Maintenance),
            Self::Bankruptcy => NetLines::unweighed(),
        }
    }
}

/// Marks of one instrument at which an account's health or equity is 0, correctly rounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ZeroPrices {
    /// On the losing side, or of a figure below 0 on the gaining side; `None` if no mark there does it.
    pub nearest: Option<f64>,
    /// All of them, ascending; at most two, and the mark itself if the figure is 0 there.
    pub all: Vec<f64>,
}

/// The marks of one instrument at which an account's health or equity is 0, all else fixed.
///
/// Of a position that stands alone, they are those of its own health or equity; what the pool gives it is held fixed.
///
/// # Errors
/// As [`Settlement::settle`].
pub fn zero_prices(
    settlement: &Settlement<'_>,
    account: usize,
    instrument: usize,
    threshold: Threshold,
) -> Result<ZeroPrices> {
    let _state = FloatState::standard();
    let Settlement {
        model,
        book,
        market,
        key,
    } = *settlement;
    let holdings = book.holdings(account);
    let reader = Reader::new(book.universe(), key);
    let Ok(place) = holdings.instrument.binary_search(&(instrument as u32)) else {
        return Ok(ZeroPrices::default());
    };
    let alone = reader.stands_alone(holdings, place);
    let subject = Subject {
        account,
        position: alone.then_some(place),
    };
    let mut now = settlement.settle::<Rational>(subject, false)?.row[threshold.column()].clone();
    if let PoolUse::Gets(share) = pool_use(settlement, subject)? {
        now += &share[threshold.column()];
    }
    let mut units = AccountUnits::<Rational>::default();
    if alone {
        units.read_position(reader, holdings, place);
    } else {
        units.read(reader, holdings);
    }
    let is_moved = |leg: &&Leg<Rational>| {
        let kind = reader.rows.kind(leg.row);
        matches!(kind, Some(LegKind::Position(row)) if row.instrument == instrument)
    };
    let moved = units.units().find_map(|unit| {
        let leg = unit.legs.iter().find(is_moved)?;
        Some((unit, leg))
    });
    let Some((unit, leg)) = moved else {
        // A position of no contracts.
        return Ok(ZeroPrices::default());
    };
    let known =
        |missing: Missing| missing.error(book.universe(), book.accounts().get(account).to_string());
    let net_of = |leg: &Leg<Rational>| {
        let kind = reader.rows.kind(leg.row);
        let kind = kind.expect("a leg never points to the all-zero row");
        let row = model.row::<Rational>(kind, market)?;
        Ok((row.columns[column::NET].clone(), kind.is_netted_cash()))
    };
    let (net, cash) = net_and_cash(unit.legs, net_of).map_err(known)?;
    let moving = MovingMark::new(model, market, instrument, threshold).map_err(known)?;
    let mut moving_unit = MovingUnit::new();
    let home: NetLines<Rational> = threshold.net_lines(model, unit.home - 1, market);
    moving_unit.set(&home, &net, &cash);
    let zeros = moving_unit.zeros(&now, &leg.quantity, &moving);
    let rounded = |price: &Rational| Some(price.float()).filter(|price| price.is_finite());
    Ok(ZeroPrices {
        nearest: zeros.clone().nearest().as_ref().and_then(rounded),
        all: zeros.all().iter().filter_map(rounded).collect(),
    })
}

/// Net of a unit before anything is weighed, and the cash in it.
fn net_and_cash<N: Number>(
    legs: &[Leg<N>],
    net_of: impl Fn(&Leg<N>) -> Known<(N, bool)>,
) -> Known<(N, N)> {
    let (mut net, mut cash) = (N::decimal(0.0), N::decimal(0.0));
    for leg in legs {
        let (value, is_cash) = net_of(leg)?;
        net = leg.quantity.mul_add(&value, &net);
        if is_cash {
            cash = leg.quantity.mul_add(&value, &cash);
        }
    }
    Ok((net, cash))
}
