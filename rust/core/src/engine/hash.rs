//! A fingerprint of all that an engine is: replaying the same events gives the same one, on any machine and thread count.

use std::fmt::Write;

use xxhash_rust::xxh3::Xxh3;

use super::{Engine, Event};
use crate::exact::GivenColumn;
use crate::ids::Ids;

impl Engine {
    /// 128 bits of everything that decides what the engine will say.
    #[must_use]
    pub fn state_hash(&self) -> u128 {
        let mut hash = Xxh3::new();
        let mut see = |number: i128| hash.update(&number.to_le_bytes());
        self.ledger.each_number(&mut see);
        let market = &self.market;
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
        columns
            .iter()
            .for_each(|column| see_column(column, &mut see));
        see(market.time().map_or(i128::MIN, i128::from));
        see(self.next_order.into());
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
        let universe = self.universe();
        let named = [
            universe.assets(),
            universe.instruments(),
            universe.underlyings(),
        ];
        for id in named
            .into_iter()
            .chain([self.accounts().as_ref()])
            .flat_map(Ids::iter)
        {
            // Texts are quoted, so that none can run into the next.
            let text = format!("{id:?} ");
            hash.update(text.as_bytes());
        }
        for (name, (content, _)) in &self.named {
            hash.update(name.as_bytes());
            hash.update(&content.to_le_bytes());
        }
        // Parameters are many and rarely change; all of them print.
        let mut text = String::new();
        write!(
            text,
            "{:?} {:?} {:?}",
            universe.specs(),
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
    // Whatever is in it prints.
    let text = match event {
        Event::SetParameters(model) => format!("{:?}", model.parameters()),
        _ => format!("{event:?}"),
    };
    let mut hash = Xxh3::new();
    hash.update(text.as_bytes());
    hash.digest128()
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
