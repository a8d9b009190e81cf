//! Open orders: they rest, change and go.

use super::check::OrderCheck;
use super::event::NewOrder;
use super::{Engine, refused};
use crate::error::Result;
use crate::ledger::{Account, LimitPrice, OpenOrder, VenueMoves};

impl Engine {
    pub(super) fn place(
        &mut self,
        account: u32,
        order: NewOrder,
    ) -> Result<(Option<u64>, OrderCheck)> {
        let check = self.check_order(account, order, None)?;
        if !check.is_accepted() {
            return Ok((None, check));
        }
        let id = self.next_order;
        self.change_orders(account, |holder| holder.insert_order(order.resting(id)))?;
        self.next_order += 1;
        self.order_account.insert(id, account);
        Ok((Some(id), check))
    }

    pub(super) fn amend(
        &mut self,
        id: u64,
        quantity: Option<i128>,
        price: Option<LimitPrice>,
    ) -> Result<OrderCheck> {
        let account = self.account_of_order("amend", id)?;
        let before = self.open_order(account, id);
        let quantity = quantity.unwrap_or(before.quantity);
        let price = price.unwrap_or(before.price);
        if quantity.signum() != before.quantity.signum() {
            return Err(refused(
                "amend",
                format!("order {id}: an order keeps its side"),
            ));
        }
        let order = NewOrder {
            instrument: before.instrument,
            quantity,
            price,
            reduce_only: before.reduce_only,
        };
        let check = self.check_order(account, order, Some(id))?;
        if check.is_accepted() {
            self.change_orders(account, |account| {
                let at = account.order_place(id).expect("it is open");
                account.orders[at] = order.resting(id);
            })?;
        }
        Ok(check)
    }

    pub(super) fn cancel(&mut self, id: u64) -> Result<()> {
        let account = self.account_of_order("cancel", id)?;
        self.change_orders(account, |account| {
            let at = account.order_place(id).expect("it is open");
            account.orders.remove(at);
        })?;
        self.order_account.remove(&id);
        Ok(())
    }

    /// Changes an account's open orders.
    fn change_orders(&mut self, number: u32, change: impl FnOnce(&mut Account)) -> Result<()> {
        let (before, mut after) = self.loaded(number);
        change(&mut after);
        let changes = &mut [(number as usize, &before, &mut after)];
        self.commit(changes, &VenueMoves::default())
    }

    fn account_of_order(&self, what: &'static str, id: u64) -> Result<u32> {
        let found = self.order_account.get(&id).copied();
        found.ok_or_else(|| refused(what, format!("there is no open order {id}")))
    }

    fn open_order(&self, account: u32, id: u64) -> OpenOrder {
        let mut holder = Account::default();
        self.ledger.accounts().load(account as usize, &mut holder);
        holder.orders[holder.order_place(id).expect("it is open")]
    }
}
