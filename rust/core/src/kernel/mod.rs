//! The contraction of legs with table rows: the one hot loop, once per instruction set.
//!
//! [`lanes`] says what eight columns at once can do; [`scalar`], [`avx2`] and [`avx512`] do it; [`legs`], [`block`] and
//! [`csr`] are the loops, written once. This folder alone may say `unsafe`. The scalar path is the oracle: the others equal it bit for bit.

#![allow(unsafe_code)]

mod again;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod block;
mod charged;
mod coarse;
mod csr;
mod fetch;
mod few;
mod finish;
mod float_state;
mod floats;
mod lanes;
mod legs;
mod losses;
pub(crate) mod math;
mod on_lanes;
mod pages;
mod ranking;
mod rules;
mod scalar;
mod scan;
mod scanned;
mod scenarios;
mod shares;
mod sieve;
mod sift;
mod standing;
mod units;
mod weights;

pub use block::{
    AccountSums, BlockResults, BlockTable, Scratch, UnitLegs, WEIGHT_ROWS, contract_account,
    contract_block, contract_unit,
};
pub use charged::{Charged, LossMargins, WorstLoss};
pub use csr::contract_csr;
pub(crate) use fetch::{fetch, fetch_all};
pub use float_state::FloatState;
pub use losses::{LossRow, LossRows, LossTable, charge};
pub(crate) use on_lanes::{LaneWork, on_lanes};
pub(crate) use pages::with_room;
pub use pages::zero_rows;
pub use rules::{
    Charges, Exposure, InitialCurve, MarkValue, Order, RuleTable, Tier, Tiers, opening_loss,
};
pub use scanned::WideTable;
pub use scenarios::{Measure, NO_SCENARIO, UnitRisk, scan_units};
pub(crate) use scenarios::{scan_again, scan_wanted};
pub use shares::{Pools, worst_of_pools};
pub(crate) use standing::{Moves, Standing, Standings};
pub(crate) use units::UnitPlace;
pub use units::{BlockUnits, Fold, Run, UnitFacts, Units};

use std::sync::atomic::{AtomicU8, Ordering};

/// Eight f64 columns: one cache line, one AVX-512 register.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct Row(pub [f64; 8]);

/// Columns of a table row, and of the sums that the kernel forms from it.
pub mod column {
    /// Value, unweighted. Operand: quantity.
    pub const EQUITY: usize = 0;
    /// Maintenance-weighted value of balances whose sign is known. Operand: quantity.
    pub const ASSETS: usize = 1;
    /// Initial-weighted value of balances whose sign is known. Operand: quantity.
    pub const INITIAL_COLLATERAL: usize = 2;
    /// Operand: absolute quantity.
    pub const MAINTENANCE_MARGIN: usize = 3;
    /// Operand: absolute quantity.
    pub const INITIAL_MARGIN: usize = 4;
    /// Maintenance-weighted debts of balances whose sign is known, at least 0. Operand: quantity.
    pub const DEBTS: usize = 5;
    /// Value of what is netted in the unit's home asset before it is weighed. Operand: quantity.
    pub const NET: usize = 6;
    /// What a figure can be off by: the absolute part that a leg adds, times the relative error of all roundings.
    /// Operand: absolute quantity.
    pub const BOUND: usize = 7;
    /// Which columns take the absolute quantity.
    pub const ABSOLUTE: [bool; 8] = [false, false, false, true, true, false, false, true];
}

/// Columns of a result row. The others stand where they stood: equity, margins, debts.
pub mod result {
    /// Maintenance-weighted collateral value: assets less debts.
    pub const COLLATERAL: usize = 1;
    /// Collateral value less maintenance margin.
    pub const HEALTH: usize = 6;
    /// Initial collateral value less initial margin.
    pub const INITIAL_HEALTH: usize = 7;
}

/// Number of a table row, as narrow as the table allows.
pub trait RowId: Copy + Send + Sync + 'static {
    /// The number as an index.
    fn index(self) -> usize;
    /// From an index that fits.
    fn from_index(index: usize) -> Self;
}

impl RowId for u16 {
    #[inline(always)]
    fn index(self) -> usize {
        self as usize
    }
    fn from_index(index: usize) -> Self {
        Self::try_from(index).expect("the layout chose 16 bits for a table of more rows")
    }
}

impl RowId for u32 {
    #[inline(always)]
    fn index(self) -> usize {
        self as usize
    }
    fn from_index(index: usize) -> Self {
        Self::try_from(index).expect("more than 4 billion table rows")
    }
}

/// An instruction set that the kernel has code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Simd {
    /// Plain Rust; the oracle.
    Scalar = 1,
    /// Two registers of four columns.
    Avx2 = 2,
    /// One register of eight columns.
    Avx512 = 3,
}

impl Simd {
    /// All paths, slowest first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// The name used in `XMFAST_SIMD`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this machine can run it.
    #[must_use]
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Scalar => true,
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("popcnt")
            }
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("popcnt")
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Scalar
        }
    }

    /// The path in use: the fastest available, unless [`Simd::force`] said otherwise.
    #[must_use]
    pub fn current() -> Self {
        match FORCED.load(Ordering::Relaxed) {
            1 => Self::Scalar,
            2 => Self::Avx2,
            3 => Self::Avx512,
            _ => Self::fastest(),
        }
    }

    /// The fastest path of this machine.
    #[must_use]
    pub fn fastest() -> Self {
        *Self::ALL
            .iter()
            .rev()
            .find(|path| path.available())
            .expect("scalar is always available")
    }

    /// Uses this path from now on, or the fastest if `None`. False, and nothing changes, if the machine cannot run it.
    pub fn force(path: Option<Self>) -> bool {
        if path.is_some_and(|path| !path.available()) {
            return false;
        }
        FORCED.store(path.map_or(0, |path| path as u8), Ordering::Relaxed);
        true
    }
}

static FORCED: AtomicU8 = AtomicU8::new(0);
