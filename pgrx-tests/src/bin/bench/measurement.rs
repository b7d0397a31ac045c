//! What can be measured, with which parameters.

use std::collections::BTreeMap;
use std::time::Duration;

use pg_hooks_tests::{Failure, Result};

/// One subject, with its name on the command line.
pub struct Measurement {
    pub name: &'static str,
    /// Heading of its tables.
    pub about: &'static str,
    pub parameters: &'static [Parameter],
    pub run: fn(&Values) -> Result<()>,
}

/// A number, or several, that a measurement is given as `name=1` or `name=1,10`.
pub struct Parameter {
    pub name: &'static str,
    /// Its meaning and unit.
    pub about: &'static str,
    pub usual: &'static [f64],
    pub smoke: &'static [f64],
}

/// For figures that mean something, or only to see that everything arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Usual,
    Smoke,
}

/// The parameters of one run of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(BTreeMap<&'static str, Vec<f64>>);

impl Parameter {
    /// Zero has a meaning only where it is one of the values that we use.
    fn accepts(&self, value: f64) -> bool {
        value.is_finite() && (value > 0.0 || (value == 0.0 && self.used().any(|used| used == 0.0)))
    }

    fn takes_several(&self) -> bool {
        self.usual.len() > 1
    }

    fn used(&self) -> impl Iterator<Item = f64> {
        self.usual.iter().chain(self.smoke).copied()
    }
}

impl Measurement {
    pub fn values(&self, size: Size) -> Values {
        let of_size = |parameter: &Parameter| match size {
            Size::Usual => parameter.usual.to_vec(),
            Size::Smoke => parameter.smoke.to_vec(),
        };
        let values = self.parameters.iter();
        Values(
            values
                .map(|parameter| (parameter.name, of_size(parameter)))
                .collect(),
        )
    }

    /// Takes `text`, numbers with commas between them, for the parameter called `name`.
    pub fn set(&self, values: &mut Values, name: &str, text: &str) -> Result<()> {
        let parameter = self.parameters.iter().find(|parameter| parameter.name == name);
        let parameter =
            parameter.ok_or_else(|| Failure::needs_user(format!("{} has no parameter {name}", self.name)))?;
        let numbers: std::result::Result<Vec<f64>, _> = text.split(',').map(str::parse).collect();
        match numbers {
            Ok(numbers)
                if numbers.iter().all(|number| parameter.accepts(*number))
                    && (numbers.len() == 1 || parameter.takes_several()) =>
            {
                values.0.insert(parameter.name, numbers);
                Ok(())
            }
            _ => Err(Failure::needs_user(format!(
                "{} cannot have {name}={text}",
                self.name
            ))),
        }
    }
}

impl Values {
    /// All values of a parameter.
    ///
    /// # Panics
    /// When the measurement declares no such parameter, as the others of this kind do.
    pub fn numbers(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("no parameter {name}"))
    }

    pub fn number(&self, name: &str) -> f64 {
        self.numbers(name)[0]
    }

    pub fn counts(&self, name: &str) -> Vec<usize> {
        self.numbers(name).iter().map(|number| *number as usize).collect()
    }

    pub fn count(&self, name: &str) -> usize {
        self.number(name) as usize
    }

    pub fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs_f64(self.number(name))
    }

    pub fn minutes(&self, name: &str) -> Duration {
        Duration::from_secs_f64(self.number(name) * 60.0)
    }

    /// As they would be typed.
    pub fn line(&self) -> String {
        let list = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let values = self.0.iter();
        values
            .map(|(name, numbers)| format!("{name}={}", list(numbers)))
            .collect::<Vec<_>>()
            .join(" ")
    }
}
