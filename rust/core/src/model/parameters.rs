//! What a margin model is told: haircuts by asset and margin rates by instrument, checked.

use crate::error::{Error, Place, Result, finite};
use crate::exact::{Given, GivenColumn, Number, Rational};
use crate::ids::IdColumn;
use crate::universe::Universe;

/// How much of an asset counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Collateral {
    /// Haircuts by amount, the first from 0; never empty.
    pub tiers: Vec<HaircutTier>,
    /// What a negative net balance counts for initial health, at least 1.
    pub initial_liability_weight: Given,
    /// The same for health; at most the initial one.
    pub maintenance_liability_weight: Given,
    /// Asset units of one account above which nothing counts.
    pub amount_cap: Option<Given>,
    /// Part of an unrealized gain that counts, 0 to 1.
    pub unrealized_gain_share: Given,
}

/// Haircuts of the part of a positive net balance that lies above a floor.
#[derive(Clone, Debug, PartialEq)]
pub struct HaircutTier {
    /// Asset units of one account.
    pub amount_floor: Given,
    /// Part that does not count for initial health, 0 to 1.
    pub initial_haircut: Given,
    /// The same for health; at most the initial one.
    pub maintenance_haircut: Given,
}

/// What positions in an instrument need.
#[derive(Clone, Debug, PartialEq)]
pub struct Margin {
    /// Rates by notional, the first from 0; never empty.
    pub brackets: Vec<Bracket>,
    /// Least margin of one contract, numeraire.
    pub margin_floor_per_contract: Given,
    /// Part of notional that closing out costs, on top of the maintenance rate.
    pub close_out_fee_rate: Given,
}

/// Margin rates of the part of a position's notional that lies above a floor.
#[derive(Clone, Debug, PartialEq)]
pub struct Bracket {
    /// Numeraire, of one account and instrument.
    pub notional_floor: Given,
    /// Part of notional needed to add risk.
    pub initial_rate: Given,
    /// Part of notional needed to keep it; with the fee, at most the initial rate.
    pub maintenance_rate: Given,
}

impl Default for Collateral {
    fn default() -> Self {
        let [zero, one] = [0.0, 1.0].map(Given::from);
        Self {
            tiers: vec![HaircutTier {
                amount_floor: zero.clone(),
                initial_haircut: zero.clone(),
                maintenance_haircut: zero,
            }],
            initial_liability_weight: one.clone(),
            maintenance_liability_weight: one.clone(),
            amount_cap: None,
            unrealized_gain_share: one,
        }
    }
}

/// Columns of the `collateral` frame: one row per asset and tier. A column left out is `None`.
#[derive(Clone, Debug)]
pub struct CollateralColumns {
    /// Assets.
    pub asset: IdColumn,
    /// See [`HaircutTier::amount_floor`]; 0 if left out.
    pub amount_floor: Option<GivenColumn>,
    /// See [`HaircutTier::initial_haircut`]; 0 if left out.
    pub initial_haircut: Option<GivenColumn>,
    /// See [`HaircutTier::maintenance_haircut`]; 0 if left out.
    pub maintenance_haircut: Option<GivenColumn>,
    /// See [`Collateral::initial_liability_weight`]; 1 if left out. NaN in a further tier's row: as in the first.
    pub initial_liability_weight: Option<GivenColumn>,
    /// See [`Collateral::maintenance_liability_weight`]; as above.
    pub maintenance_liability_weight: Option<GivenColumn>,
    /// See [`Collateral::amount_cap`]; NaN for none.
    pub amount_cap: Option<GivenColumn>,
    /// See [`Collateral::unrealized_gain_share`]; 1 if left out. NaN in a further tier's row: as in the first.
    pub unrealized_gain_share: Option<GivenColumn>,
}

/// Columns of the `margin` frame: one row per instrument and bracket. A column left out is `None`.
#[derive(Clone, Debug)]
pub struct MarginColumns {
    /// Instruments.
    pub instrument: IdColumn,
    /// See [`Bracket::notional_floor`]; 0 if left out.
    pub notional_floor: Option<GivenColumn>,
    /// See [`Bracket::initial_rate`].
    pub initial_rate: GivenColumn,
    /// See [`Bracket::maintenance_rate`].
    pub maintenance_rate: GivenColumn,
    /// See [`Margin::margin_floor_per_contract`]; 0 if left out. NaN in a further bracket's row: as in the first.
    pub margin_floor_per_contract: Option<GivenColumn>,
    /// See [`Margin::close_out_fee_rate`]; as above.
    pub close_out_fee_rate: Option<GivenColumn>,
}

/// Rows of a frame that speak of one id, by ascending floor.
struct Group<'a> {
    frame: &'static str,
    floor_column: &'static str,
    ids: &'a IdColumn,
    floors: Option<&'a GivenColumn>,
    rows: Vec<usize>,
}

impl<'a> Group<'a> {
    /// Rows by id, in order of first appearance.
    ///
    /// # Errors
    /// A floor that is not finite or negative, two rows with one floor, no row with floor 0.
    fn all(
        frame: &'static str,
        floor_column: &'static str,
        ids: &'a IdColumn,
        floors: Option<&'a GivenColumn>,
    ) -> Result<Vec<Self>> {
        let mut groups: Vec<Self> = (0..ids.ids.len())
            .map(|_| Self {
                frame,
                floor_column,
                ids,
                floors,
                rows: Vec::new(),
            })
            .collect();
        for (row, &code) in ids.codes.iter().enumerate() {
            groups[code as usize].rows.push(row);
        }
        for group in &mut groups {
            group.sort()?;
        }
        Ok(groups)
    }

    fn sort(&mut self) -> Result<()> {
        for &row in &self.rows {
            let floor = finite(self.floor(row).float(), || {
                self.place(self.floor_column, row)
            })?;
            if floor < 0.0 {
                return self.refuse(self.floor_column, row, format!("{floor} is negative"));
            }
        }
        let mut rows = std::mem::take(&mut self.rows);
        // Stable: of two rows with one floor, the later is the duplicate.
        rows.sort_by(|&a, &b| self.floor(a).compare(&self.floor(b)));
        self.rows = rows;
        for pair in self.rows.windows(2) {
            if self.floor(pair[0]) == self.floor(pair[1]) {
                let floor = match self.floors {
                    Some(_) => format!(
                        " with {} {}",
                        self.floor_column,
                        self.floor(pair[1]).float()
                    ),
                    None => String::new(),
                };
                let key = if self.frame == "margin" {
                    "instrument"
                } else {
                    "asset"
                };
                return Err(Error::Duplicate {
                    place: Place::column(self.frame, key).row(pair[1]),
                    problem: format!(
                        "{} stands in row {} already{floor}",
                        self.ids.get(pair[1]),
                        pair[0]
                    ),
                });
            }
        }
        let first = self.rows[0];
        if self.floor(first).float() > 0.0 {
            let problem = format!(
                "{} is the lowest; one row must start at 0",
                self.floor(first).float()
            );
            return self.refuse(self.floor_column, first, problem);
        }
        Ok(())
    }

    fn floor(&self, row: usize) -> Given {
        self.floors
            .map_or(Given::from(0.0), |floors| floors.get(row).to_given())
    }

    fn place(&self, column: &'static str, row: usize) -> Place {
        Place::column(self.frame, column)
            .row(row)
            .id(self.ids.get(row))
    }

    fn refuse<T>(&self, column: &'static str, row: usize, problem: String) -> Result<T> {
        Err(Error::Parameter {
            place: self.place(column, row),
            problem,
        })
    }

    /// A finite number of each row.
    fn read(
        &self,
        column: &'static str,
        values: Option<&GivenColumn>,
        row: usize,
    ) -> Result<Given> {
        let Some(values) = values else {
            return Ok(Given::from(0.0));
        };
        let given = values.get(row).to_given();
        finite(given.float(), || self.place(column, row))?;
        Ok(given)
    }

    /// A number that belongs to the id: in the row with floor 0; other rows repeat it or leave it NaN.
    fn read_once(
        &self,
        column: &'static str,
        values: Option<&GivenColumn>,
        default: f64,
        may_be_none: bool,
    ) -> Result<Option<Given>> {
        let Some(values) = values else {
            return Ok((!may_be_none).then(|| Given::from(default)));
        };
        let first = values.get(self.rows[0]).to_given();
        let none = may_be_none && first.float().is_nan();
        if !none {
            finite(first.float(), || self.place(column, self.rows[0]))?;
        }
        for &row in &self.rows[1..] {
            let other = values.get(row).to_given();
            if !other.float().is_nan() && (none || other != first) {
                let problem = format!(
                    "{} here, but another value in row {}; it belongs to the {} as a whole",
                    other.float(),
                    self.rows[0],
                    if self.frame == "margin" {
                        "instrument"
                    } else {
                        "asset"
                    },
                );
                return self.refuse(column, row, problem);
            }
        }
        Ok((!none).then_some(first))
    }

    /// Refuses a column that falls from one row to the next.
    fn refuse_fall(&self, column: &'static str, values: impl Iterator<Item = Given>) -> Result<()> {
        let values: Vec<Given> = values.collect();
        for (at, pair) in values.windows(2).enumerate() {
            if pair[1].compare(&pair[0]).is_lt() {
                let problem = format!(
                    "{} is below the {} of the tier before it; it must not fall with size",
                    pair[1].float(),
                    pair[0].float()
                );
                return self.refuse(column, self.rows[at + 1], problem);
            }
        }
        Ok(())
    }

    fn refuse_above(
        &self,
        (column, value): (&'static str, &Given),
        (other_column, other): (&str, &Given),
        row: usize,
    ) -> Result<()> {
        if value.compare(other).is_le() {
            return Ok(());
        }
        let problem = format!(
            "{} is above the {other_column} {}",
            value.float(),
            other.float()
        );
        self.refuse(column, row, problem)
    }
}

impl CollateralColumns {
    /// What the frame says of each asset, by universe row.
    pub(super) fn read(&self, universe: &Universe) -> Result<Vec<(usize, Collateral)>> {
        let groups = Group::all(
            "collateral",
            "amount_floor",
            &self.asset,
            self.amount_floor.as_ref(),
        )?;
        let read = |group: &Group<'_>| {
            let row = group.rows[0];
            let asset = universe.asset_row(group.ids.get(row), || {
                Place::column("collateral", "asset").row(row)
            })?;
            Ok((asset as usize, self.asset(group)?))
        };
        groups.iter().map(read).collect()
    }

    fn asset(&self, group: &Group<'_>) -> Result<Collateral> {
        let mut tiers = Vec::new();
        for &row in &group.rows {
            let initial = group.read("initial_haircut", self.initial_haircut.as_ref(), row)?;
            let maintenance = group.read(
                "maintenance_haircut",
                self.maintenance_haircut.as_ref(),
                row,
            )?;
            for (column, haircut) in [
                ("initial_haircut", &initial),
                ("maintenance_haircut", &maintenance),
            ] {
                if !(0.0..=1.0).contains(&haircut.float()) {
                    let problem = format!("{} is not between 0 and 1", haircut.float());
                    return group.refuse(column, row, problem);
                }
            }
            group.refuse_above(
                ("maintenance_haircut", &maintenance),
                ("initial_haircut", &initial),
                row,
            )?;
            tiers.push(HaircutTier {
                amount_floor: group.floor(row),
                initial_haircut: initial,
                maintenance_haircut: maintenance,
            });
        }
        let haircuts =
            |of: fn(&HaircutTier) -> &Given| tiers.iter().map(move |tier| of(tier).clone());
        group.refuse_fall("initial_haircut", haircuts(|tier| &tier.initial_haircut))?;
        group.refuse_fall(
            "maintenance_haircut",
            haircuts(|tier| &tier.maintenance_haircut),
        )?;
        let first = group.rows[0];
        let weight = |column, values: &Option<GivenColumn>| {
            let weight = group.read_once(column, values.as_ref(), 1.0, false)?;
            let weight = weight.expect("it has a default");
            if weight.float() < 1.0 {
                let problem = format!(
                    "{} is below 1: a debt counts at least in full",
                    weight.float()
                );
                return group.refuse(column, first, problem);
            }
            Ok(weight)
        };
        let initial = weight("initial_liability_weight", &self.initial_liability_weight)?;
        let maintenance = weight(
            "maintenance_liability_weight",
            &self.maintenance_liability_weight,
        )?;
        group.refuse_above(
            ("maintenance_liability_weight", &maintenance),
            ("initial_liability_weight", &initial),
            first,
        )?;
        let amount_cap = group.read_once("amount_cap", self.amount_cap.as_ref(), 0.0, true)?;
        if let Some(cap) = amount_cap.as_ref().filter(|cap| cap.float() < 0.0) {
            return group.refuse("amount_cap", first, format!("{} is negative", cap.float()));
        }
        let share = self.unrealized_gain_share.as_ref();
        let share = group.read_once("unrealized_gain_share", share, 1.0, false)?;
        let share = share.expect("it has a default");
        if !(0.0..=1.0).contains(&share.float()) {
            let problem = format!("{} is not between 0 and 1", share.float());
            return group.refuse("unrealized_gain_share", first, problem);
        }
        Ok(Collateral {
            tiers,
            initial_liability_weight: initial,
            maintenance_liability_weight: maintenance,
            amount_cap,
            unrealized_gain_share: share,
        })
    }
}

impl MarginColumns {
    /// What the frame says of each instrument, by universe row.
    pub(super) fn read(&self, universe: &Universe) -> Result<Vec<(usize, Margin)>> {
        let groups = Group::all(
            "margin",
            "notional_floor",
            &self.instrument,
            self.notional_floor.as_ref(),
        )?;
        let read = |group: &Group<'_>| {
            let row = group.rows[0];
            let instrument = universe.instrument_row(group.ids.get(row), || {
                Place::column("margin", "instrument").row(row)
            })?;
            Ok((instrument as usize, self.instrument(group)?))
        };
        groups.iter().map(read).collect()
    }

    fn instrument(&self, group: &Group<'_>) -> Result<Margin> {
        let first = group.rows[0];
        let at_least_0 = |column, value: Given, row| {
            if value.float() < 0.0 {
                return group.refuse(column, row, format!("{} is negative", value.float()));
            }
            Ok(value)
        };
        let once = |column, values: &Option<GivenColumn>| {
            let value = group.read_once(column, values.as_ref(), 0.0, false)?;
            at_least_0(column, value.expect("it has a default"), first)
        };
        let floor = once("margin_floor_per_contract", &self.margin_floor_per_contract)?;
        let fee = once("close_out_fee_rate", &self.close_out_fee_rate)?;
        let mut brackets = Vec::new();
        for &row in &group.rows {
            let rate =
                |column, values| at_least_0(column, group.read(column, Some(values), row)?, row);
            let initial_rate = rate("initial_rate", &self.initial_rate)?;
            let maintenance_rate = rate("maintenance_rate", &self.maintenance_rate)?;
            group.refuse_above(
                ("maintenance_rate", &maintenance_rate),
                ("initial_rate", &initial_rate),
                row,
            )?;
            let exact = |given: &Given| Rational::given(given.as_ref());
            if exact(&maintenance_rate) + exact(&fee) > exact(&initial_rate) {
                let problem = format!(
                    "{} and the maintenance_rate {} are above the initial_rate {}",
                    fee.float(),
                    maintenance_rate.float(),
                    initial_rate.float()
                );
                return group.refuse("close_out_fee_rate", row, problem);
            }
            brackets.push(Bracket {
                notional_floor: group.floor(row),
                initial_rate,
                maintenance_rate,
            });
        }
        let rates = |of: fn(&Bracket) -> &Given| brackets.iter().map(move |row| of(row).clone());
        group.refuse_fall("initial_rate", rates(|row| &row.initial_rate))?;
        group.refuse_fall("maintenance_rate", rates(|row| &row.maintenance_rate))?;
        Ok(Margin {
            brackets,
            margin_floor_per_contract: floor,
            close_out_fee_rate: fee,
        })
    }
}
