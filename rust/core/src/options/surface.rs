//! Volatilities by underlying, expiry and strike, and what lies between.

use std::sync::Arc;

use crate::error::{Error, Place, Result, finite};
use crate::ids::{Id, IdColumn, Ids};
use crate::universe::{Kind, Universe, unknown};

/// Nanoseconds in a year of 365 days.
pub const YEAR_NS: f64 = 365.0 * 86_400.0 * 1e9;

const FRAME: &str = "volatility surface";

/// Quoted volatilities, one in each row; all columns have one length.
#[derive(Clone, Debug)]
pub struct SurfaceColumns {
    /// Ids of underlyings of the universe.
    pub underlying: IdColumn,
    /// Nanoseconds since 1970 UTC, after the surface's time.
    pub expiry: Vec<i64>,
    /// Above 0.
    pub strike: Vec<f64>,
    /// At least 0, a fraction per square root of a year.
    pub volatility: Vec<f64>,
    /// Price for delivery at expiry, above 0; rows of an expiry may differ by 1 %, their median counts. Where it is left
    /// out, the forward counts as the same for all expiries.
    pub forward: Option<Vec<f64>>,
}

/// A surface of implied volatility at one moment.
///
/// Total variance, `volatility^2 x years to expiry`, is linear in `ln(strike / forward)` between the strikes of an expiry and
/// linear in time between expiries, at one `strike / forward`. Beyond the outer strikes and expiries the volatility is that
/// of the outer one.
#[derive(Clone, Debug)]
pub struct VolatilitySurface {
    universe: Arc<Universe>,
    time: i64,
    /// By underlying, then by expiry.
    smiles: Vec<Vec<Smile>>,
}

/// The volatilities of one expiry.
#[derive(Clone, Debug)]
struct Smile {
    expiry: i64,
    years: f64,
    log_forward: f64,
    /// (ln(strike / forward), total variance), by strike.
    points: Vec<(f64, f64)>,
}

impl Smile {
    fn total_variance(&self, log_moneyness: f64) -> f64 {
        let points = &self.points;
        let above = points.partition_point(|(at, _)| *at < log_moneyness);
        if above == 0 {
            return points[0].1;
        }
        let Some(&(right, right_variance)) = points.get(above) else {
            return points[above - 1].1;
        };
        let (left, left_variance) = points[above - 1];
        between(
            log_moneyness,
            (left, left_variance),
            (right, right_variance),
        )
    }
}

/// On the line through two points, never outside of the two values.
fn between(at: f64, (left, left_value): (f64, f64), (right, right_value): (f64, f64)) -> f64 {
    let share = (at - left) / (right - left);
    left_value * (1.0 - share) + right_value * share
}

/// Where total variance falls from one expiry to the next: a calendar spread that costs less than nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct CalendarArbitrage {
    /// Number of the underlying.
    pub underlying: u32,
    /// The later of the two expiries.
    pub expiry: i64,
    /// The strike of that expiry; `strike / forward` is quoted for one of the two.
    pub strike: f64,
    /// By how much the total variance is less than that of the expiry before it.
    pub missing_variance: f64,
}

impl VolatilitySurface {
    /// Checks and sorts the quotes.
    ///
    /// # Errors
    /// An unknown underlying, a number out of bounds, an expiry that has passed, two rows for one strike, two forwards for
    /// one expiry.
    pub fn new(universe: Arc<Universe>, columns: &SurfaceColumns, time: i64) -> Result<Self> {
        let underlyings = columns.find_underlyings(&universe)?;
        let rows = columns.strike.len();
        for row in 0..rows {
            columns.check(row, time)?;
        }
        let key = |row: usize| (underlyings[row], columns.expiry[row]);
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by(|&a, &b| {
            let strikes = || columns.strike[a].total_cmp(&columns.strike[b]);
            key(a).cmp(&key(b)).then_with(strikes)
        });
        let mut smiles: Vec<Vec<Smile>> = vec![Vec::new(); universe.underlyings().len()];
        for rows in order.chunk_by(|&a, &b| key(a) == key(b)) {
            let smile = columns.smile(rows, time)?;
            smiles[underlyings[rows[0]] as usize].push(smile);
        }
        Ok(Self {
            universe,
            time,
            smiles,
        })
    }

    /// The universe that the underlyings belong to.
    #[must_use]
    pub fn universe(&self) -> &Arc<Universe> {
        &self.universe
    }

    /// The moment of the quotes, nanoseconds since 1970 UTC.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time
    }

    /// Number of expiries with quotes, of all underlyings.
    #[must_use]
    pub fn expiry_count(&self) -> usize {
        self.smiles.iter().map(Vec::len).sum()
    }

    /// The volatility of a strike and an expiry, at least 0.
    ///
    /// # Errors
    /// An underlying that is unknown or has no quotes, a strike that is not above 0, an expiry that has passed.
    pub fn volatility(&self, underlying: Id<'_>, strike: f64, expiry: i64) -> Result<f64> {
        let place = || Place::column(FRAME, "underlying");
        let known = self.universe.underlyings();
        let Some(row) = known.find(underlying) else {
            return Err(unknown(known, "underlying", underlying, place()));
        };
        let smiles = &self.smiles[row as usize];
        if smiles.is_empty() {
            let quoted = self.underlyings();
            return Err(unknown(&quoted, "quotes of", underlying, place()));
        }
        finite(strike, || Place::column(FRAME, "strike"))?;
        positive("strike", strike, None)?;
        check_expiry(expiry, self.time, None)?;
        Ok(interpolate(smiles, strike.ln(), expiry, self.time))
    }

    /// The volatility of each instrument; `None` where it is no option with a strike and an expiry to come, or its underlying
    /// has no quotes.
    #[must_use]
    pub fn of_instruments(&self) -> Vec<Option<f64>> {
        let specs = self.universe.specs().iter();
        specs
            .map(|spec| {
                let smiles = &self.smiles[spec.underlying as usize];
                let (strike, expiry) = (spec.strike?, spec.expiry?);
                let alive = spec.kind == Kind::Option && expiry > self.time && !smiles.is_empty();
                alive.then(|| interpolate(smiles, strike.ln(), expiry, self.time))
            })
            .collect()
    }

    /// Every quoted `strike / forward` at which the total variance of an expiry is less than that of the expiry before it.
    ///
    /// They are told, not refused: quotes of real markets have some, and interpolation between them stays sound.
    #[must_use]
    pub fn calendar_arbitrage(&self) -> Vec<CalendarArbitrage> {
        /// Rounding, of the total variance.
        const ROUNDING: f64 = 1e-12;
        let mut found = Vec::new();
        for (underlying, smiles) in (0u32..).zip(&self.smiles) {
            for pair in smiles.windows(2) {
                // Between two neighbours both are linear, so the worst stands at a quote of either.
                let points = pair.iter().flat_map(|smile| &smile.points);
                let mut quoted: Vec<f64> =
                    points.map(|(log_moneyness, _)| *log_moneyness).collect();
                quoted.sort_by(f64::total_cmp);
                quoted.dedup();
                for log_moneyness in quoted {
                    let [before, variance] =
                        [0, 1].map(|at| pair[at].total_variance(log_moneyness));
                    if variance < before * (1.0 - ROUNDING) {
                        found.push(CalendarArbitrage {
                            underlying,
                            expiry: pair[1].expiry,
                            strike: (log_moneyness + pair[1].log_forward).exp(),
                            missing_variance: before - variance,
                        });
                    }
                }
            }
        }
        found
    }

    /// Ids of the underlyings with quotes.
    #[must_use]
    pub fn underlyings(&self) -> Ids {
        let all = self.universe.underlyings();
        let mut quoted = if all.is_text() {
            Ids::texts()
        } else {
            Ids::ints()
        };
        for (id, smiles) in all.iter().zip(&self.smiles) {
            if !smiles.is_empty() {
                quoted.intern(id);
            }
        }
        quoted
    }
}

fn interpolate(smiles: &[Smile], log_strike: f64, expiry: i64, time: i64) -> f64 {
    let after = smiles.partition_point(|smile| smile.expiry < expiry);
    let outer = |smile: &Smile| {
        let variance = smile.total_variance(log_strike - smile.log_forward);
        (variance / smile.years).sqrt()
    };
    if after == 0 {
        return outer(&smiles[0]);
    }
    let (sooner, Some(later)) = (&smiles[after - 1], smiles.get(after)) else {
        return outer(&smiles[after - 1]);
    };
    if later.expiry == expiry {
        return outer(later);
    }
    let years = years_between(time, expiry);
    let log_forwards = [sooner, later].map(|smile| (smile.years, smile.log_forward));
    let log_moneyness = log_strike - between(years, log_forwards[0], log_forwards[1]);
    let variances = [sooner, later].map(|smile| (smile.years, smile.total_variance(log_moneyness)));
    (between(years, variances[0], variances[1]) / years).sqrt()
}

fn years_between(time: i64, expiry: i64) -> f64 {
    (i128::from(expiry) - i128::from(time)) as f64 / YEAR_NS
}

fn positive(column: &'static str, value: f64, row: Option<usize>) -> Result<()> {
    if value > 0.0 {
        return Ok(());
    }
    Err(Error::Value {
        place: Place {
            row,
            ..Place::column(FRAME, column)
        },
        problem: format!("{value} is not > 0"),
    })
}

fn check_expiry(expiry: i64, time: i64, row: Option<usize>) -> Result<()> {
    if expiry > time {
        return Ok(());
    }
    Err(Error::Value {
        place: Place {
            row,
            ..Place::column(FRAME, "expiry")
        },
        problem: "it is not after the time of the surface".into(),
    })
}

impl SurfaceColumns {
    /// The number of each row's underlying.
    fn find_underlyings(&self, universe: &Universe) -> Result<Vec<u32>> {
        let known = universe.underlyings();
        let find = |(row, &code): (usize, &u32)| {
            let id = self.underlying.ids.get(code as usize);
            let place = || Place::column(FRAME, "underlying").row(row);
            known
                .find(id)
                .ok_or_else(|| unknown(known, "underlying", id, place()))
        };
        self.underlying.codes.iter().enumerate().map(find).collect()
    }

    fn check(&self, row: usize, time: i64) -> Result<()> {
        let place = |column| Place::column(FRAME, column).row(row);
        let strike = finite(self.strike[row], || place("strike"))?;
        positive("strike", strike, Some(row))?;
        let volatility = finite(self.volatility[row], || place("volatility"))?;
        if volatility < 0.0 {
            return Err(Error::Value {
                place: place("volatility"),
                problem: format!("{volatility} is not >= 0"),
            });
        }
        if let Some(forward) = &self.forward {
            let forward = finite(forward[row], || place("forward"))?;
            positive("forward", forward, Some(row))?;
        }
        check_expiry(self.expiry[row], time, Some(row))
    }

    /// The quotes of one underlying and expiry, whose rows are sorted by strike.
    fn smile(&self, rows: &[usize], time: i64) -> Result<Smile> {
        let first = rows[0];
        if let Some(pair) = rows
            .windows(2)
            .find(|pair| self.strike[pair[0]] == self.strike[pair[1]])
        {
            let (one, other) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
            return Err(Error::Duplicate {
                place: Place::column(FRAME, "strike").row(other),
                problem: format!(
                    "strike {} of {} at this expiry stands in row {one} already",
                    self.strike[other],
                    self.underlying.get(other)
                ),
            });
        }
        let forward = self.one_forward(rows)?;
        let (years, log_forward) = (years_between(time, self.expiry[first]), forward.ln());
        let point = |&row: &usize| {
            let variance = self.volatility[row] * self.volatility[row] * years;
            (self.strike[row].ln() - log_forward, variance)
        };
        Ok(Smile {
            expiry: self.expiry[first],
            years,
            log_forward,
            points: rows.iter().map(point).collect(),
        })
    }

    /// The median of the forwards that the rows of an expiry state; 1 if there is no such column.
    fn one_forward(&self, rows: &[usize]) -> Result<f64> {
        /// Quotes are taken one after the other, and the forward moves meanwhile.
        const APART: f64 = 0.01;
        let Some(forwards) = &self.forward else {
            return Ok(1.0);
        };
        let mut sorted: Vec<f64> = rows.iter().map(|&row| forwards[row]).collect();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[(sorted.len() - 1) / 2];
        let apart = |row: &&usize| (forwards[**row] - median).abs() > APART * median;
        match rows.iter().find(apart) {
            None => Ok(median),
            Some(&row) => Err(Error::Value {
                place: Place::column(FRAME, "forward").row(row),
                problem: format!(
                    "{} is more than 1 % from {median}, the median of its expiry, but an expiry has one forward",
                    forwards[row]
                ),
            }),
        }
    }
}
