//! What the command line asks for.

use pg_hooks_tests::{Failure, Result};

use crate::measurement::{Measurement, Size, Values};
use crate::measures::ALL;

/// What is to be measured, in order.
pub type Plan = Vec<(&'static Measurement, Values)>;

/// A word names a measurement, `name=value` sets a parameter of the one before it, and `smoke` makes everything
/// after it tiny. No measurement named: all of them.
pub fn plan(arguments: &[String]) -> Result<Plan> {
    let (size, words) = match arguments.split_first() {
        Some((first, rest)) if first == "smoke" => (Size::Smoke, rest),
        _ => (Size::Usual, arguments),
    };
    if words.is_empty() {
        return Ok(ALL
            .iter()
            .map(|measurement| (*measurement, measurement.values(size)))
            .collect());
    }
    let mut plan = Plan::new();
    for word in words {
        match (word.split_once('='), plan.last_mut()) {
            (Some((name, text)), Some((measurement, values))) => measurement.set(values, name, text)?,
            (Some(_), None) => return Err(Failure::needs_user(usage())),
            (None, _) => {
                let measurement = named(word)?;
                plan.push((measurement, measurement.values(size)));
            }
        }
    }
    Ok(plan)
}

fn named(word: &str) -> Result<&'static Measurement> {
    let known = ALL.iter().find(|measurement| measurement.name == word);
    known.copied().ok_or_else(|| Failure::needs_user(usage()))
}

/// What may be typed, with the values that hold when nothing is.
pub fn usage() -> String {
    let mut lines = vec![
        "usage: cargo bench-delivery [help | smoke] [MEASUREMENT [PARAMETER=NUMBER[,NUMBER]...]...]..."
            .to_owned(),
    ];
    for measurement in ALL {
        let usual = measurement.values(Size::Usual).line();
        lines.push(format!("\n  {:<10} {}", measurement.name, measurement.about));
        lines.push(format!("             {usual}"));
        for parameter in measurement.parameters {
            lines.push(format!("             {:<12} {}", parameter.name, parameter.about));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::plan;
    use crate::measures::ALL;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn planned(line: &str) -> Vec<String> {
        let plan = plan(&words(line)).unwrap();
        plan.iter()
            .map(|(measurement, values)| format!("{} {}", measurement.name, values.line()))
            .collect()
    }

    #[test]
    fn nothing_named_means_everything() {
        assert_eq!(planned("").len(), ALL.len());
        assert_eq!(planned("smoke").len(), ALL.len());
    }

    #[test]
    fn parameters_belong_to_the_measurement_before_them() {
        assert_eq!(
            planned("drain messages=5,7 runs=1 latency samples=9 runs=2"),
            ["drain messages=5,7 runs=1", "latency runs=2 samples=9"]
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = [
            "fly",
            "messages=5",
            "drain height=5",
            "drain messages=x",
            "drain messages=0",
            "drain messages=-1",
            "drain runs=1,2",
            "drain messages=NaN",
        ];
        for line in refused {
            assert!(plan(&words(line)).is_err(), "{line}");
        }
    }

    #[test]
    fn every_default_could_be_typed() {
        for measurement in ALL {
            let line =
                |values: &crate::measurement::Values| format!("{} {}", measurement.name, values.line());
            for size in [crate::measurement::Size::Usual, crate::measurement::Size::Smoke] {
                let values = measurement.values(size);
                let typed = plan(&words(&line(&values)));
                assert_eq!(typed.unwrap()[0].1, values, "{}", line(&values));
            }
        }
    }
}
