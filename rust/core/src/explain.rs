//! Why a figure is what it is: the lines of one account in exact numbers, with prices, weights and rates.

use crate::error::Result;
use crate::exact::{Number, Rational};
use crate::kernel::column;
use crate::settle::{Line, LineKind, Settlement, Subject};
use crate::share::{PoolUse, pool_use};
use crate::table::{LegKind, Missing};

/// Figures that the lines of an account add up to.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Part of the equity.
    pub equity: Rational,
    /// Part of the maintenance-weighted collateral value.
    pub collateral_value: Rational,
    /// Part of the initial-weighted collateral value.
    pub initial_collateral_value: Rational,
    /// Part of the initial margin.
    pub initial_margin: Rational,
    /// Part of the maintenance margin.
    pub maintenance_margin: Rational,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// An asset, by universe row.
    Asset(usize),
    /// An instrument, by universe row.
    Instrument(usize),
    /// The whole pool.
    Pool,
}

/// One line of an explanation, exact.
#[derive(Clone, Debug)]
pub struct ExplainedLine {
    /// What it stands for: `cash`, `isolated margin`, `entry cost`, `position`, `haircut tier`, `bracket`,
    /// `uncounted gain`, `order exposure`, `order exposure bracket`, `opening loss`, `pool share`, `given to positions`.
    pub kind: &'static str,
    /// What it is about.
    pub about: About,
    /// Number of the tier or bracket, from 1 for the first that is not the base.
    pub tier: usize,
    /// Asset units, contracts, or the part of them in a tier; signed.
    pub quantity: Rational,
    /// Index price of an asset, mark price of an instrument.
    pub price: Option<Rational>,
    /// What it counts as collateral, initial and maintenance: part of its value.
    pub weights: Option<(Rational, Rational)>,
    /// What is charged on its notional, initial and maintenance.
    pub rates: Option<(Rational, Rational)>,
    /// What it adds to each figure.
    pub parts: Parts,
}

impl Settlement<'_> {
    /// The lines of an account's pool or of an isolated position.
    ///
    /// # Errors
    /// As [`Settlement::settle`].
    pub fn explain(&self, subject: Subject) -> Result<Vec<ExplainedLine>> {
        let settled = self.settle::<Rational>(subject, true)?;
        let mut lines = Vec::with_capacity(settled.lines.len() + 1);
        for line in &settled.lines {
            lines.push(self.explained(line).map_err(|missing| {
                let account = self.book.accounts().get(subject.account).to_string();
                missing.error(self.book.universe(), account)
            })?);
        }
        match pool_use(self, subject)? {
            PoolUse::Kept => {}
            PoolUse::Gives => {
                let mut given = settled.row.each_ref().map(|figure| -figure.clone());
                given[column::INITIAL_MARGIN] = Rational::decimal(0.0);
                lines.push(pool_line("given to positions", &given));
            }
            PoolUse::Gets(share) => lines.push(pool_line("pool share", &share)),
        }
        Ok(lines)
    }

    fn explained(&self, line: &Line<Rational>) -> std::result::Result<ExplainedLine, Missing> {
        let asset = |asset: usize| (About::Asset(asset), self.market.index::<Rational>(asset));
        let instrument = |instrument: usize| {
            let mark = self.market.mark::<Rational>(instrument);
            (About::Instrument(instrument), mark)
        };
        let ((kind, tier), (about, price)) = match line.kind {
            LineKind::Leg(leg) => match leg {
                LegKind::Deposit(at)
                | LegKind::Loan(at)
                | LegKind::NettedDeposit(at)
                | LegKind::NettedLoan(at) => (("cash", 0), asset(at)),
                LegKind::IsolatedMargin(at) => (("isolated margin", 0), asset(at)),
                LegKind::Cost(at) => (("entry cost", 0), asset(at)),
                LegKind::Position(row) => (("position", 0), instrument(row.instrument)),
                LegKind::Exposure(at) => (("order exposure", 0), instrument(at)),
            },
            LineKind::LegTier(LegKind::Position(row), tier) => {
                (("bracket", tier), instrument(row.instrument))
            }
            LineKind::LegTier(LegKind::Exposure(at), tier) => {
                (("order exposure bracket", tier), instrument(at))
            }
            LineKind::LegTier(LegKind::Deposit(at), tier) | LineKind::NetTier(at, tier) => {
                (("haircut tier", tier), asset(at))
            }
            LineKind::LegTier(..) => unreachable!("no other leg has tiers"),
            LineKind::UncountedGain(at) => (("uncounted gain", 0), asset(at)),
            LineKind::Exposure(at) => (("order exposure", 0), instrument(at)),
            LineKind::OpeningLoss(at) => (("opening loss", 0), instrument(at)),
        };
        let parts = Parts::of(&line.parts);
        let charged = match line.kind {
            LineKind::Leg(LegKind::Position(row))
            | LineKind::LegTier(LegKind::Position(row), _) => Some(row.instrument),
            LineKind::Exposure(at)
            | LineKind::Leg(LegKind::Exposure(at))
            | LineKind::LegTier(LegKind::Exposure(at), _) => Some(at),
            _ => None,
        };
        let zero = Rational::decimal(0.0);
        let mut rates = None;
        if let Some(at) = charged
            && (parts.initial_margin != zero || parts.maintenance_margin != zero)
        {
            let notional = self.model.notional::<Rational>(at, self.market)?;
            let notional = notional * line.quantity.magnitude();
            if notional != zero {
                let rate = |margin: &Rational| margin / &notional;
                rates = Some((rate(&parts.initial_margin), rate(&parts.maintenance_margin)));
            }
        }
        let weights = (parts.equity != zero).then(|| {
            (
                &parts.initial_collateral_value / &parts.equity,
                &parts.collateral_value / &parts.equity,
            )
        });
        Ok(ExplainedLine {
            kind,
            about,
            tier,
            quantity: line.quantity.clone(),
            price,
            weights,
            rates,
            parts,
        })
    }
}

fn pool_line(kind: &'static str, row: &[Rational; 8]) -> ExplainedLine {
    ExplainedLine {
        kind,
        about: About::Pool,
        tier: 0,
        quantity: Rational::decimal(1.0),
        price: None,
        weights: None,
        rates: None,
        parts: Parts::of_result(row),
    }
}

impl Parts {
    /// From the sums of a line.
    fn of(sums: &[Rational; 8]) -> Self {
        Self {
            equity: sums[column::EQUITY].clone(),
            collateral_value: &sums[column::ASSETS] - &sums[column::DEBTS],
            initial_collateral_value: sums[column::INITIAL_COLLATERAL].clone(),
            initial_margin: sums[column::INITIAL_MARGIN].clone(),
            maintenance_margin: sums[column::MAINTENANCE_MARGIN].clone(),
        }
    }

    /// From a result row.
    fn of_result(row: &[Rational; 8]) -> Self {
        Self {
            collateral_value: row[crate::kernel::result::COLLATERAL].clone(),
            ..Self::of(row)
        }
    }
}
