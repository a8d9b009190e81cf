//! A fingerprint of all that an engine is: replaying the same events gives the same one, on any machine and thread count. Who
//! fell or recovered and was not asked for yet is part of it, so a replay asks where it was asked.

use std::fmt::Write;

use xxhash_rust::xxh3::Xxh3;

use super::{Engine, Event};
use crate::exact::GivenColumn;
use crate::ids::Ids;
use crate::market::Market;
use crate::universe::Universe;

impl Engine {
    /// 128 bits of everything that decides what the engine will say.
    #[must_use]
    pub fn state_hash(&self) -> u128 {
        let mut hash = Xxh3::new();
        let mut see = |number: i128| hash.update(&number.to_le_bytes());
        self.ledger.each_number(&mut see);
        see_market(&self.market, &mut see);
        see(self.next_order.into());
        see(self.universe().numeraire() as i128);
        let flags = self.settled.iter().chain(self.watcher.standing.pools());
        flags.for_each(|&flag| see(flag.into()));
        for (account, instrument) in self.watcher.standing.positions() {
            see(account.into());
            see(instrument.into());
        }
        for accounts in [&self.changes.fallen, &self.changes.recovered] {
            see(accounts.len() as i128);
            accounts.iter().for_each(|&account| see(account.into()));
        }
        self.watcher.standing.alerts().for_each(&mut see);
        for &(account, alert) in &self.changes.alerted {
            see(account.into());
            see(alert.into());
        }
        see_ids(&mut hash, names(self.universe()));
        see_ids(&mut hash, [self.accounts().as_ref()]);
        for (name, (content, _)) in &self.named {
            hash.update(name.as_bytes());
            hash.update(&content.to_le_bytes());
        }
        // Parameters are many and rarely change; all of them print.
        let mut text = String::new();
        write!(
            text,
            "{:?} {:?} {:?}",
            self.universe().specs(),
            self.model.parameters(),
            self.limits
        )
        .expect("a string takes any text");
        hash.update(text.as_bytes());
        hash.digest128()
    }
}

/// A fingerprint of an event.
pub(super) fn of_event(event: &Event) -> u128 {
    let mut hash = Xxh3::new();
    // Whatever is in it prints, but for what belongs to a universe.
    let text = match event {
        Event::SetParameters(model) => format!("{:?}", model.parameters()),
        Event::AddInstruments(extension) => {
            let universe = extension.model.universe();
            see_ids(&mut hash, names(universe));
            see_market(&extension.market, &mut |number| {
                hash.update(&number.to_le_bytes());
            });
            let parameters = extension.model.parameters();
            let with = (&extension.decimals, &extension.limits);
            format!("{:?} {parameters:?} {with:?}", universe.specs())
        }
        Event::Place { .. }
        | Event::Amend { .. }
        | Event::Cancel { .. }
        | Event::Fill(_)
        | Event::Fills(_)
        | Event::Trade { .. }
        | Event::Deposit(_)
        | Event::Withdraw(_)
        | Event::Transfer { .. }
        | Event::TransferPosition { .. }
        | Event::Exchange { .. }
        | Event::Tick(_)
        | Event::Accrue(_)
        | Event::Settle { .. }
        | Event::AddAccount(_) => format!("{event:?}"),
    };
    hash.update(text.as_bytes());
    hash.digest128()
}

fn names(universe: &Universe) -> [&Ids; 3] {
    [
        universe.assets(),
        universe.instruments(),
        universe.underlyings(),
    ]
}

fn see_ids<'a>(hash: &mut Xxh3, ids: impl IntoIterator<Item = &'a Ids>) {
    for id in ids.into_iter().flat_map(Ids::iter) {
        // Texts are quoted, so that none can run into the next.
        hash.update(format!("{id:?} ").as_bytes());
    }
}

fn see_market(market: &Market, see: &mut impl FnMut(i128)) {
    let columns = [
        market.index_price(),
        market.mark_price(),
        market.deposit_index(),
        market.borrow_index(),
        market.cumulative_funding(),
        market.implied_volatility(),
        market.forward(),
        market.discount_rate(),
        market.settlement_average(),
    ];
    columns.iter().for_each(|column| see_column(column, see));
    see(market.time().map_or(i128::MIN, i128::from));
}

fn see_column(column: &GivenColumn, see: &mut impl FnMut(i128)) {
    for row in 0..column.len() {
        let number = column.get(row);
        see(number.float.to_bits().into());
        if let Some(exact) = number.exact {
            exact.to_string().bytes().for_each(|byte| see(byte.into()));
        }
    }
}
