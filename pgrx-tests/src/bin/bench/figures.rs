//! Medians and percentiles.

use pg_hooks_tests::Result;

/// Samples in ascending order; never empty.
pub struct Figures(Vec<f64>);

impl Figures {
    /// # Panics
    /// When there is no sample.
    pub fn of(mut samples: Vec<f64>) -> Self {
        assert!(!samples.is_empty(), "no sample");
        samples.sort_by(f64::total_cmp);
        Figures(samples)
    }

    /// The smallest sample that at least `share` (0 to 1) of all samples do not exceed.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    pub fn median(&self) -> f64 {
        self.percentile(0.5)
    }

    pub fn min(&self) -> f64 {
        self.0[0]
    }

    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }
}

/// Several runs of a measurement that gives `N` figures each: the median of each figure.
pub fn medians<const N: usize>(
    runs: usize,
    mut measure: impl FnMut(usize) -> Result<[f64; N]>,
) -> Result<[f64; N]> {
    let runs: Vec<[f64; N]> = (1..=runs).map(&mut measure).collect::<Result<_>>()?;
    Ok(std::array::from_fn(|place| {
        Figures::of(runs.iter().map(|run| run[place]).collect()).median()
    }))
}

#[cfg(test)]
mod tests {
    use super::{Figures, medians};

    #[test]
    fn percentile_is_the_nearest_rank() {
        let figures = Figures::of((1..=200).rev().map(f64::from).collect());
        assert_eq!(
            [0.5, 0.9, 0.99, 1.0].map(|share| figures.percentile(share)),
            [100.0, 180.0, 198.0, 200.0]
        );
        assert_eq!((figures.min(), figures.max()), (1.0, 200.0));
        assert_eq!(Figures::of(vec![3.0, 1.0, 2.0]).median(), 2.0);
    }

    #[test]
    fn each_figure_has_a_median_of_its_own() {
        let runs = [[1.0, 30.0], [2.0, 10.0], [3.0, 20.0]];
        assert_eq!(medians(3, |run| Ok(runs[run - 1])).unwrap(), [2.0, 20.0]);
    }
}
