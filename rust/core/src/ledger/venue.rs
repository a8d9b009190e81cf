//! What the venue itself holds: the other side of everything that accounts pay or are paid.

use smallvec::SmallVec;

use crate::error::Result;
use crate::ledger::account::sum;

/// An account of the venue, one for each asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Cash of all accounts with what is posted for isolated positions, less entry costs.
    Accounts,
    /// The other side of fills whose counterparty is not in the book.
    Street,
    /// Fees.
    Fees,
    /// What interest that was touched took from borrowers, less what it gave to lenders.
    Interest,
    /// What funding that was touched took, less what it gave.
    Funding,
    /// What roundings took from accounts.
    Rounding,
    /// Losses of isolated positions beyond what was posted; negative.
    Shortfall,
    /// All that was paid in.
    Deposits,
    /// All that was paid out.
    Withdrawals,
}

/// Units of one asset by [`Pool`].
pub type Totals = [i128; Pool::COUNT];

impl Pool {
    /// Number of them.
    pub const COUNT: usize = 9;

    /// All, in order.
    pub const ALL: [(Self, &str); Self::COUNT] = [
        (Self::Accounts, "accounts"),
        (Self::Street, "street"),
        (Self::Fees, "fees"),
        (Self::Interest, "interest_pool"),
        (Self::Funding, "funding_pool"),
        (Self::Rounding, "rounding"),
        (Self::Shortfall, "shortfall"),
        (Self::Deposits, "deposits"),
        (Self::Withdrawals, "withdrawals"),
    ];
}

/// Whether money is conserved: what is held equals what was paid in, less what was paid out.
#[must_use]
pub fn is_conserved(totals: &Totals) -> bool {
    let held: i128 = totals[..Pool::Deposits as usize].iter().sum();
    held == totals[Pool::Deposits as usize] - totals[Pool::Withdrawals as usize]
}

/// What an event moves, by asset.
#[derive(Clone, Debug, Default)]
pub(crate) struct VenueMoves(pub(crate) SmallVec<[(u32, Totals); 1]>);

impl VenueMoves {
    pub(crate) fn add(&mut self, asset: u32, pool: Pool, amount: i128) -> Result<()> {
        let at = self.0.iter().position(|(other, _)| *other == asset);
        let at = at.unwrap_or_else(|| {
            self.0.push((asset, Totals::default()));
            self.0.len() - 1
        });
        let total = &mut self.0[at].1[pool as usize];
        *total = sum(*total, amount, "ledger")?;
        Ok(())
    }
}
