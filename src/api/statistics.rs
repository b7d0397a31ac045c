//! Histograms, as the views of statistics sum them up.

use pgrx::prelude::*;

use crate::domain::histogram::Histogram;
use crate::error::{Error, OrRaise};

#[pg_extern(sql = false)]
fn merge_histograms(histograms: Option<Array<'_, &[u8]>>) -> Option<Vec<u8>> {
    let mut merged = Histogram::default();
    for bytes in histograms?.iter().flatten() {
        merged.merge(&read(bytes).or_raise());
    }
    Some(merged.to_bytes())
}

#[pg_extern(sql = false)]
fn histogram_quantiles(histogram: &[u8], shares: Array<'_, f64>) -> Vec<Option<f64>> {
    let histogram = read(histogram).or_raise();
    let quantile = |share: Option<f64>| {
        let quantile = histogram.quantile(share?)?;
        Some(quantile.as_secs_f64() * 1000.0)
    };
    shares.iter().map(quantile).collect()
}

fn read(bytes: &[u8]) -> Result<Histogram, Error> {
    let mut rest = bytes;
    Histogram::decode(&mut rest)
        .filter(|_| rest.is_empty())
        .ok_or_else(|| Error::invalid("not a histogram", "Give one of hooks.tally."))
}
