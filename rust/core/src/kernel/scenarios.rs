//! Legs times scenarios: the worst loss of a unit, or its largest few.

use super::again::ScanAgain;
use super::few::Few;
use super::floats::{Floats, Scalar16};
use super::lanes::Lanes;
use super::losses::{LossTable, Prepared};
use super::scalar::Scalar;
use super::scan::Scan;
use super::standing::Standings;
use super::{RowId, Simd, Units};

/// What is asked of a unit's losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The largest.
    Worst,
    /// The `rank`-th largest.
    Quantile {
        /// From 1.
        rank: usize,
    },
    /// The mean of the `rank` largest.
    Shortfall {
        /// From 1.
        rank: usize,
    },
}

impl Measure {
    /// How many of the largest losses matter, and whether their mean does.
    #[inline(always)]
    pub(super) fn rank(self) -> (usize, bool) {
        match self {
            Self::Worst => (1, false),
            Self::Quantile { rank } => (rank, false),
            Self::Shortfall { rank } => (rank, true),
        }
    }
}

/// The risk of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnitRisk {
    /// What was asked for, at least 0.
    pub loss: f64,
    /// Number of the scenario of the largest loss; [`NO_SCENARIO`] if no loss is above 0.
    pub worst: u32,
    /// Sums of the [`charge`](super::charge) columns.
    pub charges: [f64; 4],
}

/// There is no scenario with a loss.
pub const NO_SCENARIO: u32 = u32::MAX;

/// Hands on the number and the risk of every unit, in order. The table is one made to be scanned for the measure.
///
/// # Panics
/// If a row lies outside the table, or the machine lacks the path.
pub fn scan_units<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    table: &LossTable,
    measure: Measure,
    mut then: impl FnMut(usize, UnitRisk),
) {
    match table.prepared() {
        Prepared::Few(sums) => {
            assert_eq!(measure, Measure::Worst, "what the table was made for");
            let wanted = &[];
            let few = &mut Few {
                table,
                sums,
                wanted,
            };
            scan_with(simd, units, few, &mut then);
        }
        Prepared::Sieve(sieve) => {
            let mut scan = Scan::new(table, sieve, measure);
            scan_with(simd, units, &mut scan, &mut then);
        }
    }
}

/// The same in any order, of units of which something may be known: where it does not suffice they are scanned, with their
/// bounds, and what is found is noted; the others have no charges. Returns for how many it does not suffice any longer.
///
/// # Panics
/// As [`scan_units`]; if the table has no [`LossTable::finds_standings`].
pub(crate) fn scan_again<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    (table, measure): (&LossTable, Measure),
    standings: Standings<'_>,
    mut then: impl FnMut(usize, UnitRisk),
) -> usize {
    assert!(table.finds_standings(measure), "ranks of no charges");
    let Prepared::Sieve(sieve) = table.prepared() else {
        unreachable!("they are found with it")
    };
    let mut again = ScanAgain::new(Scan::new(table, sieve, measure), standings);
    scan_with(simd, units, &mut again, &mut then);
    again.outlived()
}

/// The same of the units whose targets are `wanted`, for the worst of few scenarios.
///
/// # Panics
/// As [`scan_units`]; if the table was not made for few, or a target is beyond those.
pub(crate) fn scan_wanted<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    table: &LossTable,
    wanted: &[bool],
    mut then: impl FnMut(usize, UnitRisk),
) {
    let Prepared::Few(sums) = table.prepared() else {
        unreachable!("few scenarios")
    };
    let few = &mut Few {
        table,
        sums,
        wanted,
    };
    scan_with(simd, units, few, &mut then);
}

/// A way to the risk of units.
pub(super) trait Scanner {
    /// Whether it adds up products of 16 bits, for which AVX-512F alone has no instruction.
    const IS_WHOLE: bool;

    /// How many table rows there are.
    fn rows(&self) -> usize;

    /// Hands on the number and the risk of every unit, in order unless the scanner says otherwise.
    ///
    /// # Safety
    /// The units name no row beyond those that there are.
    unsafe fn units<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        units: &Units<R>,
        then: &mut impl FnMut(usize, UnitRisk),
    );
}

fn scan_with<R: RowId, S: Scanner>(
    simd: Simd,
    units: &Units<R>,
    scan: &mut S,
    then: &mut impl FnMut(usize, UnitRisk),
) {
    assert!(units.row_bound <= scan.rows(), "the table has too few rows");
    assert!(simd.available(), "this machine has no {}", simd.name());
    // SAFETY: both were asserted above.
    unsafe {
        match simd {
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 if !S::IS_WHOLE => units_avx512(units, scan, then),
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 if is_x86_feature_detected!("avx512vnni") => {
                units_avx512_vnni(units, scan, then);
            }
            // Every machine that has AVX-512 has it.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 if Simd::Avx2.available() => units_avx2(units, scan, then),
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => units_avx2(units, scan, then),
            _ => scan.units::<Scalar, Scalar16, R>(units, then),
        }
    }
}

/// # Safety
/// As [`Scanner::units`], on a machine that has the set.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
unsafe fn units_avx512<R: RowId>(
    units: &Units<R>,
    scan: &mut impl Scanner,
    then: &mut impl FnMut(usize, UnitRisk),
) {
    use super::avx512::{Avx512, Avx512Floats};
    // SAFETY: the caller's promise.
    unsafe { scan.units::<Avx512, Avx512Floats, R>(units, then) };
}

/// # Safety
/// As above.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni,popcnt")]
unsafe fn units_avx512_vnni<R: RowId>(
    units: &Units<R>,
    scan: &mut impl Scanner,
    then: &mut impl FnMut(usize, UnitRisk),
) {
    use super::avx512::{Avx512, Avx512Floats};
    // SAFETY: the caller's promise.
    unsafe { scan.units::<Avx512, Avx512Floats, R>(units, then) };
}

/// # Safety
/// As above.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn units_avx2<R: RowId>(
    units: &Units<R>,
    scan: &mut impl Scanner,
    then: &mut impl FnMut(usize, UnitRisk),
) {
    use super::avx2::{Avx2, Avx2Floats};
    // SAFETY: the caller's promise.
    unsafe { scan.units::<Avx2, Avx2Floats, R>(units, then) };
}

pub(super) fn positive(loss: f64) -> f64 {
    if loss > 0.0 { loss } else { 0.0 }
}
