//! `xmfast._core`: the bindings. Each borrows, detaches, calls the core and hands over; no margin logic here.

mod book;
mod cell;
mod contract;
mod decimal;
mod engine;
mod engine_figures;
mod engine_lock;
mod error;
mod events;
mod explain;
mod extension;
mod figures;
mod flags;
mod frame;
mod id_rows;
mod ids;
mod isolated;
mod limits;
mod liquidation_price;
mod lookup;
mod market;
mod model;
mod numbers;
mod options;
mod order_check;
mod order_columns;
mod price_path;
mod prices;
mod report;
mod risk;
mod rules;
mod run;
mod system;
mod texts;
mod times;
mod universe;
mod view;
mod volatility_surface;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<universe::Universe>()?;
    module.add_class::<book::Book>()?;
    module.add_class::<engine_lock::Engine>()?;
    module.add_class::<order_check::OrderCheck>()?;
    module.add_class::<market::Market>()?;
    module.add_class::<model::LinearModel>()?;
    module.add_class::<isolated::Isolated>()?;
    module.add_class::<price_path::PricePath>()?;
    module.add_class::<report::Report>()?;
    module.add_class::<risk::Risk>()?;
    module.add_class::<risk::RiskModel>()?;
    module.add_class::<volatility_surface::VolatilitySurface>()?;
    module.add_function(wrap_pyfunction!(contract::contract, module)?)?;
    module.add_function(wrap_pyfunction!(options::implied_statuses, module)?)?;
    module.add_function(wrap_pyfunction!(options::implied_volatility, module)?)?;
    module.add_function(wrap_pyfunction!(options::option_greeks, module)?)?;
    module.add_function(wrap_pyfunction!(liquidation_price::account_prices, module)?)?;
    module.add_function(wrap_pyfunction!(limits::account_buying_power, module)?)?;
    module.add_function(wrap_pyfunction!(limits::book_buying_power, module)?)?;
    module.add_function(wrap_pyfunction!(limits::account_withdrawable, module)?)?;
    module.add_function(wrap_pyfunction!(limits::book_withdrawable, module)?)?;
    module.add_function(wrap_pyfunction!(limits::account_transferable, module)?)?;
    module.add_function(wrap_pyfunction!(limits::cheapest, module)?)?;
    module.add_function(wrap_pyfunction!(order_check::order_reasons, module)?)?;
    module.add_function(wrap_pyfunction!(price_path::account_moves, module)?)?;
    module.add_function(wrap_pyfunction!(price_path::book_moves, module)?)?;
    module.add_function(wrap_pyfunction!(liquidation_price::book_prices, module)?)?;
    module.add_function(wrap_pyfunction!(system::after_fork, module)?)?;
    module.add_function(wrap_pyfunction!(system::num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(system::pool_state, module)?)?;
    module.add_function(wrap_pyfunction!(system::set_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(system::set_simd, module)?)?;
    module.add_function(wrap_pyfunction!(system::simd, module)?)?;
    module.add_function(wrap_pyfunction!(system::simd_available, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
