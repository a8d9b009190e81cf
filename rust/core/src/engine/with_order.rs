//! A plain account with one more order: its legs as they would then be, without looking into the ledger.

use super::event::NewOrder;
use super::judge::{Verdict, decided, exactly};
use super::reading::{Inputs, block_table};
use super::table::LiveTable;
use crate::kernel::{Charges, Exposure, Order, Simd, UnitLegs, contract_unit};
use crate::ledger::{Account, QUANTITY_DECIMALS, float_of};
use crate::table::PositionRow;

/// Legs and charges of an account with an order, used again from one to the next.
#[derive(Debug)]
pub(crate) struct WithOrder {
    rows: Vec<u32>,
    quantities: Vec<f64>,
    /// Of the one order, in the one unit.
    charges: Charges,
}

impl Default for WithOrder {
    fn default() -> Self {
        let exposure = Exposure {
            instrument: 0,
            orders: 1,
        };
        let order = Order {
            quantity: 0.0,
            value: 0.0,
        };
        Self {
            rows: Vec::new(),
            quantities: Vec::new(),
            charges: Charges {
                units: vec![1],
                exposures: vec![exposure],
                orders: vec![order],
                ..Charges::default()
            },
        }
    }
}

impl WithOrder {
    /// Judges a plain account as if one more order, which does not only reduce, rested; `None` if the table lacks a row.
    pub(crate) fn judge(
        &mut self,
        inputs: Inputs<'_>,
        legs: UnitLegs<'_, u32>,
        order: NewOrder,
        table: &LiveTable,
    ) -> Option<Verdict> {
        self.read(inputs, legs, order, table)?;
        let legs = UnitLegs {
            rows: &self.rows,
            quantities: &self.quantities,
            home: legs.home,
        };
        let sums = contract_unit(Simd::current(), legs, block_table(table), &self.charges);
        let (verdict, _) = decided(sums, false, || {
            let mut account = Account::default();
            inputs.accounts.load(inputs.number, &mut account);
            account.insert_order(order.resting(u64::MAX));
            exactly(inputs, &account, None)
        });
        Some(verdict)
    }

    /// What `AccountUnits::read` would make of the account.
    fn read(
        &mut self,
        inputs: Inputs<'_>,
        legs: UnitLegs<'_, u32>,
        order: NewOrder,
        table: &LiveTable,
    ) -> Option<()> {
        let instrument = order.instrument as usize;
        let spec = &inputs.accounts.universe().specs()[instrument];
        let (kinds, paid) = (table.kinds(), spec.is_paid_up_front());
        let row = |short: bool, by_exposure: bool| {
            kinds.position(PositionRow {
                instrument,
                short_option: short && paid,
                by_exposure,
            })
        };
        let [long, short] = [false, true].map(|short| row(short, false) as u32);
        let is_position = |&found: &u32| found == long || found == short;
        let place = legs.rows.iter().position(is_position);
        let held = place.map_or(0.0, |place| legs.quantities[place]);
        let by_exposure = row(held < 0.0, true);
        let ordered = float_of(order.quantity, QUANTITY_DECIMALS);
        let charged = !paid || held < 0.0 || ordered < 0.0;
        let exposure = if charged {
            kinds.exposure(instrument)
        } else {
            0
        };
        let held_row = if place.is_some() { by_exposure } else { 0 };
        let most = legs.rows.len() + 1;
        if !table.is_ready_for_order(most, [held_row, exposure], instrument) {
            return None;
        }
        self.rows.clear();
        self.quantities.clear();
        self.rows.extend_from_slice(legs.rows);
        self.quantities.extend_from_slice(legs.quantities);
        if let Some(place) = place {
            self.rows[place] = by_exposure as u32;
        }
        let (bought, sold) = if ordered > 0.0 {
            (held + ordered, held)
        } else {
            (held, held + ordered)
        };
        let size = if paid {
            (-sold).max(0.0)
        } else {
            bought.abs().max(sold.abs())
        };
        if charged && size != 0.0 {
            self.rows.push(exposure as u32);
            self.quantities.push(size);
        }
        self.charges.exposures[0].instrument = order.instrument;
        self.charges.orders[0] = Order {
            quantity: ordered,
            value: spec.price_value(order.price.float()),
        };
        Some(())
    }
}
