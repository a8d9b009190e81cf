//! Options as scenarios see them, side by side.

use super::columns::{FRAME, inverse_normal};
use super::greeks::OptionModel;
use super::shocks::ShockSet;
use crate::error::{Error, Place, Result, finite};
use crate::kernel::Row;
use crate::kernel::math::exp;

/// One option, as scenarios see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShockedOption {
    /// Price of the underlying for delivery at expiry. Above 0 under Black-76.
    pub forward: f64,
    /// Above 0 under Black-76.
    pub strike: f64,
    /// At least 0, per square root of a year: a fraction under Black-76, price units under Bachelier.
    pub volatility: f64,
    /// Years of 365 days, at least 0.
    pub expiry_years: f64,
    /// Call or put.
    pub is_call: bool,
    /// Whether it pays in coin: value / forward.
    pub inverse: bool,
    /// What a payment of 1 is worth on the day, at least 0: contract multiplier x price of the settlement asset.
    pub scale: f64,
    /// ln(discount factor).
    pub log_discount: f64,
    /// By how much a volatility shock of 1 raises the volatility: `volatility x c(T)` for relative shocks, `c(T)` for
    /// absolute ones.
    pub volatility_weight: f64,
    /// Which of the sets of shocks moves it.
    pub shocks: u32,
}

impl ShockedOption {
    /// What a payment of 1 at expiry is worth now.
    #[must_use]
    pub fn discounted_scale(&self) -> f64 {
        self.scale * exp(self.log_discount)
    }

    /// What the lanes check of eight at once, with words.
    pub(super) fn check(&self, row: usize, sets: &[ShockSet], model: OptionModel) -> Result<()> {
        let wrong = |column, problem: String| {
            let place = Place::column(FRAME, column).row(row);
            Err(Error::Value { place, problem })
        };
        let columns = [
            ("forward", self.forward),
            ("strike", self.strike),
            ("volatility", self.volatility),
            ("expiry_years", self.expiry_years),
            ("scale", self.discounted_scale()),
            ("volatility_weight", self.volatility_weight),
        ];
        for (name, value) in columns {
            finite(value, || Place::column(FRAME, name).row(row))?;
        }
        for (name, value) in &columns[2..5] {
            if *value < 0.0 {
                return wrong(name, format!("{value} is not >= 0"));
            }
        }
        match model {
            OptionModel::Bachelier if self.inverse => return Err(inverse_normal()),
            OptionModel::Bachelier => {}
            OptionModel::Black76 => {
                for (name, value) in &columns[..2] {
                    if *value <= 0.0 {
                        return wrong(name, format!("{value} is not > 0"));
                    }
                }
                if self.inverse && sets[self.shocks as usize].to_zero {
                    return wrong(
                        "inverse",
                        "a price shock of -1 leaves it no finite value".into(),
                    );
                }
            }
        }
        Ok(())
    }
}

/// Many options, eight to a row of every column.
#[derive(Clone, Debug, Default)]
pub struct ShockedOptions {
    pub(super) eights: Vec<Eight>,
    count: usize,
}

/// Eight options, a lane each; lanes that are left over repeat the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Eight {
    pub(super) forward: Row,
    pub(super) strike: Row,
    pub(super) volatility: Row,
    pub(super) expiry_years: Row,
    /// 1 for a call, -1 for a put.
    pub(super) side: Row,
    /// 1 for what pays in coin, else 0.
    pub(super) inverse: Row,
    pub(super) scale: Row,
    pub(super) log_discount: Row,
    pub(super) volatility_weight: Row,
    pub(super) shocks: [u32; 8],
}

impl ShockedOptions {
    /// Forgets all of them; the memory is kept.
    pub fn clear(&mut self) {
        self.eights.clear();
        self.count = 0;
    }

    /// Number of options.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an option.
    #[inline(always)]
    pub fn push(&mut self, option: ShockedOption) {
        let lane = self.count % 8;
        self.count += 1;
        if lane == 0 {
            self.eights.push(Eight::all(&option));
        } else if let Some(eight) = self.eights.last_mut() {
            eight.set(lane, &option);
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, option: usize) -> Option<ShockedOption> {
        let lane = option % 8;
        let eight = self.eights.get(option / 8)?;
        (option < self.count).then(|| ShockedOption {
            forward: eight.forward.0[lane],
            strike: eight.strike.0[lane],
            volatility: eight.volatility.0[lane],
            expiry_years: eight.expiry_years.0[lane],
            is_call: eight.side.0[lane] > 0.0,
            inverse: eight.is_inverse(lane),
            scale: eight.scale.0[lane],
            log_discount: eight.log_discount.0[lane],
            volatility_weight: eight.volatility_weight.0[lane],
            shocks: eight.shocks[lane],
        })
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = ShockedOption> + '_ {
        (0..self.count).filter_map(|option| self.get(option))
    }
}

impl FromIterator<ShockedOption> for ShockedOptions {
    fn from_iter<T: IntoIterator<Item = ShockedOption>>(options: T) -> Self {
        let mut all = Self::default();
        options.into_iter().for_each(|option| all.push(option));
        all
    }
}

impl Eight {
    fn all(option: &ShockedOption) -> Self {
        let all = |value: f64| Row([value; 8]);
        Self {
            forward: all(option.forward),
            strike: all(option.strike),
            volatility: all(option.volatility),
            expiry_years: all(option.expiry_years),
            side: all(side(option)),
            inverse: all(f64::from(u8::from(option.inverse))),
            scale: all(option.scale),
            log_discount: all(option.log_discount),
            volatility_weight: all(option.volatility_weight),
            shocks: [option.shocks; 8],
        }
    }

    #[inline(always)]
    pub(super) fn is_inverse(&self, lane: usize) -> bool {
        self.inverse.0[lane] > 0.0
    }

    #[inline(always)]
    fn set(&mut self, lane: usize, option: &ShockedOption) {
        self.forward.0[lane] = option.forward;
        self.strike.0[lane] = option.strike;
        self.volatility.0[lane] = option.volatility;
        self.expiry_years.0[lane] = option.expiry_years;
        self.side.0[lane] = side(option);
        self.inverse.0[lane] = f64::from(u8::from(option.inverse));
        self.scale.0[lane] = option.scale;
        self.log_discount.0[lane] = option.log_discount;
        self.volatility_weight.0[lane] = option.volatility_weight;
        self.shocks[lane] = option.shocks;
    }
}

fn side(option: &ShockedOption) -> f64 {
    if option.is_call { 1.0 } else { -1.0 }
}
