//! Rows of a frame, sorted by account and by what they speak of.

use std::ops::Range;

use crate::error::{Error, Place, Result};
use crate::ids::{Id, Ids};

/// Rows of one frame in order of account: the rows of account `a` are `order[ends[a - 1]..ends[a]]`.
pub(super) struct ByAccount {
    order: Vec<u32>,
    ends: Vec<u32>,
}

impl ByAccount {
    /// Whether the frame has no row.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The rows of an account, in their order in the frame.
    pub(super) fn rows(&self, account: usize) -> &[u32] {
        let start = if account == 0 {
            0
        } else {
            self.ends[account - 1] as usize
        };
        &self.order[start..self.ends[account] as usize]
    }
}

/// Counting sort of row numbers by account, stable.
pub(super) fn by_account(account_of_row: &[u32], accounts: usize) -> ByAccount {
    let mut ends = vec![0u32; accounts];
    for &account in account_of_row {
        ends[account as usize] += 1;
    }
    let mut next = 0;
    for end in &mut ends {
        next += std::mem::replace(end, next);
    }
    // `ends` holds starts now; placing the rows moves each start to its end.
    let mut order = vec![0u32; account_of_row.len()];
    for (row, &account) in (0u32..).zip(account_of_row) {
        let slot = &mut ends[account as usize];
        order[*slot as usize] = row;
        *slot += 1;
    }
    ByAccount { order, ends }
}

/// A frame's key column beside the account: an asset or instrument.
pub(super) struct Keyed<'a> {
    pub(super) frame: &'static str,
    pub(super) column: &'static str,
    pub(super) key: &'a [u32],
    pub(super) names: &'a Ids,
}

impl Keyed<'_> {
    /// Row numbers of a range of accounts, by account, key and row; and where each account ends.
    pub(super) fn sorted(&self, range: Range<usize>, rows: &ByAccount) -> Sorted {
        let mut ends = Vec::with_capacity(range.len());
        let count = range.clone().map(|account| rows.rows(account).len()).sum();
        let mut order: Vec<u32> = Vec::with_capacity(count);
        for account in range {
            let start = order.len();
            order.extend_from_slice(rows.rows(account));
            order[start..].sort_unstable_by_key(|&row| (self.key[row as usize], row));
            ends.push(order.len() as u32);
        }
        Sorted { order, ends }
    }

    /// The same, with at most one row for each account and key.
    ///
    /// # Errors
    /// [`Error::Duplicate`], with the first of two rows first.
    pub(super) fn distinct(
        &self,
        range: Range<usize>,
        rows: &ByAccount,
        accounts: &Ids,
    ) -> Result<Sorted> {
        let sorted = self.sorted(range.clone(), rows);
        let mut start = 0;
        for (account, &end) in range.zip(&sorted.ends) {
            for pair in sorted.order[start..end as usize].windows(2) {
                if self.key[pair[0] as usize] == self.key[pair[1] as usize] {
                    return Err(self.duplicate(pair[0], pair[1], accounts.get(account)));
                }
            }
            start = end as usize;
        }
        Ok(sorted)
    }

    fn duplicate(&self, first: u32, second: u32, account: Id<'_>) -> Error {
        let id = self.names.get(self.key[second as usize] as usize);
        Error::Duplicate {
            place: Place::column(self.frame, self.column)
                .row(second as usize)
                .id(format_args!("account {account}")),
            problem: format!("a second row for {id}; the first is row {first}"),
        }
    }
}

/// Rows of a frame in order, and where each account ends among them.
pub(super) struct Sorted {
    pub(super) order: Vec<u32>,
    pub(super) ends: Vec<u32>,
}

impl Sorted {
    /// The rows that pass.
    pub(super) fn filtered(self, keep: impl Fn(u32) -> bool) -> Self {
        let (mut order, mut ends, mut start) = (Vec::new(), Vec::new(), 0);
        for end in self.ends {
            let rows = &self.order[start..end as usize];
            order.extend(rows.iter().copied().filter(|&row| keep(row)));
            ends.push(order.len() as u32);
            start = end as usize;
        }
        Self { order, ends }
    }

    /// A column in this order.
    pub(super) fn gather(&self, column: &[u32]) -> Vec<u32> {
        self.order.iter().map(|&row| column[row as usize]).collect()
    }
}
