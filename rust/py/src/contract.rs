use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use xmfast_core::contract_table;

use crate::error::Result;
use crate::run::run;

/// See `xmfast.contract`.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "borrowed arrays are passed so"
)]
pub(crate) fn contract<'py>(
    py: Python<'py>,
    offsets: PyReadonlyArray1<'py, u64>,
    rows: PyReadonlyArray1<'py, u32>,
    quantities: PyReadonlyArray1<'py, f64>,
    table: PyReadonlyArray2<'py, f64>,
    absolute: PyReadonlyArray1<'py, bool>,
) -> Result<Bound<'py, PyArray2<f64>>> {
    let (offsets, rows, quantities) = (
        offsets.as_slice()?,
        rows.as_slice()?,
        quantities.as_slice()?,
    );
    let (absolute, columns) = (absolute.as_slice()?, table.as_array().ncols());
    // `_frames` made it C-contiguous; `as_slice` would take Fortran order too and read it transposed.
    let table = table.as_array();
    let table = table.to_slice().ok_or(numpy::AsSliceError)?;
    let out = run(py, |stop| {
        contract_table(offsets, rows, quantities, table, absolute, stop)
    })?;
    let accounts = offsets.len() - 1;
    Ok(Array2::from_shape_vec((accounts, columns), out)
        .expect("one value per account and column")
        .into_pyarray(py))
}
