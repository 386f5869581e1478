//! Median and spread of some rounds.

use std::fmt;

/// Figures of the same thing measured again and again.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The figure below which a share of all lies.
    ///
    /// # Panics
    ///
    /// When nothing was measured.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1).expect("something was measured");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index among few"
        )]
        let index = (share * last as f64).round() as usize;
        sorted[index.min(last)]
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Least and greatest.
    pub(crate) fn spread(&self) -> [f64; 2] {
        [self.quantile(0.0), self.quantile(1.0)]
    }
}

impl fmt::Display for Rounds {
    /// All, in the order in which they were taken.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, figure) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(formatter, "{comma}{figure:.2}")?;
        }
        Ok(())
    }
}

impl From<Vec<f64>> for Rounds {
    fn from(figures: Vec<f64>) -> Self {
        Self(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::Rounds;

    #[test]
    fn the_median_is_the_middle_one_whatever_the_order() {
        let rounds = Rounds::from(vec![9.0, 1.0, 2.0, 100.0, 3.0]);
        assert_eq!(rounds.median(), 3.0);
        assert_eq!(rounds.spread(), [1.0, 100.0]);
        assert_eq!(rounds.quantile(0.75), 9.0);
    }
}
