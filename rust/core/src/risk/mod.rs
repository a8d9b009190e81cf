//! Margin from the risk of the whole portfolio: what its positions lose together in the worst of some scenarios.

mod account;
mod expiry;
mod kept;
mod losses;
mod made_of;
mod moved;
mod moving;
mod of_book;
mod options;
mod renew;
mod reserves;
mod rows;
mod scenarios;
mod standings;

pub(crate) use account::{AccountRisk, Group, combine, settle_risk};
pub use losses::{MadeFor, RiskTable, SetLosses};
pub(crate) use of_book::{OfBook, Seen};
pub(crate) use reserves::{Priced, Reserves, share_out};
pub use scenarios::{ScenarioSet, Shocks, VolatilityShock};
pub(crate) use standings::{BookStandings, LentStandings};

use std::sync::Arc;

use kept::KeptTables;
use options::OptionShocks;

use crate::error::{Error, Place, Result, finite};
use crate::exact::Given;
use crate::model::CrossMargin;
use crate::risk_layout::{MovingAssets, RiskGroup};
use crate::universe::Universe;

/// What gains on one underlying may pay of losses on another of the same product group, in one scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Offsets {
    /// Nothing: each underlying takes its own worst scenario.
    None,
    /// A share of the gains, up to 1.
    Share(f64),
}

/// What a net position beyond the market's depth is charged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Concentration {
    /// Part of the notional beyond.
    pub rate: f64,
    /// Notional that can be closed without one, numeraire.
    pub depth: f64,
}

/// Parameters of portfolio margin beside collateral, checked by [`RiskModel::new`].
#[derive(Clone, Debug)]
pub struct RiskParameters {
    /// The largest requirement of these sets counts; never empty.
    pub sets: Vec<ScenarioSet>,
    /// Between underlyings.
    pub offsets: Offsets,
    /// By underlying: its product group.
    pub product_group: Vec<u32>,
    /// By instrument: least margin of a short option, part of its notional.
    pub short_option_rate: Vec<f64>,
    /// By underlying.
    pub concentration: Vec<Option<Concentration>>,
    /// Least requirement of an account with positions, numeraire.
    pub margin_floor: f64,
    /// Initial margin is the requirement times this; at least 1.
    pub initial_factor: f64,
    /// By asset, the underlying that its index price moves with inside the scenarios, instead of being cut by a haircut;
    /// empty if none does.
    pub in_scenario: Vec<Option<usize>>,
}

/// A model whose requirement is the risk of a portfolio; collateral counts as under cross margin.
#[derive(Clone, Debug)]
pub struct RiskModel {
    moving: Option<MovingAssets>,
    kept: KeptTables,
    /// What [`crate::liquidatable`] knows of the last book that it was asked of.
    pub(crate) reserves: OfBook<Reserves>,
    /// What [`crate::evaluate_risk`] knows of the last book that it was asked of.
    pub(crate) standings: OfBook<BookStandings>,
    /// By set.
    option_shocks: Vec<OptionShocks>,
    /// Whether no shock is so small that a price times it may be rounded to a few digits.
    has_moderate_shocks: bool,
    /// What collateral counts; it charges no position.
    pub(crate) collateral: CrossMargin,
    pub(crate) parameters: RiskParameters,
}

impl RiskModel {
    /// Checks the parameters.
    ///
    /// # Errors
    /// A share outside 0..1, a rate, depth or floor below 0, a factor below 1, a number that is not finite.
    pub fn new(collateral: CrossMargin, parameters: RiskParameters) -> Result<Self> {
        let at_least = |name: &'static str, value: f64, least: f64| -> Result<()> {
            let place = || Place::frame(name);
            if finite(value, place)? >= least {
                return Ok(());
            }
            Err(Error::Parameter {
                place: place(),
                problem: format!("{value} is below {least}"),
            })
        };
        if let Offsets::Share(share) = parameters.offsets {
            at_least("offsets", share, 0.0)?;
            if share > 1.0 {
                return Err(Error::Parameter {
                    place: Place::frame("offsets"),
                    problem: format!("{share} is above 1: no gain pays more than itself"),
                });
            }
        }
        for &rate in &parameters.short_option_rate {
            at_least("short_option_minimum", rate, 0.0)?;
        }
        for concentration in parameters.concentration.iter().flatten() {
            at_least("concentration", concentration.rate, 0.0)?;
            at_least("concentration", concentration.depth, 0.0)?;
        }
        at_least("margin_floor", parameters.margin_floor, 0.0)?;
        at_least("initial_factor", parameters.initial_factor, 1.0)?;
        let by_account = parameters.sets.iter().any(|set| set.joint);
        if by_account && parameters.concentration.iter().any(Option::is_some) {
            return Err(Error::Parameter {
                place: Place::frame("concentration"),
                problem: "it is charged by underlying, but all underlyings move together in joint scenarios".to_owned(),
            });
        }
        let moving = moving::checked(&collateral, &parameters)?;
        let universe = collateral.universe();
        let sets = parameters.sets.iter();
        let option_shocks = sets.map(|set| OptionShocks::new(universe, set));
        let has_moderate_shocks = parameters.sets.iter().all(ScenarioSet::is_moderate);
        Ok(Self {
            moving,
            kept: KeptTables::default(),
            reserves: OfBook::default(),
            standings: OfBook::default(),
            option_shocks: option_shocks.collect::<Result<_>>()?,
            has_moderate_shocks,
            collateral,
            parameters,
        })
    }

    /// Assets that move in the scenarios, if any does.
    #[must_use]
    pub fn moving(&self) -> Option<&MovingAssets> {
        self.moving.as_ref()
    }

    /// Says of an instrument whether every set has shocks for what it follows.
    pub fn speaks_of(&self) -> impl Fn(usize) -> bool {
        let (sets, universe) = (&self.parameters.sets, self.universe());
        let speaks = move |underlying| sets.iter().all(|set| set.shocks(underlying).is_some());
        let of_all = (0..universe.underlyings().len()).all(speaks);
        move |instrument| of_all || speaks(universe.specs()[instrument].underlying as usize)
    }

    /// Whether a requirement is the scan risk and nothing else.
    #[must_use]
    pub(crate) fn is_scan_alone(&self) -> bool {
        let parameters = &self.parameters;
        parameters.margin_floor == 0.0
            && parameters.short_option_rate.iter().all(|&rate| rate == 0.0)
            && parameters.concentration.iter().all(Option::is_none)
    }

    /// Which positions are added up in a scenario of a set.
    ///
    /// Where gains pay in full for losses on whatever underlying, and nothing is charged by underlying, that is all of
    /// them: as if they moved together.
    #[must_use]
    pub(crate) fn group(&self, set: &ScenarioSet) -> RiskGroup {
        let parameters = &self.parameters;
        let groups = &parameters.product_group;
        let together = parameters.offsets == Offsets::Share(1.0)
            && groups.iter().all(|group| *group == groups[0])
            && parameters.concentration.iter().all(Option::is_none);
        if set.joint || together {
            RiskGroup::Account
        } else {
            RiskGroup::Underlying
        }
    }

    /// The same model, but that no more than a share of unrealized gains counts in any asset outside the scenarios.
    ///
    /// # Errors
    /// None that the model itself did not have.
    pub(crate) fn with_gain_share_at_most(&self, share: &Given) -> Result<Self> {
        let moves = |asset: usize| self.parameters.in_scenario[asset].is_some();
        let collateral = self
            .collateral
            .with_gain_share_at_most(share, |asset| !moves(asset));
        Self::new(collateral, self.parameters.clone())
    }

    /// The universe that the parameters belong to.
    #[must_use]
    pub fn universe(&self) -> &Arc<Universe> {
        self.collateral.universe()
    }
}
